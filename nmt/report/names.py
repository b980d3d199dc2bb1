"""The names of systems that are compared: given by the user, or the ends of their paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nmt.errors import UserError
from nmt.report.formatting import show_control_characters


def name_systems(paths: Sequence[Path]) -> list[str]:
    """Names each system by the shortest end of its path that no other path has.

    Raises:
        UserError: a path is listed twice, perhaps by two names that lead to it.
    """
    all_parts = [path.resolve().parts for path in paths]
    for i, path in enumerate(paths):
        for j, earlier in enumerate(paths[:i]):
            if all_parts[i] == all_parts[j]:
                name = str(path) if path == earlier else f"{earlier}, also called {path},"
                raise UserError(f"{name} is listed twice: name different runs")

    def shortest_unique_end(i: int) -> str:
        length = 1
        while any(all_parts[i][-length:] == other[-length:] for j, other in enumerate(all_parts) if j != i):
            length += 1
        return show_control_characters("/".join(all_parts[i][-length:]))

    return [shortest_unique_end(i) for i in range(len(paths))]


def check_given_names(names: Sequence[str], num_systems: int) -> None:
    """Raises UserError unless each system has a name of its own."""
    if len(names) != num_systems:
        raise UserError(
            f"names has {len(names):,} entries, but runs has {num_systems:,}: give each of these a name, in this order"
        )
    for i, name in enumerate(names):
        if not name.strip() or not name.isprintable():
            raise UserError(f"names has {name!r}: a name needs characters that can be seen")
        if name in names[:i]:
            raise UserError(f"names has {name} twice: give each system a name of its own")
