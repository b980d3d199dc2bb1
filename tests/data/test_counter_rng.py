"""The vectorised random numbers, compared with SplitMix64 as it is published, and their independence."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.counter_rng import random_bits, to_unit_interval

UINT64 = st.integers(0, 2**64 - 1)


def splitmix64(state: int, counter: int) -> int:
    """The published algorithm, on Python integers: the state grows by a constant, and is mixed."""
    for _ in range(counter + 1):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
    return mixed ^ (mixed >> 31)


@given(stream=UINT64, counters=st.lists(st.integers(0, 50), max_size=5))
def test_the_numbers_are_those_of_splitmix64(stream: int, counters: list[int]) -> None:
    bits = random_bits(np.uint64(stream), np.array(counters, dtype=np.uint64))
    assert bits.tolist() == [splitmix64(stream, counter) for counter in counters]


def test_the_numbers_are_those_of_other_implementations() -> None:
    """Which print them for the seed 1234567."""
    numbers = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert random_bits(np.uint64(1234567), np.arange(4, dtype=np.uint64)).tolist() == numbers


@given(stream=UINT64, counter=UINT64)
def test_streams_and_counters_may_be_any_64_bit_numbers(stream: int, counter: int) -> None:
    (number,) = random_bits(np.array([stream], dtype=np.uint64), np.uint64(counter)).tolist()
    state = (stream + (counter + 1) * 0x9E3779B97F4A7C15 - 0x9E3779B97F4A7C15) % 2**64
    assert number == splitmix64(state, 0)


def test_the_unit_interval_includes_0_and_excludes_1() -> None:
    ends = np.array([0, 2**11 - 1, 2**11, 2**63, 2**64 - 1], dtype=np.uint64)
    assert to_unit_interval(ends).tolist() == [0, 0, 2**-53, 0.5, 1 - 2**-53]


def test_neighbouring_seeds_epochs_and_indices_are_independent() -> None:
    """The mean, and the mean product of neighbours along each axis, are within five standard deviations of theirs."""
    numbers = np.arange(100, dtype=np.uint64)
    epoch_seeds = random_bits(numbers[:, None, None], numbers[None, :, None])  # (seed, epoch, 1)
    uniform = to_unit_interval(random_bits(epoch_seeds, numbers))  # (seed, epoch, index)
    assert abs(uniform.mean() - 1 / 2) < 5 / np.sqrt(12 * uniform.size)
    for axis in range(3):
        products = (uniform - 1 / 2) * (np.roll(uniform, 1, axis=axis) - 1 / 2)
        assert abs(products.mean()) < 5 / (12 * np.sqrt(uniform.size))
    assert len(np.unique(uniform)) == uniform.size
