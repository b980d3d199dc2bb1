"""An alignment matrix as a heat map inside a page: its layout is here, its drawing in `_heat_map.html.j2`.

One row per target piece, one column per source piece; the weights of a row sum to one. The columns run in the direction
in which the source is read: those of an Arabic or Hebrew sentence start at the right. Pictures and pages agree on this;
data files keep the order of the sentence.
"""

from __future__ import annotations

import base64
import io
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.report.formatting import is_ignorable, is_right_to_left, isolate, show_control_characters

WORD_START = "▁"
"""SentencePiece's mark on a piece that starts a word."""

CONTINUATION = "·"
"""The report's mark on a piece that continues a word."""

SPACE = "␣"
"""The report's mark for a space."""

DOTTED_CIRCLE = "◌"
"""Unicode's letter to which a combining mark is attached that is shown alone."""

UNSPACED_SCRIPTS = {"CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE"}
"""First words of the names of characters in scripts without spaces between words."""

MAX_LABEL_LENGTH = 24
"""Maximum length of a label beside the matrix, in characters; a longer one is cut and shown in full on hover."""

CELL_SIZE, SMALL_CELL_SIZE = 18, 13
"""Side of a cell, in CSS pixels, and of a cell in a matrix with more than MAX_LARGE_CELLS rows or columns."""

MAX_LARGE_CELLS = 120
"""Maximum number of rows or columns with cells of CELL_SIZE."""

MAX_CELLS = 4000
"""Maximum number of cells that are elements of the page; the cells of a larger matrix are one image."""

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
    """The label of each column from left to right, as drawn and in full."""
    rows: list[tuple[str, str]]
    """The label of each target piece, as drawn and in full."""
    right_to_left: bool
    """Whether the source pieces run from right to left."""
    cells: list[tuple[int, int, float]]
    """(row, column, weight) of each cell that is dark enough to be seen; with an image, of the darkest in each row."""
    image: str | None
    """A large matrix as a PNG file in base64, one pixel per cell, white for a weight of one."""

    @property
    def id(self) -> str:
        """A name for the image in its page: equal images have equal names."""
        return f"m{zlib.crc32((self.image or '').encode()):08x}"


def layout_heat_map(source_tokens: Sequence[str], target_tokens: Sequence[str], weights: npt.ArrayLike) -> HeatMap:
    """Lays out the matrix for a page; see `check_weights` for the arguments and for what it raises."""
    matrix = check_weights(source_tokens, target_tokens, weights)  # (T, S)
    right_to_left = is_right_to_left_source(source_tokens)
    columns = [(shorten(label), label) for label in piece_labels(source_tokens)]
    rows = [(shorten(label), label) for label in piece_labels(target_tokens)]
    if right_to_left:
        columns, matrix = columns[::-1], matrix[:, ::-1]
    visible = [(int(row), int(column)) for row, column in np.argwhere(matrix >= 0.0005)]  # three decimals are written
    is_large = len(visible) > MAX_CELLS
    if is_large:
        visible = list(enumerate(matrix.argmax(1).tolist()))
    cell = CELL_SIZE if max(matrix.shape) <= MAX_LARGE_CELLS else SMALL_CELL_SIZE
    longest_column = max(_text_width(label) for label, _ in columns)
    left = max(_text_width(label) for label, _ in rows) + 12
    top = longest_column * 0.87 + 16  # the column labels rise at 60 degrees: sin 60° = 0.87, cos 60° = 0.5
    return HeatMap(
        cell=cell,
        left=left,
        top=top,
        width=left + cell * len(columns) + max(8, longest_column * 0.5),
        height=top + cell * len(rows) + 4,
        columns=[(isolate(short), isolate(full)) for short, full in columns],
        rows=[(isolate(short), isolate(full)) for short, full in rows],
        right_to_left=right_to_left,
        cells=[(row, column, float(matrix[row, column])) for row, column in visible],
        image=_encode_image(matrix) if is_large else None,
    )


def _encode_image(matrix: npt.NDArray[np.float64]) -> str:
    """The matrix (T, S) as a PNG file in base64."""
    from matplotlib.image import imsave  # only here: it is slow to import

    file = io.BytesIO()
    imsave(file, matrix, format="png", cmap="gray", vmin=0, vmax=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def is_right_to_left_source(source_tokens: Sequence[str]) -> bool:
    """Tells whether the columns run from right to left: most letters of the source belong to such a script."""
    return is_right_to_left("".join(token for token in source_tokens if not _is_special(token)))


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

    Punctuation, special pieces ("</s>") and scripts without spaces get no dot. If no piece has a "▁", each piece is a
    whole word. Whatever has no ink is made visible: a space becomes "␣", a combining mark alone gets a dotted circle,
    and other characters alone are written as their numbers ("U+200C").
    """
    marked = any(piece.startswith(WORD_START) for piece in pieces)
    return [show_control_characters(piece) if _is_special(piece) else _label(piece, marked=marked) for piece in pieces]


def _label(piece: str, *, marked: bool) -> str:
    """The label of a piece that is not special; `marked` if "▁" marks the pieces that start a word."""
    text = piece.removeprefix(WORD_START)
    if not text.strip(WORD_START):
        return SPACE * max(1, len(piece))
    text = "".join(SPACE if _is_space(character) else character for character in show_control_characters(text))
    if all(map(is_ignorable, text)):
        return " ".join(f"U+{ord(character):04X}" for character in text)
    if unicodedata.category(text[0])[0] == "M":
        text = DOTTED_CIRCLE + text
    has_letters = any(unicodedata.category(character)[0] in "LMN" for character in text)
    if marked and not piece.startswith(WORD_START) and has_letters and not _is_unspaced(text):
        return CONTINUATION + text
    return text


def _is_special(piece: str) -> bool:
    return len(piece) > 2 and piece.startswith("<") and piece.endswith(">")


def _is_space(character: str) -> bool:
    return character == WORD_START or unicodedata.category(character) == "Zs"


def _is_unspaced(text: str) -> bool:
    """Tells whether a piece belongs to a script that has no spaces between words, such as Chinese or Thai."""
    return any(unicodedata.name(character, "").split(" ")[0] in UNSPACED_SCRIPTS for character in text)


def shorten(label: str) -> str:
    """Cuts a label to MAX_LABEL_LENGTH characters, but not between a letter and its marks."""
    if len(label) <= MAX_LABEL_LENGTH:
        return label
    end = MAX_LABEL_LENGTH - 1
    while end > MAX_LABEL_LENGTH // 2 and (_joins(label[end]) or label[end - 1] == "\u200d"):
        end -= 1
    return label[:end] + "…"


def _joins(character: str) -> bool:
    """Tells whether a character belongs to the one before it: a combining mark, or part of an emoji."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"


def _text_width(text: str) -> float:
    """Approximate width in pixels at 12 px, in whatever sans-serif font the reader has."""
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> float:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    return 13.0 if unicodedata.east_asian_width(character) in "WF" else 7.0
