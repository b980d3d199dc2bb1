"""Attention weights as labelled matrices: choose layers and heads, group pieces into words, store and show them.

Shapes: L layers, H heads, R rows (what attends), C columns (what is attended to).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from nmt.data.words import WORD_START, Splitter, find_special, group_pieces, separate_words
from nmt.display import Displayed
from nmt.errors import UserError
from nmt.models.attention import Kind

EOS = "</s>"
"""The label of the end-of-sentence piece."""

NAMES: dict[Kind, str] = {
    "cross": "cross-attention",
    "encoder": "encoder self-attention",
    "decoder": "decoder self-attention",
}
"""The name of each kind in messages and titles."""

DECIMALS = 5
"""Decimals of a weight in JSON."""

Matrix = NDArray[np.float32]

Index = Annotated[int, Meta(ge=0)]
Weight = Annotated[float, Meta(ge=0, le=1)]


class AttentionJson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The attention weights of one kind for one sentence, of some layers and heads."""

    kind: Annotated[
        Kind, Meta(description="Which attention: of the decoder to the source, or the encoder's or decoder's to itself")
    ]
    layers: Annotated[
        list[Index] | None, Meta(description="The number of each layer, from 0; null for a mean over layers")
    ]
    heads: Annotated[
        list[Index] | None, Meta(description="The number of each head, from 0; null for a mean over heads")
    ]
    rows: Annotated[list[str], Meta(description="What attends: a label for each row, a piece or a word")]
    columns: Annotated[list[str], Meta(description="What is attended to: a label for each column")]
    weights: Annotated[
        list[list[list[list[Weight]]]],
        Meta(description="weights[layer][head][row][column], by position in the lists above; each row sums to 1"),
    ]


@dataclass(frozen=True, eq=False)
class Attention(Displayed):
    """The attention weights of one kind for one sentence, of some layers and heads.

    Attributes:
        kind: "cross", "encoder" or "decoder".
        weights: (L, H, R, C) between 0 and 1; every row sums to one.
        rows: R labels. Of cross-attention and of the decoder's self-attention: the target pieces that are predicted,
            `eos` included. Of the encoder's: the source pieces.
        columns: C labels. Of cross-attention and of the encoder's: the source pieces, `eos` included. Of the decoder's:
            the target pieces that it has read, from `bos` on.
        layers: the L numbers of the layers, from 0; None for a mean over layers.
        heads: the H numbers of the heads, from 0; None for a mean over heads.
    """

    kind: Kind
    weights: Matrix
    rows: list[str]
    columns: list[str]
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None

    def __post_init__(self) -> None:
        shape = (*(1 if n is None else len(n) for n in (self.layers, self.heads)), len(self.rows), len(self.columns))
        if self.weights.shape != shape:
            raise ValueError(f"the weights are {self.weights.shape}, but layers, heads and labels make {shape}")

    @property
    def matrix(self) -> Matrix:
        """The weights (R, C) of the only layer and head that are left.

        Raises:
            UserError: several layers or heads are left.
        """
        if self.weights.shape[:2] != (1, 1):
            raise UserError(f"there are several matrices: choose one by .head(layer, head) or .mean() of {self.name}")
        matrix: Matrix = self.weights[0, 0]
        return matrix

    @property
    def name(self) -> str:
        """A title for the weights, such as "cross-attention, layer 0, mean of its heads"."""
        layers = None if self.layers is None else _enumerate("layer", self.layers)
        heads = None if self.heads is None else _enumerate("head", self.heads)
        if layers is None and heads is None:
            return f"{NAMES[self.kind]}, mean of all heads"
        return f"{NAMES[self.kind]}, {layers or 'mean of all layers'}, {heads or 'mean of its heads'}"

    def layer(self, layer: int) -> Self:
        """One layer with all its heads.

        Raises:
            UserError: there is no such layer.
        """
        index = _find(layer, self.layers, "layer", self.name)
        return replace(self, weights=self.weights[index : index + 1], layers=(layer,))

    def head(self, layer: int, head: int) -> Self:
        """One head of one layer.

        Raises:
            UserError: there is no such layer or head.
        """
        one = self.layer(layer)
        index = _find(head, self.heads, "head", self.name)
        return replace(one, weights=one.weights[:, index : index + 1], heads=(head,))

    def select(self, layers: Sequence[int], heads: Sequence[int] | None) -> Self:
        """Several layers, with the same heads of each, in the given order.

        Args:
            layers: the numbers of the layers.
            heads: the numbers of the heads; None: the mean over the heads of each layer.

        Raises:
            UserError: there is no such layer or head.
        """
        layer_indices = [_find(layer, self.layers, "layer", self.name) for layer in layers]
        weights = self.weights[layer_indices]  # (L', H, R, C)
        if heads is None:
            return replace(self, weights=weights.mean(1, keepdims=True), layers=tuple(layers), heads=None)
        head_indices = [_find(head, self.heads, "head", self.name) for head in heads]
        return replace(self, weights=weights[:, head_indices], layers=tuple(layers), heads=tuple(heads))

    def mean(self) -> Self:
        """The mean over all layers and heads that are left."""
        layers = self.layers if self.layers is not None and len(self.layers) == 1 else None
        heads = self.heads if self.heads is not None and len(self.heads) == 1 else None
        return replace(self, weights=self.weights.mean((0, 1), keepdims=True), layers=layers, heads=heads)

    def words(self, split: Splitter = separate_words) -> Self:
        """The attention between words instead of pieces.

        The columns of a word's pieces are added and its rows are averaged, so the rows still sum to one. The column of
        a piece that spells parts of several words is divided equally among them. If no label has the mark "▁" of a
        piece, the labels are words already, and nothing changes.

        Args:
            split: how words are counted.
        """
        if not any(WORD_START in label for label in (*self.rows, *self.columns)):
            return self
        row_words, column_words = group_pieces(self.rows, split), group_pieces(self.columns, split)
        rows = membership([pieces for _, pieces in row_words], len(self.rows))  # (words, R)
        rows /= rows.sum(1, keepdims=True)
        columns = membership([pieces for _, pieces in column_words], len(self.columns))  # (words, C)
        columns /= columns.sum(0)
        return replace(
            self,
            weights=(rows @ self.weights @ columns.T).astype(np.float32),
            rows=[word for word, _ in row_words],
            columns=[word for word, _ in column_words],
        )

    def without_eos(self) -> Self:
        """The attention without the row and the column of `eos`; each row is scaled so that it sums to one again.

        A row that attends to `eos` alone becomes zero.
        """
        num_rows = len(self.rows) - (self.rows[-1:] == [EOS])
        num_columns = len(self.columns) - (self.columns[-1:] == [EOS])
        return self._keep(range(num_rows), range(num_columns))

    def without_special(self) -> Self:
        """The attention without the rows and columns of special pieces, such as `eos` and a tag, scaled likewise.

        The labels must be pieces.
        """
        rows, columns = (sorted(set(range(len(pieces))) - find_special(pieces)) for pieces in (self.rows, self.columns))
        return self._keep(rows, columns)

    def _keep(self, rows: Sequence[int], columns: Sequence[int]) -> Self:
        """Some rows and columns; each row is scaled so that it sums to one again, unless it is zero."""
        weights = self.weights[:, :, list(rows)][..., list(columns)]  # (L, H, R', C')
        sums = weights.sum(-1, keepdims=True)  # (L, H, R', 1)
        weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
        return replace(
            self,
            weights=weights,
            rows=[self.rows[row] for row in rows],
            columns=[self.columns[column] for column in columns],
        )

    @property
    def eos_weight(self) -> float:
        """The mean weight of the column `eos` over all layers, heads, and rows but its own; 0 without such a column."""
        if self.columns[-1:] != [EOS]:
            return 0.0
        num_rows = len(self.rows) - (self.rows[-1:] == [EOS])
        return float(self.weights[:, :, :num_rows, -1].mean()) if num_rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """The attributes as JSON values in the form of `AttentionJson`, with rounded weights."""
        return {
            "kind": self.kind,
            "layers": None if self.layers is None else list(self.layers),
            "heads": None if self.heads is None else list(self.heads),
            "rows": self.rows,
            "columns": self.columns,
            "weights": np.round(self.weights.astype(np.float64), DECIMALS).tolist(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The attention of a value from `to_json`.

        Raises:
            UserError: the value does not have the form of `AttentionJson`.
        """
        try:
            parsed = msgspec.convert(value, AttentionJson)
            layers, heads = (None if numbers is None else tuple(numbers) for numbers in (parsed.layers, parsed.heads))
            weights = np.asarray(parsed.weights, dtype=np.float32)  # (L, H, R, C)
            if not weights.size:  # an empty list does not tell how long the lists inside it would be
                weights = weights.reshape(*weights.shape[:2], len(parsed.rows), len(parsed.columns))
            return cls(parsed.kind, weights, parsed.rows, parsed.columns, layers, heads)
        except ValueError as error:  # also of msgspec, and of numpy for rows of different lengths
            raise UserError(f"this is not the attention of a sentence: {error}") from None


def _find(number: int, numbers: Sequence[int] | None, noun: str, name: str) -> int:
    """The index of a layer or head among those that are left."""
    if numbers is None:
        raise UserError(f"{noun}={number} cannot be chosen from {name}: it is a mean over {noun}s already")
    if number not in numbers:
        there = f"the only one is {numbers[0]}" if len(numbers) == 1 else f"choose {numbers[0]} to {numbers[-1]}"
        raise UserError(f"there is no {noun} {number}: {there}")
    return numbers.index(number)


def _enumerate(noun: str, numbers: Sequence[int]) -> str:
    return f"{noun} {numbers[0]}" if len(numbers) == 1 else f"{noun}s {numbers[0]} to {numbers[-1]}"


def membership(words: Sequence[Sequence[int]], num_pieces: int) -> Matrix:
    """A matrix (words, pieces) with 1 where a piece belongs to a word, and 0 elsewhere.

    Args:
        words: the indices of the pieces of each word.
        num_pieces: number of all pieces.
    """
    matrix = np.zeros((len(words), num_pieces), dtype=np.float32)
    for number, pieces in enumerate(words):
        matrix[number, list(pieces)] = 1
    return matrix
