import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.counter_rng import as_fractions, nth

WORDS = st.integers(0, 2**64 - 1)


def splitmix64(state: int, place: int) -> int:
    """The algorithm as it is published, in whole numbers: the state grows by a constant, and is stirred."""
    for _ in range(place + 1):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
    stirred = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    stirred = ((stirred ^ (stirred >> 27)) * 0x94D049BB133111EB) % 2**64
    return stirred ^ (stirred >> 31)


@given(sequence=WORDS, places=st.lists(st.integers(0, 50), max_size=5))
def test_the_numbers_are_splitmix64_s(sequence: int, places: list[int]) -> None:
    found = nth(np.uint64(sequence), np.array(places, dtype=np.uint64))
    assert found.tolist() == [splitmix64(sequence, place) for place in places]


def test_known_numbers() -> None:
    """Those that other implementations print for the seed 1234567."""
    numbers = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert nth(np.uint64(1234567), np.arange(4, dtype=np.uint64)).tolist() == numbers


@given(sequence=WORDS, last=WORDS)
def test_names_and_places_of_any_size(sequence: int, last: int) -> None:
    (number,) = nth(np.array([sequence], dtype=np.uint64), np.uint64(last)).tolist()
    state = (sequence + (last + 1) * 0x9E3779B97F4A7C15 - 0x9E3779B97F4A7C15) % 2**64
    assert number == splitmix64(state, 0)


def test_fractions_lie_between_0_and_below_1() -> None:
    ends = np.array([0, 2**11 - 1, 2**11, 2**63, 2**64 - 1], dtype=np.uint64)
    assert as_fractions(ends).tolist() == [0, 0, 2**-53, 0.5, 1 - 2**-53]


def test_neighbours_in_every_direction_look_alike_in_nothing() -> None:
    """Sums of fractions over seeds, epochs and rows, and of products of neighbours, are what chance lets expect."""
    size = np.arange(100, dtype=np.uint64)
    fractions = as_fractions(nth(nth(size[:, None, None], size[None, :, None]), size))  # (seed, epoch, row)
    assert abs(fractions.mean() - 1 / 2) < 5 / np.sqrt(12 * fractions.size)
    for axis in range(3):
        products = (fractions - 1 / 2) * (np.roll(fractions, 1, axis=axis) - 1 / 2)
        assert abs(products.mean()) < 5 / (12 * np.sqrt(fractions.size))
    assert len(np.unique(fractions)) == fractions.size
