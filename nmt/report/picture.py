"""Draws the alignment matrix of one sentence as a picture (PNG, SVG or PDF).

matplotlib shapes the text of all scripts: it joins Arabic letters, orders Hindi vowels, and runs Hebrew from right to
left. The size of a picture is limited: in a large matrix the cells shrink, then the labels, and then labels are left
out.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nmt.report.fonts import DEFAULT_FAMILY, choose_fonts
from nmt.report.formatting import isolate, show_control_characters
from nmt.report.heat_map import CONTINUATION, is_right_to_left_source, piece_labels, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = {"png": 150, "svg": 100, "pdf": 100}
"""Resolution of a PNG file, and of the image of a large matrix inside the other formats."""

MAX_CELL_INCHES = 0.27
"""Side of a cell, in inches, unless the matrix would become too large."""

MAX_MATRIX_INCHES = 24.0
"""Maximum width and height of the matrix, in inches: memory and time grow with the number of dots."""

MIN_COLORBAR_INCHES = 1.2
"""Minimum height of the colour bar, in inches, so that its labels stay legible."""

LABEL_INCHES, TITLE_INCHES = 0.05, 0.15
"""Distance of the labels from the matrix, and of the title from the labels, in inches."""

MAX_VECTOR_CELLS = 4000
"""Maximum number of cells that are drawn one by one; those of a larger matrix are one image."""

MAX_FONT_SIZE, MIN_FONT_SIZE = 9.0, 5.0
"""Size of a label, in points."""

LINE_SPACING = 1.08
"""Minimum distance of two labels, in font sizes."""

POINTS_PER_INCH = 72

DEFAULT_FAMILIES = [DEFAULT_FAMILY, "sans-serif"]
"""Font families of text for which none were chosen; a browser knows the second one."""

GRID_COLOR, FRAME_COLOR, QUIET_COLOR = "#e9edf2", "#b8c2cc", "#5b6670"


@dataclass(frozen=True)
class Labels:
    """Texts of a picture, each with the names of its font families, the first choice first."""

    texts: list[str]
    families: list[list[str]]


def save_picture(
    file: BinaryIO,
    *,
    file_format: str,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    matrix: npt.NDArray[np.float64],
    title: str,
) -> list[str]:
    """Draws the matrix (T, S) into a file of the format "png", "svg" or "pdf".

    Returns:
        The characters that no font on this machine can draw. An SVG file has none: it contains text, and the reader's
        browser chooses the fonts.
    """
    import matplotlib  # only here: it is slow to import, and pages and data do without it

    texts = [
        [shorten(label) for label in piece_labels(source_tokens)],
        [shorten(label) for label in piece_labels(target_tokens)],
        [show_control_characters(title)],
    ]
    missing: list[str] = []
    if file_format == "svg":
        labels = [Labels([isolate(text) for text in side], [DEFAULT_FAMILIES] * len(side)) for side in texts]
    else:
        # Each side has fonts of its own: the same Han character looks different in Chinese and in Japanese.
        choices = [choose_fonts(side) for side in texts]
        labels = [Labels(side, choice.families) for side, choice in zip(texts, choices, strict=True)]
        missing = list(dict.fromkeys(character for choice in choices for character in choice.missing))
    settings: Any = {
        "font.family": DEFAULT_FAMILIES,
        "svg.fonttype": "none",  # keep text as text: it can be searched, and uses the reader's emoji font
        "svg.hashsalt": "nmt",  # the same input gives the same file
        "pdf.fonttype": 3,  # type 42 takes ten seconds for a Chinese font
    }
    metadata: Any = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the caller says so once, in plain words
        columns, rows, heading = labels
        figure = _draw_figure(columns, rows, heading, matrix, right_to_left=is_right_to_left_source(source_tokens))
        dpi = DOTS_PER_INCH[file_format]
        figure.savefig(file, format=file_format, dpi=dpi, bbox_inches="tight", facecolor="white", metadata=metadata)
    return missing


def _draw_figure(
    columns: Labels, rows: Labels, title: Labels, matrix: npt.NDArray[np.float64], *, right_to_left: bool
) -> Figure:
    """Draws the matrix (T, S), one row per target piece, with labels, a colour bar and a legend.

    Args:
        columns: the label of each source piece, in the order of the sentence.
        rows: the label of each target piece.
        title: one text.
        right_to_left: draw the first source piece at the right.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import PcolorImage

    num_rows, num_columns = matrix.shape
    cell_width = min(MAX_CELL_INCHES, MAX_MATRIX_INCHES / num_columns)
    cell_height = min(MAX_CELL_INCHES, MAX_MATRIX_INCHES / num_rows)
    width, height = num_columns * cell_width, num_rows * cell_height
    figure = Figure(figsize=(width + 1, height + 1), dpi=POINTS_PER_INCH)
    FigureCanvasAgg(figure)  # measures text; without it, each measurement would draw the figure
    axes = figure.add_axes((0, 0, width / (width + 1), height / (height + 1)))
    colors = ScalarMappable(Normalize(0, 1), "Blues")
    if matrix.size <= MAX_VECTOR_CELLS:
        axes.pcolormesh(matrix, cmap="Blues", vmin=0, vmax=1, edgecolors=GRID_COLOR, linewidth=0.4)
    else:
        # `imshow` would need several numbers per dot while it scales the image.
        pixels = colors.to_rgba(matrix, bytes=True)  # (T, S, 4)
        edges = np.arange(num_columns + 1), np.arange(num_rows + 1)
        axes.add_image(PcolorImage(axes, *edges, pixels, in_layout=False))
    # The matrix starts at the top: the first target piece above, the source pieces along the upper edge.
    axes.set_xlim((num_columns, 0) if right_to_left else (0, num_columns))
    axes.set_ylim(num_rows, 0)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(FRAME_COLOR)
    steps = _draw_labels(axes, columns, rows, cell_width=cell_width, cell_height=cell_height)
    if title.texts[0]:
        _draw_title(figure, axes, title)
    # The colour bar stands to the right of the matrix and starts at its top.
    bar_bottom = min(0.0, height - MIN_COLORBAR_INCHES) / (height + 1)
    bar_axes = figure.add_axes(
        ((width + 0.25) / (width + 1), bar_bottom, 0.12 / (width + 1), height / (height + 1) - bar_bottom)
    )
    bar = figure.colorbar(colors, cax=bar_axes, ticks=[0, 0.5, 1])
    bar.set_label("attention weight", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_edgecolor(FRAME_COLOR)
    legend = (
        f"across: source pieces{' from right to left' if right_to_left else ''}{_describe_step(steps[0])}; "
        f"down: target pieces{_describe_step(steps[1])}; each row sums to 1; {CONTINUATION} continues a word"
    )
    figure.text(0, bar_bottom - 0.08 / (height + 1), legend, fontsize=7, color=QUIET_COLOR, va="top")
    return figure


def _describe_step(step: int) -> str:
    return f" (one label in {step})" if step > 1 else ""


def _draw_labels(
    axes: Axes, columns: Labels, rows: Labels, *, cell_width: float, cell_height: float
) -> tuple[int, int]:
    """Writes a label at the middle of every n-th column and row; returns n for both. Cell sizes are in inches.

    The labels are no ticks, for which matplotlib would take ten times as long.
    """
    font_size, column_step = _fit_labels(cell_width)
    for i in range(0, len(columns.texts), column_step):
        axes.text(
            i + 0.5,
            -LABEL_INCHES / cell_height,
            columns.texts[i],
            fontfamily=columns.families[i],
            fontsize=font_size,
            rotation=60,
            rotation_mode="anchor",
            ha="left",
            va="bottom",
            parse_math=False,  # a "$" is a piece, not mathematics
        )
    font_size, row_step = _fit_labels(cell_height)
    right_to_left = axes.xaxis_inverted()
    left = len(columns.texts) + LABEL_INCHES / cell_width if right_to_left else -LABEL_INCHES / cell_width
    for i in range(0, len(rows.texts), row_step):
        axes.text(
            left,
            i + 0.5,
            rows.texts[i],
            fontfamily=rows.families[i],
            fontsize=font_size,
            ha="right",
            va="center_baseline",
            parse_math=False,
        )
    return column_step, row_step


def _fit_labels(cell: float) -> tuple[float, int]:
    """The font size of labels beside cells of this size (in inches), in points; and n if every n-th one has room."""
    points = cell * POINTS_PER_INCH
    font_size = min(MAX_FONT_SIZE, max(MIN_FONT_SIZE, points / LINE_SPACING))
    return font_size, math.ceil(font_size * LINE_SPACING / points - 1e-6)  # without the last digit's rounding


def _draw_title(figure: Figure, axes: Axes, title: Labels) -> None:
    """Writes the title above the matrix and all labels."""
    top = max(text.get_window_extent().y1 for text in axes.texts) / figure.bbox.height
    axes.text(
        0,
        top + TITLE_INCHES / figure.get_figheight(),
        title.texts[0],
        fontfamily=title.families[0],
        fontsize=10,
        parse_math=False,
        transform=figure.transFigure,
    )
