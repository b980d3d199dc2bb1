"""An attention matrix as a heat map inside a page: its layout is here, its drawing in `_heat_map.html.j2`.

One row for each piece or word that attends, one column for each that is attended to; the weights of a row sum to one.
The columns run in the direction in which they are read: those of an Arabic or Hebrew sentence start at the right.
Pictures and pages agree on this; data files keep the order of the sentence.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.report.formatting import isolate
from nmt.report.labels import piece_labels, runs_right_to_left, shorten, text_width

Block = tuple[int, int, int, int]
"""A rectangle of cells: its first row, its first column, its number of rows and its number of columns."""

PAPER_COLOR, INK_COLOR, OUTLINE_COLOR = "#f7fafd", "#08306b", "#e07b00"
"""The colours of a weight of 0 and of 1, between which a weight is interpolated, and of outlines. The scale is of one
hue and grows steadily darker, so it survives greyscale printing and colour blindness; the outline's lightness lies in
the middle of it, so it stands out from both ends in grey, too. style.css has the same colours."""

CELL_SIZE, SMALL_CELL_SIZE = 18, 13
"""Side of a cell, in CSS pixels, and of one where the matrices of a line would not fit side by side otherwise."""

MAX_CELLS = 4000
"""Maximum number of cells that are elements of the page, of all matrices of a figure; larger matrices are images."""

WEIGHT_TOLERANCE = 1e-3
"""How far rounding may take a weight out of the range from 0 to 1."""


@dataclass(frozen=True)
class HeatMap:
    """An attention matrix laid out for `_heat_map.html.j2`, in CSS pixels."""

    cell: int
    """Side of a cell."""
    left: float
    """Where the columns start; the row labels end just before."""
    top: float
    width: float
    height: float
    columns: list[tuple[str, str]]
    """The label of each column from left to right, as drawn and in full."""
    rows: list[tuple[str, str]]
    """The label of each row, as drawn and in full."""
    right_to_left: bool
    """Whether the columns run from right to left."""
    cells: list[tuple[int, int, float]]
    """(row, column, weight) of each cell that is dark enough to be seen; with an image, of the darkest in each row."""
    outlines: list[Block]
    """The rectangles of cells that are outlined, by their place in the picture."""
    image: str | None
    """A large matrix as a PNG file in base64, one pixel per cell, white for a weight of one."""

    @property
    def id(self) -> str:
        """A name for the image in its page: equal images have equal names."""
        return f"m{zlib.crc32((self.image or '').encode()):08x}"


def layout_heat_map(
    columns: Sequence[str],
    rows: Sequence[str],
    weights: npt.ArrayLike,
    *,
    outlines: Sequence[Block] = (),
    cell: int = CELL_SIZE,
    num_matrices: int = 1,
) -> HeatMap:
    """Lays out a matrix for a page.

    Args:
        columns: the pieces or words that are attended to.
        rows: those that attend.
        weights: (R, C), see `check_weights`.
        outlines: rectangles of cells to outline, such as known word links.
        cell: side of a cell, in CSS pixels.
        num_matrices: how many matrices are shown together; of many, even smaller ones become images.

    Raises:
        UserError: see `check_weights`.
    """
    matrix = check_weights(columns, rows, weights)  # (R, C)
    right_to_left = runs_right_to_left(columns)
    column_labels = [(shorten(label), label) for label in piece_labels(columns)]
    row_labels = [(shorten(label), label) for label in piece_labels(rows)]
    if right_to_left:
        column_labels, matrix = column_labels[::-1], matrix[:, ::-1]
        outlines = mirror(outlines, len(columns))
    visible = [(int(row), int(column)) for row, column in np.argwhere(matrix >= 0.0005)]  # three decimals are written
    is_large = len(visible) > MAX_CELLS // num_matrices
    if is_large:
        visible = list(enumerate(matrix.argmax(1).tolist()))
    longest_column = max(text_width(label) for label, _ in column_labels)
    left = max(text_width(label) for label, _ in row_labels) + 12
    top = longest_column * 0.87 + 16  # the column labels rise at 60 degrees: sin 60° = 0.87, cos 60° = 0.5
    ends = [(i + 0.65) * cell + text_width(label) * 0.5 + 10 for i, (label, _) in enumerate(column_labels)]
    return HeatMap(
        cell=cell,
        left=left,
        top=top,
        width=left + max(cell * len(column_labels) + 4, *ends),
        height=top + cell * len(row_labels) + 4,
        columns=[(isolate(short), isolate(full)) for short, full in column_labels],
        rows=[(isolate(short), isolate(full)) for short, full in row_labels],
        right_to_left=right_to_left,
        cells=[(row, column, float(matrix[row, column])) for row, column in visible],
        outlines=list(outlines),
        image=_encode_image(matrix) if is_large else None,
    )


def mirror(blocks: Sequence[Block], num_columns: int) -> list[Block]:
    """Rectangles in a matrix whose columns run the other way."""
    return [(row, num_columns - column - width, height, width) for row, column, height, width in blocks]


def _encode_image(matrix: npt.NDArray[np.float64]) -> str:
    """The matrix (R, C) as a PNG file in base64."""
    from matplotlib.image import imsave  # only here: it is slow to import

    file = io.BytesIO()
    imsave(file, matrix, format="png", cmap="gray", vmin=0, vmax=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def check_weights(columns: Sequence[str], rows: Sequence[str], weights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Returns attention weights as an array (R, C).

    Args:
        columns: the C pieces or words that are attended to.
        rows: the R pieces or words that attend.
        weights: an array or rows of numbers.

    Raises:
        UserError: there are no rows or no columns; or the weights do not have as many of them as there are labels; or
            they are not between 0 and 1.
    """
    shape = (len(rows), len(columns))
    if 0 in shape:
        raise UserError("there is no attention to draw: the source or the target has no pieces")
    try:
        matrix = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("the attention weights are not rows of equally many numbers") from None
    if matrix.shape != shape:
        raise UserError(
            f"the attention weights are {' × '.join(map(str, matrix.shape))}, "
            f"but there are labels for {shape[0]} rows × {shape[1]} columns"
        )
    if not ((matrix > -WEIGHT_TOLERANCE) & (matrix < 1 + WEIGHT_TOLERANCE)).all():  # also false for NaN
        raise UserError("the attention weights must lie between 0 and 1")
    return matrix
