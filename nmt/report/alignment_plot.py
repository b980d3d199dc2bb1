"""Writes a figure of attention as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nmt.errors import UserError
from nmt.files import atomic_write, make_folder
from nmt.report.figure import Figure
from nmt.report.fonts import describe_missing
from nmt.report.picture import save_picture
from nmt.report.spotlights import save_spotlights, shows_picture

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
"""The formats of a figure."""


def write_figure(out: Path, figure: Figure, *, warn: Callable[[str], None]) -> None:
    """Writes a figure as a picture (.png .svg .pdf).

    If all its matrices attend to pictures, these are drawn, see `nmt.report.spotlights`.

    Args:
        out: the file; its suffix selects the format. An interrupted write leaves no file.
        figure: what to draw.
        warn: called with a remark if a picture needs characters that no font on this machine has.

    Raises:
        UserError: the suffix is unknown.
    """
    suffix = out.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise UserError(f"{out}: the suffix says what to draw, and must be one of {' '.join(PICTURE_SUFFIXES)}")
    make_folder(out.parent)
    with atomic_write(out) as file:
        if all(map(shows_picture, figure.panels)):
            save_spotlights(file, figure, file_format=suffix.removeprefix("."))
        elif missing := save_picture(file, figure, file_format=suffix.removeprefix(".")):
            warn(describe_missing(missing))
