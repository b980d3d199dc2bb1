"""Random numbers by their place: any number of any sequence, without those before it, and many at once.

What is drawn with them is a function of the places alone, in whatever company, order or process it is drawn.

Reference: Steele, Lea & Flood (2014), Fast Splittable Pseudorandom Number Generators: SplitMix64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11, _1 = map(np.uint64, (30, 27, 31, 11, 1))


def nth(sequences: Numbers | np.uint64, places: Numbers | np.uint64) -> Numbers:
    """The 64-bit numbers at some places, from 0 on, of the sequences that some numbers name; both are broadcast.

    What it returns may name sequences in its turn: nth(nth(seed, epoch), row).
    """
    with np.errstate(over="ignore"):  # it goes round at 2^64
        mixed: Numbers = np.asarray(sequences + (places + _1) * _GAMMA)
        mixed = (mixed ^ (mixed >> _30)) * _FIRST
        mixed = (mixed ^ (mixed >> _27)) * _SECOND
        return mixed ^ (mixed >> _31)


def as_fractions(numbers: Numbers) -> NDArray[np.float64]:
    """Numbers of `nth` as fractions from 0 to below 1, in steps of 2^-53."""
    return (numbers >> _11).astype(np.float64) * 2.0**-53
