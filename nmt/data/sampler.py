"""Divides a split into batches of similar lengths, with a budget of tokens instead of a fixed number of sentences."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from nmt.checks import check_sizes
from nmt.errors import UserError


class TokenBudgetSampler:
    """Shuffled batches of similar lengths, each of at most `batch_tokens` padded tokens on its longer side.

    The sentences are sorted by target length, then source length, with ties in random order. The sorted list is cut
    into batches that fill the budget, and the batches are shuffled. An epoch is a function of (seed, epoch) alone, so
    resuming a run needs only the epoch's number and the position in it.

    Args:
        source_lengths: (N,) number of pieces of each source sentence, including `eos`.
        target_lengths: (N,) number of pieces of each target sentence, including `eos`.
        batch_tokens: maximum of (number of sentences × longest sentence) in a batch, for the source and for the
            target. A single sentence over the budget forms its own batch.
        seed: for shuffling, and for drawing sentences.
        probabilities: (N,) with which each sentence takes part in an epoch; None: all sentences always do.

    Raises:
        UserError: batch_tokens is not positive, or there is no sentence.
    """

    def __init__(
        self,
        source_lengths: NDArray[np.int64],
        target_lengths: NDArray[np.int64],
        *,
        batch_tokens: int,
        seed: int,
        probabilities: NDArray[np.float64] | None = None,
    ) -> None:
        check_sizes(batch_tokens=batch_tokens)
        if len(source_lengths) == 0:
            raise UserError("there are no training sentences to make batches of")
        self.source_lengths = source_lengths.astype(np.int32)
        self.target_lengths = target_lengths.astype(np.int32)
        self.batch_tokens = batch_tokens
        self.seed = seed
        self.probabilities = probabilities

    @property
    def order(self) -> str:
        """A digest of everything that determines the batches: equal digests mean equal batches in every epoch."""
        digest = hashlib.sha256(f"{self.batch_tokens} {self.seed} ".encode())
        for lengths in (self.source_lengths, self.target_lengths):
            digest.update(lengths.astype(np.int64).tobytes())
        if self.probabilities is not None:
            digest.update(self.probabilities.tobytes())
        return digest.hexdigest()[:16]

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of one epoch, each an array of sentence indices; a sentence occurs at most once.

        There is at least one batch, even if none of the probabilities comes true.
        """
        generator = np.random.default_rng([self.seed, epoch])
        # Sort: `lexsort` is stable and its last key is the primary one, so ties keep the shuffled order.
        shuffled = generator.permutation(len(self.source_lengths))  # (N,)
        if self.probabilities is not None:
            is_drawn = generator.random(len(shuffled)) < self.probabilities[shuffled]  # (N,)
            shuffled = shuffled[is_drawn] if is_drawn.any() else shuffled[:1]  # (drawn,)
        keys = (_to_smallest_type(self.source_lengths)[shuffled], _to_smallest_type(self.target_lengths)[shuffled])
        order = shuffled[np.lexsort(keys)]  # (drawn,) sentence indices, sorted by length
        longer_sides = np.maximum(self.source_lengths, self.target_lengths)[order]  # (drawn,)

        # Cut: from each start, take as many sentences as fit into the budget when padded to the longest of them.
        batches = []
        start = 0
        while start < len(order):
            max_sentences = max(1, self.batch_tokens // int(longer_sides[start]))
            window = longer_sides[start : start + max_sentences]  # (W,) no batch from here on can have more sentences
            # (W,) the padded size of a batch of the first 1, 2, …, W sentences: number of sentences × longest of them.
            padded_tokens = np.maximum.accumulate(window) * np.arange(1, len(window) + 1)
            size = max(1, int(np.searchsorted(padded_tokens, self.batch_tokens, side="right")))
            batches.append(order[start : start + size])
            start += size
        return [batches[index] for index in generator.permutation(len(batches))]


def _to_smallest_type(lengths: NDArray[np.int32]) -> NDArray[np.unsignedinteger]:
    """Converts to the smallest unsigned type that holds all lengths: numpy sorts up to 16 bits in linear time."""
    return lengths.astype(np.min_scalar_type(int(lengths.max())))
