"""Draws a figure of attention matrices as a picture (PNG, SVG or PDF).

matplotlib shapes the text of all scripts: it joins Arabic letters, orders Hindi vowels, and runs Hebrew from right to
left. The size of a picture is limited: in a large one the cells shrink, then the labels, and then labels are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from textwrap import fill
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nmt.report.figure import Figure, Panel
from nmt.report.fonts import DEFAULT_FAMILY, choose_fonts
from nmt.report.formatting import isolate, show_control_characters
from nmt.report.heat_map import INK_COLOR, OUTLINE_COLOR, PAPER_COLOR, check_weights
from nmt.report.labels import piece_labels, runs_right_to_left, shorten
from nmt.report.picture_layout import (
    LABEL_INCHES,
    MAX_FONT_SIZE,
    POINTS_PER_INCH,
    REMARK_INCHES,
    Labels,
    Layout,
    Matrix,
    PlacedMatrix,
    arrange,
    fit_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure as Canvas

DOTS_PER_INCH = {"png": 150, "svg": 100, "pdf": 100}
"""Resolution of a PNG file, and of the image of a large matrix inside the other formats."""

COLORBAR_INCHES = 1.2
"""Height of the colour bar, in inches, so that its labels stay legible."""

MAX_VECTOR_CELLS = 6000
"""Maximum number of cells that are drawn one by one, in all matrices together; in larger figures, each is an image."""

MIN_GRID_INCHES = 0.1
"""Minimum side of a cell in an image that has a grid, in inches."""

TITLE_FONT_SIZE, REMARK_FONT_SIZE, CAPTION_FONT_SIZE = 9.0, 7.0, 7.0
FIGURE_TITLE_FONT_SIZE = 11.0
"""Sizes of texts, in points."""

CAPTION_LETTERS_PER_INCH, MIN_CAPTION_LENGTH = 18, 60
"""About how many letters of the caption fit into an inch, and into a line of it at least."""

DEFAULT_FAMILIES = [DEFAULT_FAMILY, "sans-serif"]
"""Font families of text for which none were chosen; a browser knows the second one."""

GRID_COLOR, FRAME_COLOR, QUIET_COLOR = "#e4e9ef", "#b8c2cc", "#5b6670"


def save_picture(file: BinaryIO, figure: Figure, *, file_format: str) -> list[str]:
    """Draws a figure into a file of the format "png", "svg" or "pdf".

    Returns:
        The characters that no font on this machine can draw. An SVG file has none: it contains text, and the reader's
        browser chooses the fonts.
    """
    import matplotlib  # only here: it is slow to import, and pages and data do without it

    settings: Any = {
        "font.family": DEFAULT_FAMILIES,
        "svg.fonttype": "none",  # keep text as text: it can be searched, and uses the reader's emoji font
        "svg.hashsalt": "nmt",  # the same input gives the same file
        "pdf.fonttype": 3,  # type 42 takes ten seconds for a Chinese font
    }
    metadata: Any = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    missing: dict[str, None] = {}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the caller says so once, in plain words

        @cache
        def label(texts: tuple[str, ...]) -> Labels:
            """Chooses fonts for texts that stand together, and measures them.

            Each side of a matrix has fonts of its own: the same Han character looks different in Chinese and Japanese.
            """
            if file_format == "svg":
                texts = tuple(map(isolate, texts))
                families = [DEFAULT_FAMILIES] * len(texts)
            else:
                choice = choose_fonts(texts)
                missing.update(dict.fromkeys(choice.missing))
                families = choice.families
            return Labels(texts, families, [_measure(*each) for each in zip(texts, families, strict=True)])

        lines = [[_prepare(panel, label) for panel in line] for line in figure.lines]
        layout = arrange(lines)
        heading, caption = (label((show_control_characters(text),)) for text in (figure.title, figure.explanation))
        canvas = _draw(layout, heading, caption)
        dpi = DOTS_PER_INCH[file_format]
        canvas.savefig(file, format=file_format, dpi=dpi, bbox_inches="tight", facecolor="white", metadata=metadata)
    return list(missing)


def _prepare(panel: Panel, label: Callable[[tuple[str, ...]], Labels]) -> Matrix:
    """The panel with the fonts and sizes of its texts."""
    weights = check_weights(panel.columns, panel.rows, panel.matrix)  # (R, C)
    title, columns, rows = (
        label(tuple(texts))
        for texts in (
            map(show_control_characters, (panel.title, panel.remark)),
            map(shorten, piece_labels(panel.columns)),
            map(shorten, piece_labels(panel.rows)),
        )
    )
    return Matrix(title, columns, rows, weights, panel.outlines, runs_right_to_left(panel.columns))


def _measure(text: str, families: list[str]) -> float:
    """The width of a text at MAX_FONT_SIZE, in inches."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    renderer: Any = RendererAgg(1, 1, POINTS_PER_INCH)  # type: ignore[no-untyped-call]
    font = FontProperties(family=families, size=MAX_FONT_SIZE)
    width, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / POINTS_PER_INCH


def color_map() -> Colormap:
    """From the colour of a weight of 0 to that of 1."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("attention", [PAPER_COLOR, INK_COLOR])


def _draw(layout: Layout, heading: Labels, caption: Labels) -> Canvas:
    """Draws all matrices, with a colour bar at their right, a heading above and a caption below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure as Canvas

    width, height = layout.width + 1, max(layout.height, layout.matrices[0].top + COLORBAR_INCHES)
    canvas = Canvas(figsize=(width, height), dpi=POINTS_PER_INCH)
    FigureCanvasAgg(canvas)
    colors = ScalarMappable(Normalize(0, 1), color_map())
    as_images = sum(each.matrix.weights.size for each in layout.matrices) > MAX_VECTOR_CELLS

    def add_axes(left: float, top: float, across: float, down: float) -> Axes:
        """Axes at a place that is given in inches from the upper left corner."""
        return canvas.add_axes((left / width, 1 - (top + down) / height, across / width, down / height))

    def write(
        left: float,
        top: float,
        text: str,
        families: list[str],
        size: float,
        color: str = "black",
        align: str = "bottom",
    ) -> None:
        canvas.text(
            left / width, 1 - top / height, text, fontfamily=families, fontsize=size, color=color, va=align,
            parse_math=False,  # a "$" is a piece, not mathematics
        )  # fmt: skip

    for placed in layout.matrices:
        matrix = placed.matrix
        num_rows, num_columns = matrix.weights.shape
        axes = add_axes(placed.left, placed.top, num_columns * layout.cell_width, num_rows * layout.cell_height)
        _draw_cells(axes, matrix, colors, as_image=as_images, cell=min(layout.cell_width, layout.cell_height))
        _draw_labels(axes, placed, layout)
        (title, remark), families = matrix.title.texts, matrix.title.families
        bottom = placed.top - placed.title_height
        write(placed.left, bottom, remark, families[1], REMARK_FONT_SIZE, QUIET_COLOR)
        write(placed.left, bottom - (REMARK_INCHES if remark else 0), title, families[0], TITLE_FONT_SIZE)

    first = layout.matrices[0]
    bar_axes = add_axes(layout.width + 0.25, first.top, 0.12, COLORBAR_INCHES)
    bar = canvas.colorbar(colors, cax=bar_axes, ticks=[0, 0.5, 1])
    bar.set_label("attention weight", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_edgecolor(FRAME_COLOR)
    write(0, -0.1, heading.texts[0], heading.families[0], FIGURE_TITLE_FONT_SIZE)
    text = caption.texts[0]
    for name, cell in (("column", layout.cell_width), ("row", layout.cell_height)):
        _, step = fit_labels(cell)
        text += f" One {name} in {step} is labelled." if step > 1 else ""
    text = fill(text, max(MIN_CAPTION_LENGTH, int(width * CAPTION_LETTERS_PER_INCH)))
    write(0, height + 0.1, text, caption.families[0], CAPTION_FONT_SIZE, QUIET_COLOR, align="top")
    return canvas


def _draw_cells(axes: Axes, matrix: Matrix, colors: ScalarMappable, *, as_image: bool, cell: float) -> None:
    """Draws the cells, the grid between them, and outlines, in coordinates of rows and columns."""
    from matplotlib.collections import LineCollection
    from matplotlib.image import PcolorImage
    from matplotlib.patches import Rectangle

    num_rows, num_columns = matrix.weights.shape
    if as_image:
        # `imshow` would need several numbers per dot while it scales the image.
        pixels = colors.to_rgba(matrix.weights, bytes=True)  # (R, C, 4)
        axes.add_image(PcolorImage(axes, np.arange(num_columns + 1), np.arange(num_rows + 1), pixels, in_layout=False))
        if cell >= MIN_GRID_INCHES:
            lines = [[(x, 0), (x, num_rows)] for x in range(1, num_columns)]
            lines += [[(0, y), (num_columns, y)] for y in range(1, num_rows)]
            axes.add_collection(LineCollection(lines, colors=GRID_COLOR, linewidths=0.4))
    else:
        axes.pcolormesh(matrix.weights, cmap=colors.cmap, vmin=0, vmax=1, edgecolors=GRID_COLOR, linewidth=0.4)
    for row, column, height, width in matrix.outlines:
        line_width = min(1.6, cell * POINTS_PER_INCH / 6)
        for color, factor in ((PAPER_COLOR, 2), (OUTLINE_COLOR, 1)):  # a light rim, for cells as dark as the outline
            axes.add_patch(
                Rectangle((column, row), width, height, fill=False, ec=color, linewidth=factor * line_width, zorder=3)
            )
    # The matrix starts at the top: the first row above, the columns along the upper edge.
    axes.set_xlim((num_columns, 0) if matrix.right_to_left else (0, num_columns))
    axes.set_ylim(num_rows, 0)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(FRAME_COLOR)


def _draw_labels(axes: Axes, placed: PlacedMatrix, layout: Layout) -> None:
    """Writes a label at the middle of every n-th column and row.

    The labels are no ticks, for which matplotlib would take ten times as long.
    """
    matrix = placed.matrix
    font_size, step = fit_labels(layout.cell_width)
    for i in range(0, len(matrix.columns.texts) if placed.has_columns else 0, step):
        axes.text(
            i + 0.5,
            -LABEL_INCHES / layout.cell_height,
            matrix.columns.texts[i],
            fontfamily=matrix.columns.families[i],
            fontsize=font_size,
            rotation=60,
            rotation_mode="anchor",
            ha="left",
            va="bottom",
            parse_math=False,
        )
    font_size, step = fit_labels(layout.cell_height)
    margin = LABEL_INCHES / layout.cell_width
    for i in range(0, len(matrix.rows.texts) if placed.has_rows else 0, step):
        axes.text(
            len(matrix.columns.texts) + margin if matrix.right_to_left else -margin,
            i + 0.5,
            matrix.rows.texts[i],
            fontfamily=matrix.rows.families[i],
            fontsize=font_size,
            ha="right",
            va="center_baseline",
            parse_math=False,
        )
