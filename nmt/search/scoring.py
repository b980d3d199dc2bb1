"""How hypotheses of different lengths are compared, and how long a translation may become."""

from __future__ import annotations

import math
from typing import TypeVar

from torch import Tensor

from nmt.checks import check_sizes
from nmt.errors import UserError

Number = TypeVar("Number", float, Tensor)


class LengthPenalty:
    """GNMT's length penalty lp(Y) = (5 + |Y|)^α / (5 + 1)^α; the score of a hypothesis is log p(Y | X) / lp(Y).

    Every further token lowers the log-probability. Without a penalty (α = 0) the search therefore prefers short
    translations. Source: Wu et al. (2016), Eq. 14, without the coverage term; https://arxiv.org/abs/1609.08144

    Args:
        alpha: α, at least 0; GNMT used 0.6 to 0.7.
    """

    def __init__(self, alpha: float) -> None:
        if not 0 <= alpha < math.inf:
            raise UserError(f"length_penalty={alpha} must be a number of at least 0")
        self.alpha = alpha

    def __call__(self, length: Number) -> Number:
        """lp of a hypothesis of `length` tokens, `eos` included; a tensor gives a tensor of the same shape."""
        return ((5 + length) / 6) ** self.alpha


class LengthLimit:
    """Maximum number of target tokens: source tokens × `factor` + `margin`. Both sides count their `eos`.

    Args:
        factor: target tokens per source token, at least 0; a fraction of a token is rounded down.
        margin: further target tokens, whatever the length of the source; at least 1.
    """

    def __init__(self, *, factor: float, margin: int) -> None:
        if not 0 <= factor < math.inf:
            raise UserError(f"max_length_factor={factor} must be a number of at least 0")
        check_sizes(max_length_margin=margin)
        self.factor = factor
        self.margin = margin

    def __call__(self, source_length: int, model_max_length: int | None) -> int:
        """The limit for a sentence, capped at the model's own limit if it has one."""
        limit = int(source_length * self.factor) + self.margin
        return limit if model_max_length is None else min(limit, model_max_length)


def force_end(log_probabilities: Tensor, at_limit: Tensor, eos_id: int) -> None:
    """Leaves `eos` as the only possible next token of hypotheses at their length limit, in place.

    The log-probability of `eos` itself is kept: a forced end costs as much as a chosen one.

    Args:
        log_probabilities: (N, V) of the next token; overwritten.
        at_limit: (N,), True = this hypothesis must end now.
        eos_id: id of `eos`.
    """
    eos_log_probability = log_probabilities[:, eos_id].clone()  # (N,)
    log_probabilities.masked_fill_(at_limit.unsqueeze(1), -math.inf)  # (N, 1) broadcast over V
    log_probabilities[:, eos_id] = eos_log_probability
