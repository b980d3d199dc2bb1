"""The packages of other programs, which only an export needs."""

from __future__ import annotations

from importlib.util import find_spec

from nmt.errors import UserError


def check_packages(names: tuple[str, ...], *, need: str) -> None:
    """Checks that packages are installed, without importing them.

    Args:
        names: of the packages.
        need: the setting that needs them, for the message, such as "format=argos".

    Raises:
        UserError: one is missing.
    """
    if missing := [name for name in names if find_spec(name) is None]:
        raise UserError(f"{need} needs {' and '.join(missing)}: pip install 'nmt[export]'")
