"""From attention weights between words to hard links.

Shapes: I target words, J source words.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from nmt.alignment.symmetrization import SYMMETRIZATIONS
from nmt.data.pharaoh import Link, reverse_links
from nmt.errors import UserError
from nmt.run.format import Count, Number

Weights = NDArray[np.floating]

Rows = Literal["all", "first", "shifted"]
"""Which rows of the attention represent a target word:

- all: the rows in which the decoder predicts its pieces.
- first: only the first of them. Later pieces often follow from the first, without attention to the source.
- shifted: the row after each of them, in which the decoder has read the piece and predicts the next one (Chen et al.,
  2020, "Accurate Word Alignment Induction from Neural Machine Translation", Section 3).
"""

ROWS: tuple[Rows, ...] = get_args(Rows)

Method = Literal["argmax", "threshold", "intersection", "union", "grow-diag-final-and"]
"""How weights become links, see `Extraction.links`."""

METHODS: tuple[Method, ...] = get_args(Method)

BALANCE_ROUNDS = 3
"""How often rows and columns are normalised in turn; on the built-in corpus, more rounds change the errors little."""

MIN_WEIGHT = 1e-9
"""The smallest weight that `balance` uses, so that it never divides by zero."""


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """How links are read from attention: from which layer, head and rows, and by which method.

    Attributes:
        layer: of the decoder, from 0; None: the mean over layers and heads.
        head: of the layer, from 0; None: the mean over the layer's heads.
        rows: which rows of the attention represent a target word.
        method: how weights become links.
        threshold: minimum weight of a link, for the method "threshold" only.

    Raises:
        UserError: the parts do not fit each other.
    """

    layer: Count | None
    head: Count | None
    rows: Rows
    method: Method
    threshold: Number | None = None

    def __post_init__(self) -> None:
        if self.head is not None and self.layer is None:
            raise UserError(f"head={self.head} needs a layer: add layer=")
        if (self.method == "threshold") != (self.threshold is not None):
            raise UserError("method=threshold and threshold= belong together: give both or neither")

    @property
    def description(self) -> str:
        """The parts in words, such as "layer 1, head 3, rows first, intersection"."""
        layer = "mean of all heads" if self.layer is None else f"layer {self.layer}"
        head = f", head {self.head}" if self.head is not None else "" if self.layer is None else ", mean of its heads"
        return f"{layer}{head}, {self.rule}"

    @property
    def rule(self) -> str:
        """How links are read, whatever the layer and head: all that matters for a model with a single one."""
        threshold = "" if self.threshold is None else f" {self.threshold}"
        return f"rows {self.rows}, {self.method}{threshold}"

    def links(self, weights: Weights, *, reverse: Weights | None = None) -> set[Link]:
        """Reads links from weights.

        - argmax: each target word is linked to the source word with its highest weight.
        - threshold: each target word is linked to all source words with at least the threshold.
        - The other methods combine two directions, both after `balance`. Forward, each target word is linked to its
          best source word; backward, each source word to its best target word.

        Args:
            weights: (I, J) without `eos`.
            reverse: (J, I) the weights of a model of the other direction. If given, the backward links come from them.
        """
        if self.method == "argmax":
            return argmax_links(weights)
        if self.threshold is not None:
            return threshold_links(weights, self.threshold)
        assert self.method != "threshold", "it has a threshold"
        balanced_reverse = None if reverse is None else balance(reverse)
        return SYMMETRIZATIONS[self.method](*find_both_directions(balance(weights), balanced_reverse))


def find_both_directions(balanced: Weights, reverse: Weights | None = None) -> tuple[Set[Link], Set[Link]]:
    """The links of each target word to its best source word, and of each source word to its best target word.

    Args:
        balanced: (I, J) from `balance`.
        reverse: (J, I) likewise, of a model of the other direction.
    """
    return argmax_links(balanced), reverse_links(argmax_links(balanced.T if reverse is None else reverse))


def argmax_links(weights: Weights) -> set[Link]:
    """Links each target word to the source word with its highest weight; the first one if several are equal.

    Args:
        weights: (I, J); a row of zeros, which belongs to a word without pieces, gets no link.
    """
    if not weights.size:
        return set()
    best = weights.argmax(1)  # (I,)
    return {(int(source), target) for target, source in enumerate(best) if weights[target, source] > 0}


def threshold_links(weights: Weights, threshold: float) -> set[Link]:
    """Links each target word to all source words with at least this weight, so that it can have several links or none.

    Args:
        weights: (I, J).
        threshold: minimum weight of a link.
    """
    return {(int(source), int(target)) for target, source in np.argwhere(weights >= threshold)}


def balance(weights: Weights) -> Weights:
    """Divides the columns and the rows by their sums in turn, so that all words compete for links equally.

    Some source words, often the last one, attract attention from all target words. Dividing by the columns' sums takes
    this advantage away. With many rounds, the sums of all rows would be equal, and those of all columns (Sinkhorn and
    Knopp, 1967).

    Args:
        weights: (…, I, J), one matrix or several of the same pair.
    """
    # Words without pieces, such as invisible characters, have no weights. They are left out, and stay zero.
    leading = tuple(range(weights.ndim - 2))
    rows = np.flatnonzero(weights.sum(-1).any(leading))  # (I',)
    columns = np.flatnonzero(weights.sum(-2).any(leading))  # (J',)
    part = (..., rows[:, None], columns)
    values = np.maximum(weights[part], MIN_WEIGHT)  # (…, I', J')
    for _ in range(BALANCE_ROUNDS):
        values = values / values.sum(-2, keepdims=True)
        values = values / values.sum(-1, keepdims=True)
    balanced = np.zeros_like(weights)  # (…, I, J)
    balanced[part] = values
    return balanced
