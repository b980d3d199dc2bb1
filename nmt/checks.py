"""Checks of arguments, shared by many constructors."""

from __future__ import annotations

import math

from nmt.errors import UserError


def check_sizes(**sizes: int) -> None:
    """Raises UserError unless every size is an integer of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name}={size!r} must be a whole number of at least 1")


def check_counts(**counts: int) -> None:
    """Raises UserError unless every count is an integer of at least 0."""
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise UserError(f"{name}={count!r} must be a whole number of at least 0")


def check_nonnegative(**numbers: float) -> None:
    """Raises UserError unless every number is finite and at least 0."""
    for name, number in numbers.items():
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0 <= number < math.inf:
            raise UserError(f"{name}={number!r} must be a number of at least 0")


def check_probabilities(**probabilities: float) -> None:
    """Raises UserError unless every value is a probability below 1."""
    for name, probability in probabilities.items():
        if not 0.0 <= probability < 1.0:
            raise UserError(f"{name}={probability} must be a probability from 0 to below 1")
