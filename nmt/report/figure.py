"""A figure of attention: matrices in lines, which pages and pictures draw alike; and its layout for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt

from nmt.errors import UserError
from nmt.report.heat_map import CELL_SIZE, SMALL_CELL_SIZE, Block, HeatMap, check_weights, layout_heat_map
from nmt.report.labels import CONTINUATION, piece_labels, runs_right_to_left

MAX_PANELS, MAX_FIGURE_CELLS = 100, 2**21
"""Maximum number of matrices in a figure, and of cells in all of them together: more would neither be readable nor fit
into memory."""

PAGE_WIDTH = 1220
"""Width of the content of a page in a window of 1,280 pixels, in CSS pixels."""

PANEL_MARGIN = 26
"""Width that a matrix takes in a line beyond its own: the padding around it and the gap beside it, as in style.css."""


@dataclass(frozen=True)
class Panel:
    """One matrix of a figure.

    Attributes:
        title: written above it; may be empty.
        columns: the C pieces or words that are attended to.
        rows: the R pieces or words that attend.
        matrix: (R, C) weights between 0 and 1.
        remark: a second, quieter line of the title.
        outlines: rectangles of cells to outline.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[str]
    matrix: npt.ArrayLike
    remark: str = ""
    outlines: Sequence[Block] = ()


@dataclass(frozen=True)
class Figure:
    """Matrices with a title and a caption.

    Attributes:
        title: written above all matrices; may be empty.
        lines: the matrices that stand side by side in each line; a line that is too long is continued below.
        caption: explains what is shown.

    Raises:
        UserError: there is no matrix, or there are more than MAX_PANELS or MAX_FIGURE_CELLS, or `check_weights` refuses
            one.
    """

    title: str
    lines: list[list[Panel]]
    caption: str = "Each row shows how much it attends to each column; its weights sum to 1."

    def __post_init__(self) -> None:
        num_cells = sum(check_weights(panel.columns, panel.rows, panel.matrix).size for panel in self.panels)
        if len(self.panels) > MAX_PANELS or (num_cells > MAX_FIGURE_CELLS and len(self.panels) > 1):
            raise UserError(
                f"{len(self.panels)} matrices with {num_cells:,} weights are too many for a figure "
                f"(at most {MAX_PANELS} and {MAX_FIGURE_CELLS:,}): choose fewer runs, kinds, layers or heads"
            )

    @property
    def panels(self) -> list[Panel]:
        """All matrices, line by line."""
        return [panel for line in self.lines for panel in line]

    @property
    def explanation(self) -> str:
        """The caption, with what the labels need to be understood."""
        sentences = [self.caption]
        labels = [label for each in self.panels for side in (each.columns, each.rows) for label in piece_labels(side)]
        if any(label.startswith(CONTINUATION) for label in labels):
            sentences.append(f"{CONTINUATION} continues a word.")
        if any(runs_right_to_left(panel.columns) for panel in self.panels):
            sentences.append("The columns run from right to left, as their text is read.")
        return " ".join(sentences)


def layout_lines(lines: Sequence[Sequence[Panel]]) -> list[list[HeatMap]]:
    """Lays out matrices for a page. Their cells are small if a line would be wider than PAGE_WIDTH otherwise.

    Raises:
        UserError: see `check_weights`.
    """
    num_matrices = sum(map(len, lines))

    def layout(cell: int) -> list[list[HeatMap]]:
        return [
            [
                layout_heat_map(
                    panel.columns,
                    panel.rows,
                    panel.matrix,
                    outlines=panel.outlines,
                    cell=cell,
                    num_matrices=num_matrices,
                )
                for panel in line
            ]
            for line in lines
        ]

    heat_maps = layout(CELL_SIZE)
    widest = max(sum(heat_map.width + PANEL_MARGIN for heat_map in line) for line in heat_maps)
    return heat_maps if widest <= PAGE_WIDTH else layout(SMALL_CELL_SIZE)
