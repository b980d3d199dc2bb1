"""Where the matrices of a picture stand, and how large their cells are. All lengths are in inches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.report.heat_map import Block

MAX_CELL_INCHES, MAX_SHARED_CELL_INCHES = 0.27, 0.2
"""Side of a cell, unless the picture would become too large; and of one in a picture of several matrices."""

PAGE_INCHES, READABLE_INCHES = 17.0, 0.11
"""Maximum width of several matrices side by side: further ones continue below. It may be exceeded if cells would be
smaller than the second number."""

MAX_PICTURE_INCHES = 27.0
"""Maximum width and height of a picture: memory and time grow with the number of dots."""

SHRINKING = 0.98
"""By how much cells shrink until the picture is small enough."""

LABEL_INCHES, GAP_INCHES, LINE_INCHES = 0.05, 0.22, 0.3
"""Distance of labels from their matrix, between matrices side by side, and between lines of matrices."""

TITLE_INCHES, REMARK_INCHES = 0.2, 0.14
"""Height of a title, and of the quieter line below it."""

MAX_FONT_SIZE, MIN_FONT_SIZE = 9.0, 5.0
"""Size of a label, in points."""

LINE_SPACING = 1.08
"""Minimum distance of two labels, in font sizes."""

POINTS_PER_INCH = 72

LABEL_SLOPE = math.radians(60)
"""How steeply the labels of the columns rise."""


@dataclass(frozen=True)
class Labels:
    """Texts of a picture, each with the names of its font families, the first choice first, and its width."""

    texts: Sequence[str]
    families: Sequence[list[str]]
    widths: Sequence[float]  # at MAX_FONT_SIZE

    def width(self, font_size: float) -> float:
        """The width of the longest text."""
        return max(self.widths) * font_size / MAX_FONT_SIZE


@dataclass(frozen=True)
class Matrix:
    """A matrix that is ready to be drawn.

    Attributes:
        title: two texts, of which the second is quieter; each may be empty.
        columns, rows: the label of each.
        weights: (R, C).
        outlines: rectangles of cells to outline.
        right_to_left: the first column is at the right.
    """

    title: Labels
    columns: Labels
    rows: Labels
    weights: npt.NDArray[np.float64]
    outlines: Sequence[Block]
    right_to_left: bool


@dataclass(frozen=True)
class PlacedMatrix:
    """A matrix with its place in the picture.

    Attributes:
        left, top: of its upper left cell.
        title_height: how far the title stands above it.
        has_columns, has_rows: whether its columns and rows are labelled; otherwise they have the labels of the matrix
            above or at the left.
    """

    matrix: Matrix
    left: float
    top: float
    title_height: float
    has_columns: bool
    has_rows: bool


@dataclass(frozen=True)
class Layout:
    """The matrices of a picture with their places, and its size."""

    matrices: list[PlacedMatrix]
    width: float
    height: float
    cell_width: float
    cell_height: float


def fit_labels(cell: float) -> tuple[float, int]:
    """The font size of labels beside cells of this size, in points; and n if every n-th one has room."""
    points = cell * POINTS_PER_INCH
    font_size = min(MAX_FONT_SIZE, max(MIN_FONT_SIZE, points / LINE_SPACING))
    return font_size, math.ceil(font_size * LINE_SPACING / points - 1e-6)  # without the last digit's rounding


def arrange(lines: Sequence[Sequence[Matrix]]) -> Layout:
    """Places matrices in lines, with the largest cells with which the picture is not too large."""
    layout = _fit(lines, PAGE_INCHES)
    if layout.cell_width < READABLE_INCHES and len(layout.matrices) > 1:
        wide = _fit(lines, MAX_PICTURE_INCHES)
        return wide if wide.cell_width > layout.cell_width else layout
    return layout


def _fit(lines: Sequence[Sequence[Matrix]], page: float) -> Layout:
    """Shrinks the cells until the picture is small enough. Matrices side by side are at most as wide as the page."""
    is_single = sum(map(len, lines)) == 1
    width = height = MAX_CELL_INCHES if is_single else MAX_SHARED_CELL_INCHES
    while True:
        layout = _place(lines, width, height, page)
        if layout.width <= MAX_PICTURE_INCHES and layout.height <= MAX_PICTURE_INCHES:
            return layout
        width *= SHRINKING if layout.width > MAX_PICTURE_INCHES else 1
        height *= SHRINKING if layout.height > MAX_PICTURE_INCHES else 1
        if not is_single:
            width = height = min(width, height)  # matrices side by side are compared: their cells stay square


def _place(lines: Sequence[Sequence[Matrix]], cell_width: float, cell_height: float, page: float) -> Layout:
    """Places matrices with cells of a given size."""
    column_size, row_size = fit_labels(cell_width)[0], fit_labels(cell_height)[0]
    placed: list[PlacedMatrix] = []
    above: list[PlacedMatrix] = []
    bottom = total_width = 0.0

    def measure(matrix: Matrix, before: Matrix | None) -> tuple[float, float]:
        """The width of the row labels, if the matrix has its own, and of everything at their right."""
        has_rows = before is None or before.rows != matrix.rows
        num_columns = matrix.weights.shape[1]
        return (
            matrix.rows.width(row_size) + 2 * LABEL_INCHES if has_rows else 0.0,
            max(num_columns * cell_width, matrix.title.width(MAX_FONT_SIZE)),
        )

    def measure_all(matrices: Sequence[Matrix]) -> float:
        sizes = [sum(measure(matrix, before)) for before, matrix in zip([None, *matrices], matrices, strict=False)]
        return sum(sizes) + GAP_INCHES * (len(matrices) - 1)

    for line in lines:
        for part in _wrap(line, lambda matrices: measure_all(matrices) <= page):
            # 1. Find the left edge of each matrix, and whether it needs labels of its own.
            edge, found = -GAP_INCHES, list[PlacedMatrix]()
            for index, matrix in enumerate(part):
                label_width, own_width = measure(matrix, part[index - 1] if index else None)
                left = edge + GAP_INCHES + label_width
                edge = left + own_width
                shares = index < len(above) and above[index].matrix.columns == matrix.columns
                has_columns = not shares or abs(above[index].left - left) > 1e-6
                found.append(PlacedMatrix(matrix, left, 0.0, 0.0, has_columns, label_width > 0))
            total_width = max(total_width, edge)

            # 2. All of them start at the same height, below the highest labels and titles.
            label_heights = [_rise(each.matrix.columns, column_size) for each in found if each.has_columns]
            label_height = max(label_heights, default=LABEL_INCHES)
            title_height = max(_title_height(each.matrix.title) for each in found)
            top = bottom + (LINE_INCHES if placed else 0) + title_height + label_height
            above = [
                PlacedMatrix(each.matrix, each.left, top, label_height, each.has_columns, each.has_rows)
                for each in found
            ]
            placed += above
            bottom = top + max(each.matrix.weights.shape[0] for each in found) * cell_height
    return Layout(placed, total_width, bottom, cell_width, cell_height)


def _rise(columns: Labels, font_size: float) -> float:
    """The height of the labels of columns, which rise to the right."""
    thickness = font_size / POINTS_PER_INCH
    return LABEL_INCHES * 2 + columns.width(font_size) * math.sin(LABEL_SLOPE) + thickness * math.cos(LABEL_SLOPE)


def _title_height(title: Labels) -> float:
    heading, remark = title.texts
    return (TITLE_INCHES if heading else 0) + (REMARK_INCHES if remark else 0)


def _wrap(line: Sequence[Matrix], fits: Callable[[Sequence[Matrix]], bool]) -> list[Sequence[Matrix]]:
    """Cuts a line into the fewest parts that fit, of about equal length; a single matrix may be too wide."""
    for num_parts in range(1, len(line)):
        size = math.ceil(len(line) / num_parts)
        parts = [line[start : start + size] for start in range(0, len(line), size)]
        if all(map(fits, parts)):
            return parts
    return [[matrix] for matrix in line]
