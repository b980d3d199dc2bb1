"""Batches by token budget: every sentence once, within the budget, with little padding, reproducible."""

import tracemalloc
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nmt.data.sampler import TokenBudgetSampler
from nmt.errors import UserError

Lengths = NDArray[np.int64]


def realistic_lengths(number: int = 4000) -> tuple[Lengths, Lengths]:
    """Lengths as in a corpus of captions: skewed, and translations about as long as their sources."""
    random = np.random.default_rng(5)
    source = random.gamma(9.0, 1.5, number).astype(np.int64) + 2
    target = np.maximum(1, source + random.normal(0.0, 2.0, number).round()).astype(np.int64)
    return source, target


def make_sampler(
    source: Sequence[int] | Lengths, target: Sequence[int] | Lengths, *, batch_tokens: Any, seed: int = 1
) -> TokenBudgetSampler:
    return TokenBudgetSampler(np.array(source), np.array(target), batch_tokens=batch_tokens, seed=seed)


def as_lists(batches: Iterable[Lengths]) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def count_padded_tokens(lengths: Lengths, batches: Iterable[Lengths]) -> int:
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


PAIRS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


@given(pairs=PAIRS, batch_tokens=st.integers(1, 120), epoch=st.integers(0, 3))
def test_every_sentence_occurs_once_within_the_budget(
    pairs: list[tuple[int, int]], batch_tokens: int, epoch: int
) -> None:
    source, target = (np.array(side) for side in zip(*pairs, strict=True))
    batches = make_sampler(source, target, batch_tokens=batch_tokens).epoch(epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pairs)))
    for batch in batches:
        assert len(batch) > 0
        for lengths in (source, target):
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= batch_tokens


def test_batches_fill_the_budget() -> None:
    # Sorted: ten sentences of 3 tokens, then one whose source is long.
    long_batch, short_batch = sorted(
        as_lists(make_sampler([3] * 10 + [30], [3] * 11, batch_tokens=30).epoch(0)), key=len
    )
    assert sorted(short_batch) == list(range(10))
    assert long_batch == [10]


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_budget_applies_to_the_longer_side(side: str) -> None:
    lengths = {"source": [1] * 8, "target": [1] * 8, side: [5] * 8}
    sampler = make_sampler(lengths["source"], lengths["target"], batch_tokens=15)
    assert sorted(map(len, sampler.epoch(0))) == [2, 3, 3]


def test_a_sentence_over_the_budget_is_a_batch_of_its_own() -> None:
    source, target = [4, 50, 4, 4], [4, 4, 4, 60]
    batches = as_lists(make_sampler(source, target, batch_tokens=20).epoch(0))
    assert sorted(map(sorted, batches)) == [[0, 2], [1], [3]]


def test_an_epoch_depends_on_its_number_and_the_seed_only() -> None:
    source, target = realistic_lengths(500)
    sampler = make_sampler(source, target, batch_tokens=400)
    first, second = as_lists(sampler.epoch(0)), as_lists(sampler.epoch(1))
    assert as_lists(sampler.epoch(0)) == first  # not on the epochs that were sampled before
    assert as_lists(make_sampler(source, target, batch_tokens=400).epoch(1)) == second
    assert as_lists(make_sampler(source, target, batch_tokens=400, seed=2).epoch(0)) != first
    # Both the order of the batches and their composition change.
    assert first != second
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


def test_the_order_of_batches_does_not_depend_on_length() -> None:
    source, target = realistic_lengths()
    batches = make_sampler(source, target, batch_tokens=400).epoch(3)
    means = np.array([target[batch].mean() for batch in batches])
    order = np.arange(len(means))
    assert abs(np.corrcoef(order, means)[0, 1]) < 4 / len(means) ** 0.5


def test_there_is_little_padding() -> None:
    source, target = realistic_lengths()
    batches = make_sampler(source, target, batch_tokens=1500).epoch(0)
    assert count_padded_tokens(target, batches) < 1.05 * target.sum()
    assert count_padded_tokens(source, batches) < 1.25 * source.sum()
    # Shuffled batches of a fixed number of sentences are padded by half.
    shuffled = np.array_split(np.random.default_rng(0).permutation(len(source)), len(batches))
    assert count_padded_tokens(target, shuffled) > 1.5 * target.sum()
    # And the batches are full: there are not many more than the longer sides need.
    longer = np.maximum(source, target)
    assert len(batches) < 1.3 * longer.sum() / 1500


def test_sentences_of_equal_length_are_shuffled() -> None:
    lengths = np.full(64, 5)
    batches = as_lists(make_sampler(lengths, lengths, batch_tokens=40).epoch(0))
    assert [len(batch) for batch in batches] == [8] * 8
    assert batches != [list(range(start, start + 8)) for start in range(0, 64, 8)]
    assert any(max(batch) - min(batch) > 8 for batch in batches)


@pytest.mark.parametrize("longest", [100, 255, 256, 65_535, 65_536, 10**6])
def test_lengths_of_any_size_are_sorted(longest: int) -> None:
    random = np.random.default_rng(2)
    source, target = random.integers(1, longest + 1, (2, 300))
    source[7] = target[9] = longest
    batches = make_sampler(source, target, batch_tokens=1).epoch(0)  # one sentence each
    assert len(batches) == 300
    batches = make_sampler(source, target, batch_tokens=4 * longest).epoch(0)
    batches.sort(key=lambda batch: (target[batch[0]], source[batch[0]]))
    order = np.concatenate(batches).tolist()
    assert sorted(order, key=lambda index: (target[index], source[index])) == order


def test_memory_is_below_50_bytes_per_sentence() -> None:
    source, target = realistic_lengths(100_000)
    sampler = make_sampler(source, target, batch_tokens=4096)
    peaks = []
    for epochs in (1, 4):
        tracemalloc.start()
        for epoch in range(epochs):
            sampler.epoch(epoch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 50 * len(source)
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("batch_tokens", [0, -5, 10.0])
def test_a_budget_that_is_no_positive_whole_number_is_refused(batch_tokens: float) -> None:
    with pytest.raises(UserError, match=f"batch_tokens={batch_tokens}"):
        make_sampler([1], [1], batch_tokens=batch_tokens)


def test_a_split_without_sentences_is_refused() -> None:
    with pytest.raises(UserError, match="no training sentences"):
        make_sampler([], [], batch_tokens=10)


def test_an_epoch_has_a_batch_even_if_no_sentence_is_drawn() -> None:
    lengths = np.array([3, 4, 5])
    sampler = TokenBudgetSampler(lengths, lengths, batch_tokens=99, seed=1, probabilities=np.full(3, 1e-9))
    batches = [sampler.epoch(epoch) for epoch in range(20)]
    assert all(len(epoch) == 1 and len(epoch[0]) == 1 for epoch in batches)
    assert {int(epoch[0][0]) for epoch in batches} == {0, 1, 2}
