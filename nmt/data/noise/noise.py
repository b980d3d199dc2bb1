"""What all kinds of noise share: the interface, and random choices among the elements of many texts at once.

The pieces of all texts of a batch lie end to end, and `owners` tells for each piece, or word, the index of its text. A
tag at the start of a text (`nmt.data.tokenizer`) is never hidden.

Shapes: B texts, N elements (pieces, words or others) of all texts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nmt.data.counter_rng import Bits, random_bits
from nmt.data.tokenizer import Ids, Tokenizer
from nmt.errors import UserError

LAST = np.iinfo(np.uint64).max
"""The key of an element that is never chosen, behind the random keys of all others."""

CHOICE, KIND, PIECE, LENGTH = map(np.uint64, range(4))
"""The random streams of a text: which of its elements are hidden, by what, by which piece; and how long spans are."""


class NoisyTexts(NamedTuple):
    """What a model reads, and what it must predict.

    Attributes:
        sources: the pieces of each of B texts, with noise.
        targets: the pieces to predict.
        predicted: for each target, which of its pieces are predicted; None: all of them, and `eos`.
    """

    sources: list[Ids]
    targets: list[Ids]
    predicted: list[NDArray[np.bool_]] | None


class Noise(ABC):
    """Hides a part of each text.

    Args:
        tokenizer: has the piece <mask>.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if tokenizer.mask_id is None:
            raise UserError("the tokenizer has no piece <mask>: only a tokenizer that pre-training made has it")
        self.mask_id = tokenizer.mask_id
        self.tag_ids = np.array(list(tokenizer.tags.values()), dtype=np.int32)

    @abstractmethod
    def apply(self, sources: Sequence[Ids], targets: Sequence[Ids], seeds: Bits) -> NoisyTexts:
        """Applies the noise to B sources.

        Args:
            targets: the same texts without tags, possibly with another segmentation.
            seeds: (B,) a random stream for each text.
        """


def lay_end_to_end(texts: Sequence[Ids]) -> tuple[Ids, NDArray[np.int64]]:
    """The pieces of all texts (N,), and for each piece the index of its text (N,)."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))  # (B,)
    return np.concatenate([np.zeros(0, dtype=np.int32), *texts]), np.repeat(np.arange(len(texts)), lengths)


def count_hidden(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """The number of elements to hide (B,) of texts with `sizes` (B,) elements: their share, but at least one."""
    return np.minimum(sizes, np.maximum(1, np.rint(share * sizes).astype(np.int64)))


def draw(seeds: Bits, stream: np.uint64, owners: NDArray[np.int64]) -> Bits:
    """A random number for each element, a function of its text's seed (B,) and its position in the text, (N,)."""
    starts = np.searchsorted(owners, owners)  # the first element of each element's text
    positions = (np.arange(len(owners)) - starts).astype(np.uint64)
    return random_bits(random_bits(seeds, stream)[owners], positions)


def choose(
    counts: NDArray[np.int64], owners: NDArray[np.int64], seeds: Bits, *, can_be_chosen: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Chooses `counts` (B,) random elements of each text, with equal probabilities and without repetition.

    Args:
        owners: (N,) for each element, the index of its text, ascending.
        seeds: (B,).
        can_be_chosen: (N,) which elements can be chosen, at least `counts` of each text.
    """
    keys = np.where(can_be_chosen, draw(seeds, CHOICE, owners), LAST)
    ascending = np.lexsort((keys, owners))  # (N,) by text, and within a text by key
    ranks = np.empty(len(owners), dtype=np.int64)  # (N,) from 0 in each text
    ranks[ascending] = np.arange(len(owners)) - np.searchsorted(owners, owners)
    return ranks < counts[owners]


def check_shares(**shares: float) -> None:
    """Raises UserError unless every share is a number from 0 to 1."""
    for name, share in shares.items():
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise UserError(f"{name}={share} must be a number from 0 to 1")
