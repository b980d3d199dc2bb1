"""Counter-based random numbers (SplitMix64): the n-th number of a stream is computed directly, vectorised.

A stream is named by a 64-bit number, its seed. Because a number depends only on its stream and its counter, a draw is
the same in any process, in any order and in any batch. That makes exact resume and distributed training possible.

Reference: Steele, Lea & Flood (2014), Fast Splittable Pseudorandom Number Generators (SplitMix64).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint64]
"""64 random bits per element."""

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The state of a stream grows by this odd number per step: 2^64 divided by the golden ratio."""
_FIRST_MULTIPLIER, _SECOND_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11, _1 = map(np.uint64, (30, 27, 31, 11, 1))


def random_bits(streams: Bits | np.uint64, counters: Bits | np.uint64) -> Bits:
    """The 64-bit random numbers at `counters` (from 0) of `streams`; both arguments are broadcast.

    The result can name further streams: `random_bits(random_bits(seed, epoch), index)` is one stream per sentence.
    """
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2^64
        # The stream's state after counter + 1 steps …
        mixed: Bits = np.asarray(streams + (counters + _1) * _GOLDEN_GAMMA)
        # … and the mixing function that turns the state into random bits (Stafford's variant 13 of MurmurHash3's).
        mixed = (mixed ^ (mixed >> _30)) * _FIRST_MULTIPLIER
        mixed = (mixed ^ (mixed >> _27)) * _SECOND_MULTIPLIER
        return mixed ^ (mixed >> _31)


def to_unit_interval(bits: Bits) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), multiples of 2^-53, from the upper 53 bits."""
    return (bits >> _11).astype(np.float64) * 2.0**-53
