"""An alignment matrix as a heat map inside a page: its layout is here, its drawing in `_heat_map.html.j2`.

One row per target piece, one column per source piece; the weights of a row sum to one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.report.formatting import show_control_characters

WORD_START = "▁"
"""SentencePiece's mark on a piece that starts a word."""

CONTINUATION = "·"
"""The report's mark on a piece that continues a word."""

MAX_LABEL_LENGTH = 24
"""Maximum length of a label beside the matrix, in characters; a longer one is cut and shown in full on hover."""

CELL_SIZE = 18
"""Side of a cell, in CSS pixels."""

WEIGHT_TOLERANCE = 1e-3
"""How far rounding may take a weight out of the range from 0 to 1."""


@dataclass(frozen=True)
class HeatMap:
    """An alignment matrix laid out for `_heat_map.html.j2`, in CSS pixels."""

    cell: int
    """Side of a cell."""
    left: float
    """Where the columns start; the row labels end just before."""
    top: float
    width: float
    height: float
    columns: list[tuple[str, str]]
    """The label of each source piece, as drawn and in full."""
    rows: list[tuple[str, str]]
    """The label of each target piece, as drawn and in full."""
    cells: list[tuple[int, int, float]]
    """(row, column, weight) of each cell that is dark enough to be seen."""


def layout_heat_map(source_tokens: Sequence[str], target_tokens: Sequence[str], weights: npt.ArrayLike) -> HeatMap:
    """Lays out the matrix for a page; see `check_weights` for the arguments and for what it raises."""
    matrix = check_weights(source_tokens, target_tokens, weights)  # (T, S)
    columns = [(shorten(label), label) for label in piece_labels(source_tokens)]
    rows = [(shorten(label), label) for label in piece_labels(target_tokens)]
    longest_column = max(_text_width(label) for label, _ in columns)
    left = max(_text_width(label) for label, _ in rows) + 12
    top = longest_column * 0.87 + 16  # the column labels rise at 60 degrees: sin 60° = 0.87, cos 60° = 0.5
    return HeatMap(
        cell=CELL_SIZE,
        left=left,
        top=top,
        width=left + CELL_SIZE * len(columns) + max(8, longest_column * 0.5),
        height=top + CELL_SIZE * len(rows) + 4,
        columns=columns,
        rows=rows,
        cells=[
            (row, column, float(weight)) for (row, column), weight in np.ndenumerate(matrix) if round(weight, 3) > 0
        ],
    )


def check_weights(
    source_tokens: Sequence[str], target_tokens: Sequence[str], weights: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Returns the attention weights as an array (T, S).

    Args:
        source_tokens: the S source pieces.
        target_tokens: the T target pieces.
        weights: a tensor, an array or rows of numbers.

    Raises:
        UserError: there are no pieces; or the weights do not have one row per target piece and one column per source
            piece; or they are not between 0 and 1.
    """
    shape = (len(target_tokens), len(source_tokens))
    if 0 in shape:
        raise UserError("there is no alignment to draw: the source or the target has no pieces")
    try:
        matrix = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("the attention weights are not rows of equally many numbers") from None
    if matrix.shape != shape:
        raise UserError(
            f"the attention weights are {' × '.join(map(str, matrix.shape))}, "
            f"but there are {shape[0]} target pieces × {shape[1]} source pieces"
        )
    if not ((matrix > -WEIGHT_TOLERANCE) & (matrix < 1 + WEIGHT_TOLERANCE)).all():  # also false for NaN
        raise UserError("the attention weights must lie between 0 and 1")
    return matrix


def piece_labels(pieces: Sequence[str]) -> list[str]:
    """Labels for people: the first piece of a word is plain ("dog"), a piece that continues one has a dot ("·gie").

    Punctuation and special pieces ("</s>") get no dot, and a lone "▁" becomes "␣". If no piece has a "▁", each piece is
    a whole word.
    """
    marked = any(piece.startswith(WORD_START) for piece in pieces)
    labels = []
    for piece in pieces:
        text = show_control_characters(piece.removeprefix(WORD_START))
        continues = marked and not piece.startswith(WORD_START) and any(c.isalnum() for c in text)
        if continues and not _is_special(piece):
            text = CONTINUATION + text
        labels.append(text or "␣")
    return labels


def _is_special(piece: str) -> bool:
    return len(piece) > 2 and piece.startswith("<") and piece.endswith(">")


def shorten(label: str) -> str:
    """Cuts a label to MAX_LABEL_LENGTH characters."""
    return label if len(label) <= MAX_LABEL_LENGTH else label[: MAX_LABEL_LENGTH - 1] + "…"


def _text_width(text: str) -> float:
    """Approximate width in pixels at 12 px, in whatever sans-serif font the reader has."""
    return sum(13.0 if unicodedata.east_asian_width(c) in "WF" else 7.0 for c in text)
