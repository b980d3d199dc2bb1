"""Checks of arguments, shared by many constructors."""

from __future__ import annotations

from nmt.errors import UserError


def check_sizes(**sizes: int) -> None:
    """Raises UserError unless every size is an integer of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name}={size} must be a whole number of at least 1")


def check_probabilities(**probabilities: float) -> None:
    """Raises UserError unless every value is a probability below 1."""
    for name, probability in probabilities.items():
        if not 0.0 <= probability < 1.0:
            raise UserError(f"{name}={probability} must be a probability from 0 to below 1")
