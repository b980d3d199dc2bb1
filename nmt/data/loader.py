"""The training split as batches, made by a thread ahead of the need."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from nmt.data.batch import Batch, make_batch, without_tokens
from nmt.data.cleaning import Cleaning
from nmt.data.counter_rng import nth
from nmt.data.encoding import Pieces
from nmt.data.sampler import TokenBudgetSampler
from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.subword_sampling import Ids
from nmt.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Item = TypeVar("Item")
Made = TypeVar("Made")

AHEAD = 8
"""Batches that are ready before they are asked for. One is made in a fraction of a step, so few bridge any delay."""


class BatchLoader:
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
        pinned: batches lie in memory from which a GPU takes a copy without anybody waiting; there must be a GPU.

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
        pinned: bool,
    ) -> None:
        assert 0 <= rank < num_ranks
        if max_length < 2:
            raise UserError(f"max_length={max_length} must be at least 2")
        tokenizer.check_alpha(subword_alpha)
        self.report = cleaning.examine(dataset, max_length=max_length)
        self.kept = self.report.kept
        self.sources, self.targets = Pieces(dataset, "source_ids"), Pieces(dataset, "target_ids")
        self.sampler = TokenBudgetSampler(
            self.sources.lengths()[self.kept] + 1,
            self.targets.lengths()[self.kept] + 1,
            batch_tokens=batch_tokens,
            seed=seed,
        )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.subword_alpha = subword_alpha
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks
        self.pinned = pinned

    def __len__(self) -> int:
        return len(self.kept)

    def epoch(self, epoch: int, *, start: int) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on, or this process's share of each: the same whenever asked for.

        All processes together hold the sentences that one alone would have, segmented alike. Where a batch has fewer
        sentences than there are processes, the others get a sentence of it without any token to learn.
        """
        yield from made_ahead(partial(self.share, epoch=epoch), self.sampler.epoch(epoch)[start:], count=AHEAD)

    def share(self, chosen: NDArray[np.int64], epoch: int) -> Batch:
        """This process's share of a batch of the sampler's."""
        rows = self.kept[chosen]
        share = rows[self.rank :: self.num_ranks]
        return self.batch(share, epoch) if len(share) else without_tokens(self.batch(rows[:1], epoch))

    def batch(self, rows: NDArray[np.int64], epoch: int) -> Batch:
        """The pairs of some rows of the split as they are segmented in an epoch."""
        sources, targets = (
            self.drawn(rows, epoch) if self.subword_alpha > 0 else (self.sources[rows], self.targets[rows])
        )
        return make_batch(
            sources,
            targets,
            pad_id=self.tokenizer.pad_id,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            rows=rows.tolist(),
            pinned=self.pinned,
        )

    def drawn(self, rows: NDArray[np.int64], epoch: int) -> tuple[list[Ids], list[Ids]]:
        """The ids of both sides of some rows in a segmentation that is drawn for this epoch."""
        seeds = nth(nth(np.uint64(self.seed), np.uint64(epoch)), rows.astype(np.uint64))
        alpha, most = self.subword_alpha, self.max_length - 1  # a drawn segmentation may be longer than the best one
        sources = self.tokenizer.redraw_source(self.sources[rows], alpha=alpha, seeds=nth(seeds, np.uint64(0)))
        targets = self.tokenizer.redraw_target(self.targets[rows], alpha=alpha, seeds=nth(seeds, np.uint64(1)))
        return [ids[:most] for ids in sources], [ids[:most] for ids in targets]


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item], *, count: int) -> Iterator[Made]:
    """make(item) for each item in turn, by a thread that is up to `count` items ahead of who asks.

    What `make` raises is raised here, at its item's turn. The thread ends with the iterator, however that ends.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
    waiting: deque[Future[Made]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown()
