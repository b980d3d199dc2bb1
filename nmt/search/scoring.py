"""How finished hypotheses of different lengths compare, and how long one may grow."""

from __future__ import annotations

import math
from typing import TypeVar

from torch import Tensor

from nmt.checks import check_sizes
from nmt.errors import UserError

Number = TypeVar("Number", float, Tensor)


class LengthPenalty:
    """lp(Y) = (5 + |Y|)^α / (5 + 1)^α; a hypothesis scores log p(Y | X) / lp(Y) (Wu et al., 2016, Eq. 14).

    Without it (α = 0) every further token costs, and short translations win. https://arxiv.org/abs/1609.08144

    Args:
        alpha: α, at least 0; GNMT used 0.6 to 0.7.
    """

    def __init__(self, alpha: float) -> None:
        if not 0 <= alpha < math.inf:
            raise UserError(f"length_penalty={alpha} must be a number of at least 0")
        self.alpha = alpha

    def __call__(self, length: Number) -> Number:
        """lp of a number of tokens, `eos` included."""
        penalty: Number = ((5 + length) / 6) ** self.alpha
        return penalty


class LengthLimit:
    """The most tokens of a translation: `factor` × source tokens + `margin`, `eos` included on both sides."""

    def __init__(self, *, factor: float, margin: int) -> None:
        if not 0 <= factor < math.inf:
            raise UserError(f"max_length_factor={factor} must be a number of at least 0")
        check_sizes(max_length_margin=margin)
        self.factor = factor
        self.margin = margin

    def __call__(self, source_length: int, max_length: int | None) -> int:
        """Not above the model's `max_length`."""
        limit = int(source_length * self.factor) + self.margin
        return limit if max_length is None else min(limit, max_length)


def end_here(log_probabilities: Tensor, at_limit: Tensor, eos_id: int) -> None:
    """Leaves the rows at_limit (N,) of log_probabilities (N, V) no choice but to end, at that token's own price."""
    ending = log_probabilities[:, eos_id].clone()
    log_probabilities.masked_fill_(at_limit.unsqueeze(-1), -math.inf)
    log_probabilities[:, eos_id] = ending
