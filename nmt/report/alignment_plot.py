"""Writes a figure of attention as a picture or as a page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nmt.errors import UserError
from nmt.files import atomic_write, make_folder
from nmt.report.figure import Figure, layout_lines
from nmt.report.fonts import describe_missing
from nmt.report.picture import save_picture
from nmt.report.rendering import render
from nmt.report.spotlights import collapse_picture, encode_spotlights, save_spotlights, shows_picture

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
SUFFIXES = (*PICTURE_SUFFIXES, ".html")
"""The formats of a figure."""


def write_figure(out: Path, figure: Figure, *, warn: Callable[[str], None]) -> None:
    """Writes a figure as a picture (.png .svg .pdf) or a page of its own (.html).

    If all its matrices attend to pictures, these are drawn, see `nmt.report.spotlights`; a page also has the matrices.

    Args:
        out: the file; its suffix selects the format. An interrupted write leaves no file.
        figure: what to draw.
        warn: called with a remark if a picture needs characters that no font on this machine has.

    Raises:
        UserError: the suffix is unknown.
    """
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{out}: the suffix says what to draw, and must be one of {' '.join(SUFFIXES)}")
    make_folder(out.parent)
    has_pictures = all(map(shows_picture, figure.panels))
    with atomic_write(out) as file:
        if suffix == ".html":
            drawing = None
            if has_pictures:
                drawing = encode_spotlights(figure)
                figure = replace(figure, lines=[[collapse_picture(panel) for panel in line] for line in figure.lines])
            heat_maps = layout_lines(figure.lines)
            has_images = any(heat_map.image for line in heat_maps for heat_map in line)
            page = render(
                "alignment.html.j2", figure=figure, heat_maps=heat_maps, has_images=has_images, drawing=drawing
            )
            file.write(page.encode("utf-8"))
        elif has_pictures:
            save_spotlights(file, figure, file_format=suffix.removeprefix("."))
        elif missing := save_picture(file, figure, file_format=suffix.removeprefix(".")):
            warn(describe_missing(missing))
