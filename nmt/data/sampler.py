"""Which sentences make a batch: similar lengths together, a budget of tokens instead of a number of sentences."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from nmt.errors import UserError


class TokenBudgetSampler:
    """Shuffled batches of similar lengths, each of at most `batch_tokens` padded tokens on its longer side.

    An epoch is a function of (seed, epoch) alone, so a resumed run needs no more than its number and the position in
    it. Sentences are sorted by target length, then source length, with chance deciding among equals; the sorted list
    is cut where the budget is full, and the batches are shuffled.

    Args:
        source_lengths: (N,) pieces of each source sentence, `eos` included.
        target_lengths: (N,) pieces of each target sentence, `eos` included.
        batch_tokens: the most sentences × longest sentence, of the source or of the target, in a batch. A sentence
            that is longer by itself makes a batch of its own.
        seed: of the shuffling.
    """

    def __init__(
        self, source_lengths: NDArray[np.int64], target_lengths: NDArray[np.int64], *, batch_tokens: int, seed: int
    ) -> None:
        if not isinstance(batch_tokens, int) or batch_tokens < 1:
            raise UserError(f"batch_tokens={batch_tokens} must be a whole number of at least 1")
        if len(source_lengths) == 0:
            raise UserError("there are no training sentences to make batches of")
        self.source_lengths = source_lengths.astype(np.int32)
        self.target_lengths = target_lengths.astype(np.int32)
        self.batch_tokens = batch_tokens
        self.seed = seed

    @property
    def order(self) -> str:
        """Names the order of the sentences: equal where the same arguments give the same batches."""
        digest = hashlib.sha256(f"{self.batch_tokens} {self.seed} ".encode())
        for lengths in (self.source_lengths, self.target_lengths):
            digest.update(lengths.astype(np.int64).tobytes())
        return digest.hexdigest()[:16]

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of one epoch, each an array of sentence indices; every sentence occurs once."""
        generator = np.random.default_rng([self.seed, epoch])
        shuffled = generator.permutation(len(self.source_lengths))
        sides = (_narrow(self.source_lengths)[shuffled], _narrow(self.target_lengths)[shuffled])
        order = shuffled[np.lexsort(sides)]
        longest = np.maximum(self.source_lengths, self.target_lengths)[order]
        batches = []
        start = 0
        while start < len(order):
            window = longest[start : start + max(1, self.batch_tokens // int(longest[start]))]
            padded = np.maximum.accumulate(window) * np.arange(1, len(window) + 1)
            size = max(1, int(np.searchsorted(padded, self.batch_tokens, side="right")))
            batches.append(order[start : start + size])
            start += size
        return [batches[index] for index in generator.permutation(len(batches))]


def _narrow(lengths: NDArray[np.int32]) -> NDArray[np.unsignedinteger]:
    """The lengths in as few bytes as hold them: up to 16 bits numpy sorts in linear time."""
    return lengths.astype(np.min_scalar_type(int(lengths.max())))
