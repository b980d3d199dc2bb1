"""The training split as batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmt.data.batch import Batch, make_batch, without_tokens
from nmt.data.cleaning import Cleaning
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
        cleaning: the rules by which pairs are left out; `report` says what they did.
        max_length: the most pieces of a side, `eos` included; longer pairs are left out.
        batch_tokens: the budget of a batch, see `TokenBudgetSampler`.
        subword_alpha: 0 = always the best segmentation; above, another one is drawn for every sentence in every epoch
            (Kudo, 2018, https://arxiv.org/abs/1804.10959, §3.2); for BPE the probability of leaving a merge out.
        seed: of the shuffling and of the segmentations.
        rank: which of `num_ranks` processes this is, from 0 on; each gets its share of every batch.
        num_ranks: processes that learn together.

    Raises:
        ValueError: an argument is out of its range, or no pair is left.
    """

    def __init__(
        self,
        dataset: Dataset,
        tokenizer: Tokenizer,
        *,
        cleaning: Cleaning,
        max_length: int,
        batch_tokens: int,
        subword_alpha: float,
        seed: int,
        rank: int,
        num_ranks: int,
    ) -> None:
        assert 0 <= rank < num_ranks
        if max_length < 2:
            raise ValueError(f"max_length={max_length} must be at least 2")
        tokenizer.check_alpha(subword_alpha)
        self.report = cleaning.examine(dataset, max_length=max_length)
        self.kept = self.report.kept
        self.sampler = TokenBudgetSampler(
            lengths(dataset, "source_ids")[self.kept] + 1,
            lengths(dataset, "target_ids")[self.kept] + 1,
            batch_tokens=batch_tokens,
            seed=seed,
        )
        # Text is read only where it is cut up anew: decoding a column that nobody looks at would cost in every batch.
        columns = ["source_ids", "target_ids"] + (["source", "target"] if subword_alpha > 0 else [])
        self.dataset = dataset.select_columns(columns)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.subword_alpha = subword_alpha
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks

    def __len__(self) -> int:
        return len(self.kept)

    def epoch(self, epoch: int, *, start: int) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on, or this process's share of each: the same whenever asked for.

        All processes together hold the sentences that one alone would have, segmented alike. Where a batch has fewer
        sentences than there are processes, the others get a sentence of it without any token to learn.
        """
        for chosen in self.sampler.epoch(epoch)[start:]:
            rows = self.kept[chosen]
            share = rows[self.rank :: self.num_ranks]
            yield self.batch(share, epoch) if len(share) else without_tokens(self.batch(rows[:1], epoch))

    def batch(self, rows: NDArray[np.int64], epoch: int) -> Batch:
        """The pairs of some rows of the split as they are segmented in an epoch."""
        columns = self.dataset[rows.tolist()]
        sources, targets = columns["source_ids"], columns["target_ids"]
        if self.subword_alpha > 0:
            seeds = [f"{self.seed} {epoch} {row}" for row in rows]
            sources = self.tokenizer.sample_source(
                columns["source"], alpha=self.subword_alpha, seeds=[f"{seed} source" for seed in seeds]
            )
            targets = self.tokenizer.sample_target(
                columns["target"], alpha=self.subword_alpha, seeds=[f"{seed} target" for seed in seeds]
            )
            # A drawn segmentation may be longer than the best one.
            sources = [ids[: self.max_length - 1] for ids in sources]
            targets = [ids[: self.max_length - 1] for ids in targets]
        return make_batch(
            sources,
            targets,
            pad_id=self.tokenizer.pad_id,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            rows=rows.tolist(),
        )
