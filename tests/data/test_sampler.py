import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.sampler import TokenBudgetSampler


def realistic(number=4000):
    """Lengths as in a corpus of captions: skewed, and translations about as long as their sources."""
    random = np.random.default_rng(5)
    source = random.gamma(9.0, 1.5, number).astype(np.int64) + 2
    target = np.maximum(1, source + random.normal(0.0, 2.0, number).round()).astype(np.int64)
    return source, target


def sampler(source, target, *, batch_tokens, seed=1):
    return TokenBudgetSampler(np.array(source), np.array(target), batch_tokens=batch_tokens, seed=seed)


def lists(batches):
    return [batch.tolist() for batch in batches]


def padded_tokens(lengths, batches):
    return sum(len(batch) * int(lengths[batch].max()) for batch in batches)


pairs = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


@given(pairs=pairs, batch_tokens=st.integers(1, 120), epoch=st.integers(0, 3))
def test_every_sentence_once_within_the_budget(pairs, batch_tokens, epoch):
    source, target = (np.array(side) for side in zip(*pairs, strict=True))
    batches = sampler(source, target, batch_tokens=batch_tokens).epoch(epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pairs)))
    for batch in batches:
        assert len(batch) > 0
        for lengths in (source, target):
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= batch_tokens


def test_batches_are_as_full_as_they_can_be():
    # Sorted: ten sentences of 3 tokens, then one whose source is long.
    [small, large] = sorted(lists(sampler([3] * 10 + [30], [3] * 11, batch_tokens=30).epoch(0)), key=len)[::-1]
    assert sorted(small) == list(range(10))
    assert large == [10]


@pytest.mark.parametrize("side", ["source", "target"])
def test_the_longer_side_counts(side):
    sides = {"source": [1] * 8, "target": [1] * 8, side: [5] * 8}
    assert sorted(map(len, sampler(**sides, batch_tokens=15).epoch(0))) == [2, 3, 3]


def test_a_sentence_over_the_budget_is_alone():
    source, target = [4, 50, 4, 4], [4, 4, 4, 60]
    batches = lists(sampler(source, target, batch_tokens=20).epoch(0))
    assert sorted(map(sorted, batches)) == [[0, 2], [1], [3]]


def test_an_epoch_is_a_function_of_its_number_and_the_seed():
    source, target = realistic(500)
    one = sampler(source, target, batch_tokens=400)
    first, second = lists(one.epoch(0)), lists(one.epoch(1))
    assert lists(one.epoch(0)) == first  # not of what was asked before
    assert lists(sampler(source, target, batch_tokens=400).epoch(1)) == second
    assert lists(sampler(source, target, batch_tokens=400, seed=2).epoch(0)) != first
    # Another order, and other company among sentences of equal lengths.
    assert first != second
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in second}


def test_neither_long_nor_short_sentences_come_first():
    source, target = realistic()
    batches = sampler(source, target, batch_tokens=400).epoch(3)
    means = np.array([target[batch].mean() for batch in batches])
    order = np.arange(len(means))
    assert abs(np.corrcoef(order, means)[0, 1]) < 4 / len(means) ** 0.5


def test_little_is_padding():
    source, target = realistic()
    batches = sampler(source, target, batch_tokens=1500).epoch(0)
    assert padded_tokens(target, batches) < 1.05 * target.sum()
    assert padded_tokens(source, batches) < 1.25 * source.sum()
    # In shuffled batches of as many sentences nearly half would be.
    shuffled = np.array_split(np.random.default_rng(0).permutation(len(source)), len(batches))
    assert padded_tokens(target, shuffled) > 1.5 * target.sum()
    # And the batches are full: no more of them than the longer sides need.
    longer = np.maximum(source, target)
    assert len(batches) < 1.3 * longer.sum() / 1500


def test_equal_lengths_are_shuffled_too():
    source = target = np.full(64, 5)
    batches = lists(sampler(source, target, batch_tokens=40).epoch(0))
    assert [len(batch) for batch in batches] == [8] * 8
    assert batches != [list(range(start, start + 8)) for start in range(0, 64, 8)]
    assert any(max(batch) - min(batch) > 8 for batch in batches)


@pytest.mark.parametrize("longest", [100, 255, 256, 65_535, 65_536, 10**6])
def test_lengths_of_any_size_are_in_order(longest):
    random = np.random.default_rng(2)
    source, target = random.integers(1, longest + 1, (2, 300))
    source[7] = target[9] = longest
    batches = sampler(source, target, batch_tokens=1).epoch(0)  # one sentence each
    assert len(batches) == 300
    batches = sampler(source, target, batch_tokens=4 * longest).epoch(0)
    batches.sort(key=lambda batch: (target[batch[0]], source[batch[0]]))
    order = np.concatenate(batches)
    assert sorted(order.tolist(), key=lambda row: (target[row], source[row])) == order.tolist()


def test_an_epoch_takes_some_bytes_a_sentence():
    source, target = realistic(100_000)
    one = sampler(source, target, batch_tokens=4096)
    peaks = []
    for epochs in (1, 4):
        tracemalloc.start()
        for epoch in range(epochs):
            one.epoch(epoch)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < 50 * len(source)
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("batch_tokens", [0, -5, 10.0])
def test_a_budget_is_a_positive_number(batch_tokens):
    with pytest.raises(ValueError, match=f"batch_tokens={batch_tokens}"):
        sampler([1], [1], batch_tokens=batch_tokens)


def test_no_sentences():
    with pytest.raises(ValueError, match="no training sentences"):
        sampler([], [], batch_tokens=10)
