"""Draws the alignment matrix of one sentence as a picture or a page, or writes it as data.

The weights are those of the translation itself; nothing is computed again.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.files import atomic_write, make_folder
from nmt.report.formatting import show_control_characters
from nmt.report.heat_map import CONTINUATION, check_weights, layout_heat_map, piece_labels, shorten
from nmt.report.rendering import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf", ".html", ".json")

FALLBACK_FONTS = ("Noto Sans", "Noto Emoji", "Segoe UI Emoji", "Symbola", "Noto Sans CJK SC", "Arial Unicode MS")
"""Vector fonts, if the machine has them, for characters that matplotlib's own DejaVu Sans lacks."""

CELL_INCHES = 0.27
"""Side of a cell in a picture, in inches."""

MIN_COLORBAR_INCHES = 1.2
"""Minimum height of the colour bar, in inches, so that its labels stay legible."""


def write_alignment(
    out: Path, *, source_tokens: Sequence[str], target_tokens: Sequence[str], weights: npt.ArrayLike, title: str
) -> None:
    """Writes the alignment matrix as a picture (.png .svg .pdf), a page of its own (.html) or data (.json).

    Args:
        out: the file; its suffix selects the format. An interrupted write leaves no file.
        source_tokens: the S source pieces, as the tokenizer shows them ("▁A", "▁dog", …, "</s>").
        target_tokens: the T target pieces.
        weights: (T, S) attention weights between 0 and 1: an array or rows of numbers.
        title: written above the matrix; may be empty.

    Raises:
        UserError: the suffix is unknown, or the weights have another shape or are not between 0 and 1.
    """
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{out}: the suffix says what to draw, and must be one of {' '.join(SUFFIXES)}")
    matrix = check_weights(source_tokens, target_tokens, weights)  # (T, S)
    make_folder(out.parent)
    with atomic_write(out) as file:
        if suffix == ".json":
            file.write(_format_json(source_tokens, target_tokens, matrix).encode("utf-8"))
        elif suffix == ".html":
            heat_map = layout_heat_map(source_tokens, target_tokens, matrix)
            file.write(render("alignment.html.j2", title=title, heat_map=heat_map).encode("utf-8"))
        else:
            _save_picture(file, suffix.removeprefix("."), source_tokens, target_tokens, matrix, title)


def _format_json(source_tokens: Sequence[str], target_tokens: Sequence[str], matrix: npt.NDArray[np.float64]) -> str:
    value = {"source_tokens": list(source_tokens), "target_tokens": list(target_tokens), "attention": matrix.tolist()}
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _save_picture(
    file: BinaryIO,
    file_format: str,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    matrix: npt.NDArray[np.float64],
    title: str,
) -> None:
    """Draws the matrix (T, S) into a file of the format "png", "svg" or "pdf"."""
    import matplotlib  # only here: it is slow to import, and pages and data do without it
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    settings: Any = {
        "font.family": ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in installed)],
        "svg.fonttype": "none",  # keep text as text: it can be searched, and uses the reader's emoji font
        "svg.hashsalt": "nmt",  # the same input gives the same file
        "pdf.fonttype": 42,
    }
    metadata: Any = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # it is drawn as a box
        figure = _draw_figure(source_tokens, target_tokens, matrix, title)
        figure.savefig(file, format=file_format, dpi=150, bbox_inches="tight", facecolor="white", metadata=metadata)


def _draw_figure(
    source_tokens: Sequence[str], target_tokens: Sequence[str], matrix: npt.NDArray[np.float64], title: str
) -> Figure:
    """Draws the matrix (T, S), one row per target piece, with labels, a colour bar and a legend."""
    from matplotlib.figure import Figure

    num_rows, num_columns = matrix.shape
    width, height = num_columns * CELL_INCHES, num_rows * CELL_INCHES
    figure = Figure(figsize=(width + 1, height + 1))
    axes = figure.add_axes((0, 0, width / (width + 1), height / (height + 1)))
    mesh = axes.pcolormesh(matrix, cmap="Blues", vmin=0, vmax=1, edgecolors="#e9edf2", linewidth=0.4)
    # The matrix starts at the top left: the first target piece above, the source pieces along the upper edge.
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    plain: Any = {"parse_math": False, "fontsize": 9}  # a "$" is a piece, not mathematics
    sources = [shorten(label) for label in piece_labels(source_tokens)]
    targets = [shorten(label) for label in piece_labels(target_tokens)]
    axes.set_xticks(
        np.arange(num_columns) + 0.5, sources, rotation=60, ha="left", va="bottom", rotation_mode="anchor", **plain
    )
    axes.set_yticks(np.arange(num_rows) + 0.5, targets, **plain)
    axes.tick_params(length=0)
    axes.spines[:].set_color("#b8c2cc")
    # The colour bar stands to the right of the matrix and starts at its top.
    bar_bottom = min(0.0, height - MIN_COLORBAR_INCHES) / (height + 1)
    bar_axes = figure.add_axes(
        ((width + 0.25) / (width + 1), bar_bottom, 0.12 / (width + 1), height / (height + 1) - bar_bottom)
    )
    bar = figure.colorbar(mesh, cax=bar_axes, ticks=[0, 0.5, 1])
    bar.set_label("attention weight", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_edgecolor("#b8c2cc")
    legend = f"across: source pieces; down: target pieces; each row sums to 1; {CONTINUATION} continues a word"
    figure.text(0, bar_bottom - 0.08 / (height + 1), legend, fontsize=7, color="#5b6670", va="top")
    if title:
        axes.set_title(show_control_characters(title), fontsize=10, loc="left", parse_math=False, pad=10)
    return figure
