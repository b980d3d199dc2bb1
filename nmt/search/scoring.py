"""How hypotheses of different lengths are compared, and how long a translation may become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from nmt.checks import check_nonnegative, check_sizes

Number = TypeVar("Number", float, Tensor)

MAX_LENGTH = 2**31 - 1
"""The longest translation in tokens: far more than any has, but limits of any factor fit into a tensor."""


class LengthPenalty:
    """GNMT's length penalty lp(Y) = (5 + |Y|)^α / (5 + 1)^α; the score of a hypothesis is log p(Y | X) / lp(Y).

    Every further token lowers the log-probability. Without a penalty (α = 0) the search therefore prefers short
    translations. Source: Wu et al. (2016), Eq. 14, without the coverage term; https://arxiv.org/abs/1609.08144

    Args:
        alpha: α, at least 0; GNMT used 0.6 to 0.7.
    """

    def __init__(self, alpha: float) -> None:
        check_nonnegative(length_penalty=alpha)
        self.alpha = alpha

    def __call__(self, length: Number) -> Number:
        """lp of a hypothesis of `length` tokens, `eos` included; a tensor gives a tensor of the same shape."""
        return ((5 + length) / 6) ** self.alpha


class LengthLimit:
    """Maximum number of target tokens: source tokens × `factor` + `margin`. Both sides count their `eos`.

    Args:
        factor: target tokens per source token, at least 0; a fraction of a token is rounded down.
        margin: further target tokens, whatever the length of the source; at least 1.
        min_length: tokens before `eos` for which every limit has room.
    """

    def __init__(self, *, factor: float, margin: int, min_length: int) -> None:
        check_nonnegative(max_length_factor=factor)
        check_sizes(max_length_margin=margin)
        self.factor = factor
        self.margin = margin
        self.min_length = min_length

    def __call__(self, source_length: int, model_max_length: int | None) -> int:
        """The limit for a sentence, capped at the model's own limit if it has one, and at MAX_LENGTH."""
        limit = max(int(source_length * self.factor) + self.margin, self.min_length + 1)
        return min(limit, MAX_LENGTH if model_max_length is None else model_max_length)

    def of_batch(
        self,
        source_lengths: Sequence[int],
        model_max_length: int | None,
        prefixes: Sequence[Sequence[int]] | None,
    ) -> list[int]:
        """The limit of each of B sentences, which always leaves room for its prefix and for `eos`."""
        limits = [self(length, model_max_length) for length in source_lengths]
        if prefixes is None:
            return limits
        return [max(limit, len(prefix) + 1) for limit, prefix in zip(limits, prefixes, strict=True)]
