"""The training split as batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmt.data.batch import Batch, make_batch
from nmt.data.encoding import lengths
from nmt.data.sampler import TokenBudgetSampler
from nmt.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset


class Pairs:
    """The sentence pairs of an encoded split that can be learned from, as batches.

    Args:
        dataset: with the columns of `encode_corpus`; it stays on the disk, rows are read as batches need them.
        tokenizer: the one that encoded it.
        max_length: the most pieces of a side, `eos` included; longer pairs are left out.
        batch_tokens: the budget of a batch, see `TokenBudgetSampler`.
        subword_alpha: 0 = always the best segmentation; above, another one is drawn for every sentence in every epoch
            (Kudo, 2018, https://arxiv.org/abs/1804.10959, §3.2); for BPE the probability of leaving a merge out.
        seed: of the shuffling and of the segmentations.

    Raises:
        ValueError: an argument is out of its range, or no pair is left.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        batch_tokens: int,
        subword_alpha: float,
        seed: int,
    ) -> None:
        if max_length < 2:
            raise ValueError(f"max_length={max_length} must be at least 2")
        if subword_alpha < 0:
            raise ValueError(f"subword_alpha={subword_alpha} must be at least 0")
        source_lengths, target_lengths = lengths(dataset, "source_ids") + 1, lengths(dataset, "target_ids") + 1
        shortest, longest = np.minimum(source_lengths, target_lengths), np.maximum(source_lengths, target_lengths)
        self.kept: NDArray[np.int64] = np.flatnonzero((shortest > 1) & (longest <= max_length))
        self.num_empty = int((shortest == 1).sum())
        self.num_long = len(dataset) - len(self.kept) - self.num_empty
        if len(self.kept) == 0:
            raise ValueError(
                f"no pair of {len(dataset)} can be used: {self.num_empty} have an empty side, {self.num_long} are "
                f"longer than max_length={max_length} pieces"
            )
        self.sampler = TokenBudgetSampler(
            source_lengths[self.kept], target_lengths[self.kept], batch_tokens=batch_tokens, seed=seed
        )
        # Text is read only where it is cut up anew: decoding a column that nobody looks at would cost in every batch.
        columns = ["source_ids", "target_ids"] + (["source", "target"] if subword_alpha > 0 else [])
        self.dataset = dataset.select_columns(columns)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.subword_alpha = subword_alpha
        self.seed = seed

    def __len__(self) -> int:
        return len(self.kept)

    def epoch(self, epoch: int, *, start: int) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on: the same each time it is asked for."""
        for number, chosen in enumerate(self.sampler.epoch(epoch)[start:], start=start):
            rows = self.dataset[self.kept[chosen].tolist()]
            sources, targets = rows["source_ids"], rows["target_ids"]
            if self.subword_alpha > 0:
                draw = int(np.random.SeedSequence([self.seed, epoch, number]).generate_state(1)[0])
                sources = self.tokenizer.sample_source(rows["source"], alpha=self.subword_alpha, seed=draw)
                targets = self.tokenizer.sample_target(rows["target"], alpha=self.subword_alpha, seed=draw)
                # A drawn segmentation may be longer than the best one.
                sources = [ids[: self.max_length - 1] for ids in sources]
                targets = [ids[: self.max_length - 1] for ids in targets]
            yield make_batch(
                sources,
                targets,
                pad_id=self.tokenizer.pad_id,
                bos_id=self.tokenizer.bos_id,
                eos_id=self.tokenizer.eos_id,
            )
