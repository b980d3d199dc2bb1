"""Checks of arguments that several constructors share."""

from __future__ import annotations

from nmt.errors import UserError


def check_sizes(**sizes: int) -> None:
    """Raises UserError unless every size is an integer of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name}={size} must be a whole number of at least 1")


def check_dropout(dropout: float) -> None:
    """Raises UserError unless `dropout` is a probability below 1."""
    if not 0.0 <= dropout < 1.0:
        raise UserError(f"dropout={dropout} must be a probability from 0 to below 1")
