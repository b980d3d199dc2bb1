"""The remark that the search's length limit has cut translations off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nmt.cli.shell.errors import print_message
from nmt.translator import Translation

MAX_SHOWN_LINES = 5
"""Maximum number of line numbers in a remark."""


def collect_truncated(translations: Iterable[list[Translation]], lines: list[int]) -> Iterator[list[Translation]]:
    """Passes on the translations of each line, and appends to `lines` the numbers, from 1, of those that were cut."""
    for number, n_best in enumerate(translations, start=1):
        if n_best[0].truncated:
            lines.append(number)
        yield n_best


def remark_on_truncated(program: str, lines: Sequence[int]) -> None:
    """Says on standard error how many translations were cut, if any, and of which lines; see `collect_truncated`."""
    if not lines:
        return
    shown = ", ".join(map(str, lines[:MAX_SHOWN_LINES])) + (", …" if len(lines) > MAX_SHOWN_LINES else "")
    count, names = ("1 translation was", "line") if len(lines) == 1 else (f"{len(lines):,} translations were", "lines")
    print_message(
        program,
        f"{count} cut at the length limit ({names} {shown}): search.max_length_factor and search.max_length_margin "
        f"set it, search.no_repeat_ngram=3 stops repetitions",
    )
