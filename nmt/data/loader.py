"""Loads a split as batches; a background thread prepares them in advance.

rows of a batch (sampler) → this process's shard → piece ids (memory-mapped) → resampled segmentation → noise, in
pre-training → padding → word links, if training is guided by them
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from nmt.data.batch import Batch, make_batch, mask_all_targets, predict_only
from nmt.data.cleaning import Cleaning
from nmt.data.counter_rng import Bits, random_bits
from nmt.data.encoding import IdColumn
from nmt.data.links import LinkColumn
from nmt.data.noise import Noise
from nmt.data.sampler import TokenBudgetSampler
from nmt.data.tokenizer import Ids, Tokenizer
from nmt.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

Item = TypeVar("Item")
Result = TypeVar("Result")

PREFETCHED_BATCHES = 8
"""Number of batches that are prepared in advance. Preparing one takes a fraction of a training step, so these batches
bridge any delay."""

SIDE_STREAMS, NOISE_STREAM = (np.uint64(0), np.uint64(1)), np.uint64(2)
"""The random streams of a pair: for the segmentation of source and target, and for the noise."""


class BatchLoader:
    """The batches of an encoded split, without the pairs that cleaning drops.

    Args:
        dataset: with the columns of `encode_corpus`; it stays on disk, and each batch reads its own rows. With the
            column of `encode_links`, too, the batches have word links. The column "weight", if there is one, says how
            many times each pair occurs in an epoch: one with 2.5 occurs twice, and a third time in half of all epochs.
        tokenizer: the tokenizer that encoded it.
        cleaning: the rules that drop pairs; `report` counts what they dropped.
        max_length: maximum number of pieces per side, without `eos`; longer pairs are dropped.
        batch_tokens: the token budget of a batch, see `TokenBudgetSampler`.
        subword_alpha: 0 = always the best segmentation. Above 0, the segmentation of every sentence is sampled again in
            every epoch (Kudo, 2018, https://arxiv.org/abs/1804.10959, §3.3): for a unigram model, the smoothing of the
            distribution; for BPE, the probability of skipping a merge.
        noise: hides a part of every source, another one in every epoch; None in training on translations.
        seed: for shuffling, for sampling segmentations and for the noise.
        rank: the index of this process, from 0, among `num_ranks`; each process gets one shard of every batch.
        num_ranks: number of processes that train together.
        pin_memory: put batches into page-locked memory, from which a GPU copies asynchronously; needs a GPU.

    Raises:
        UserError: an argument is out of range, or no pair is left.
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
        noise: Noise | None = None,
        seed: int,
        rank: int,
        num_ranks: int,
        pin_memory: bool,
    ) -> None:
        assert 0 <= rank < num_ranks
        if max_length < 1:
            raise UserError(f"max_length={max_length} must be at least 1")
        tokenizer.check_alpha(subword_alpha)
        self.report = cleaning.apply(dataset, max_length=max_length, tag_ids=tokenizer.tags.values())
        # Each copy of a pair is a row: with a weight of 2.5 a pair has three, the last one with probability 0.5.
        self.kept, self.copies, probabilities = repeat_by_weight(dataset, self.report.kept)
        self.sources, self.targets = IdColumn(dataset, "source_ids"), IdColumn(dataset, "target_ids")
        self.links = LinkColumn(dataset, tokenizer) if "link_spans" in dataset.column_names else None
        self.sampler = TokenBudgetSampler(
            self.sources.lengths()[self.kept] + 1,  # (rows,), + 1 for eos
            self.targets.lengths()[self.kept] + 1,
            batch_tokens=batch_tokens,
            seed=seed,
            probabilities=probabilities,
        )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.subword_alpha = subword_alpha
        self.noise = noise
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks
        self.pin_memory = pin_memory

    def __len__(self) -> int:
        """The number of pairs that are left after cleaning."""
        return len(self.report.kept)

    def epoch(self, epoch: int, *, start: int) -> Iterator[Batch]:
        """This process's shard of each batch of an epoch, from batch number `start`; repeatable.

        Together, all processes get exactly the sentences, with the same segmentations, that a single process would get.
        If a batch has fewer sentences than there are processes, the others get one of its sentences with every target
        token masked.
        """
        yield from prefetch(
            partial(self.load_shard, epoch=epoch), self.sampler.epoch(epoch)[start:], count=PREFETCHED_BATCHES
        )

    def load_shard(self, sampled: NDArray[np.int64], epoch: int) -> Batch:
        """Loads this process's shard of a batch of the sampler: `sampled` (sentences,) holds rows."""
        shard = sampled[self.rank :: self.num_ranks]  # (sentences of this process,)
        if len(shard) == 0:
            return mask_all_targets(self.load_batch(sampled[:1], epoch))
        return self.load_batch(shard, epoch)

    def load_batch(self, rows: NDArray[np.int64], epoch: int) -> Batch:
        """Loads the pairs of these rows (sentences,), segmented as in `epoch`."""
        indices = self.kept[rows]  # (sentences,) in the split
        pair_seeds = self._pair_seeds(rows, epoch)  # (sentences,)
        sources, targets = self.sources[indices], self.targets[indices]
        predicted = None
        if self.subword_alpha > 0:
            sources, targets = self._resample(sources, targets, pair_seeds)
        if self.noise is not None:
            noise_seeds = random_bits(pair_seeds, NOISE_STREAM)  # (sentences,)
            sources, targets, predicted = self.noise.apply(sources, targets, noise_seeds)
            sources = [ids[: self.max_length] for ids in sources]  # a mask may hide nothing, and so make a text longer
        batch = make_batch(
            sources,
            targets,
            pad_id=self.tokenizer.pad_id,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            indices=indices.tolist(),
            pin_memory=self.pin_memory,
        )
        if predicted is not None:
            batch = predict_only(batch, predicted)
        return batch if self.links is None else self.links.add_to(batch, indices, sources, targets)

    def _pair_seeds(self, rows: NDArray[np.int64], epoch: int) -> Bits:
        """A random stream for the pair of each row (sentences,), as a function of (seed, epoch, index, copy)."""
        epoch_seed = random_bits(np.uint64(self.seed), np.uint64(epoch))
        seeds = random_bits(epoch_seed, self.kept[rows].astype(np.uint64))  # (sentences,)
        copies = self.copies[rows]  # (sentences,)
        # The counters of further copies follow those of the streams of the first one.
        return np.where(copies == 0, seeds, random_bits(seeds, NOISE_STREAM + copies))  # (sentences,)

    def _resample(self, sources: list[Ids], targets: list[Ids], pair_seeds: Bits) -> tuple[list[Ids], list[Ids]]:
        """Samples a segmentation of both sides, as a function of the random stream of each pair (sentences,)."""
        source_seeds, target_seeds = (random_bits(pair_seeds, stream) for stream in SIDE_STREAMS)
        sources = self.tokenizer.resample_source(sources, alpha=self.subword_alpha, seeds=source_seeds)
        targets = self.tokenizer.resample_target(targets, alpha=self.subword_alpha, seeds=target_seeds)
        # A sampled segmentation may be longer than the best one, which cleaning measured.
        return [ids[: self.max_length] for ids in sources], [ids[: self.max_length] for ids in targets]


def repeat_by_weight(
    dataset: Dataset, kept: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.float64] | None]:
    """One row for each copy of a pair that an epoch may have.

    Args:
        dataset: may have the column "weight".
        kept: (pairs,) the indices of the pairs to repeat.

    Returns:
        index: (rows,) of each row's pair.
        copy: (rows,) the number of each row among the copies of its pair, from 0.
        probability: (rows,) of each row in an epoch; None without weights.
    """
    if "weight" not in dataset.column_names:
        return kept, np.zeros(len(kept), dtype=np.uint64), None
    weights = dataset.select_columns(["weight"]).with_format("numpy")[:]["weight"][kept]  # (pairs,)
    num_copies = np.ceil(weights).astype(np.int64)  # (pairs,)
    starts = np.cumsum(num_copies) - num_copies  # (pairs,) the first row of each pair
    copy = np.arange(num_copies.sum()) - np.repeat(starts, num_copies)  # (rows,)
    probability = np.minimum(np.repeat(weights, num_copies) - copy, 1.0)  # (rows,)
    return np.repeat(kept, num_copies), copy.astype(np.uint64), probability


def prefetch(function: Callable[[Item], Result], items: Iterable[Item], *, count: int) -> Generator[Result, None, None]:
    """Yields function(item) for each item in order, computed by a thread up to `count` items in advance.

    An exception of `function` is raised when the result of its item is due. The thread ends with the generator,
    whether that is exhausted, closed or garbage-collected.
    """
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown()
