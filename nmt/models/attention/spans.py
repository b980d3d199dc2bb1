"""Where a recurrent decoder may attend: to the whole source, or to a window around one position.

Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025, §3.2

Shapes: B batch, T queries (target positions, or hypotheses while decoding), S source positions, H heads.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes


class Span(nn.Module, ABC):
    """Changes a query's scores so that it attends to a part of the source.

    Attributes:
        uses_position: the part depends on the target position t.
        query_size: of the queries on which the part depends; None if it does not depend on them.
    """

    uses_position: ClassVar[bool] = False
    query_size: int | None = None

    def __init__(self) -> None:
        super().__init__()  # a constructor without arguments, which that of nn.Module accepts and ignores

    @abstractmethod
    def forward(self, scores: Tensor, query: Tensor, position: Tensor | None, source_mask: Tensor) -> Tensor:
        """The changed scores; -inf means that a query may not attend to a source position.

        Args:
            scores: (B, T, S), with several heads (B, H, T, S).
            query: (B, T, query_size).
            position: t of each query, counted from 0, (B, T); None unless `uses_position`.
            source_mask: (B, S).
        """


class GlobalSpan(Span):
    """The whole source: global attention (§3.1)."""

    def forward(self, scores: Tensor, query: Tensor, position: Tensor | None, source_mask: Tensor) -> Tensor:
        return scores


class LocalSpan(Span):
    """The window [p_t - D, p_t + D] around a source position p_t: local attention. A subclass computes p_t.

    The work is the same as with global attention, since a batch computes all scores anyway. What changes is what the
    decoder can see.

    Args:
        window: D, at least 1.
    """

    def __init__(self, *, window: int) -> None:
        super().__init__()
        check_sizes(window=window)
        self.window = window

    @abstractmethod
    def center(self, query: Tensor, position: Tensor | None, length: Tensor) -> Tensor:
        """p_t, (B, T), counted from 0, from the number S of real positions of each sentence, (B, 1); else as `forward`.

        It is at most 1 away from a real position, so that no window is empty.
        """

    def bias(self, offsets: Tensor) -> Tensor:
        """What is added to scores inside the window, (B, T, S), from the distances s - p_t, (B, T, S)."""
        return torch.zeros_like(offsets, dtype=torch.float32)

    def forward(self, scores: Tensor, query: Tensor, position: Tensor | None, source_mask: Tensor) -> Tensor:
        center = self.center(query, position, source_mask.sum(1, keepdim=True))  # (B, T)
        offsets = torch.arange(source_mask.size(1), device=center.device) - center.unsqueeze(-1)  # s - p_t, (B, T, S)
        bias = self.bias(offsets).masked_fill(offsets.abs() > self.window, -math.inf)  # (B, T, S)
        bias = bias.to(scores.dtype)  # float32 until here, but the values that the weights multiply may be bfloat16
        return scores + (bias if scores.dim() == 3 else bias.unsqueeze(1))  # (B, 1, T, S): the same for all heads


class MonotonicSpan(LocalSpan):
    """local-m: source and target are assumed to have the same order, p_t = t.

    A target may be longer than its source. Its further positions have the window of the last source position.
    """

    uses_position = True

    def center(self, query: Tensor, position: Tensor | None, length: Tensor) -> Tensor:
        assert position is not None, "uses_position"
        return torch.minimum(position, length - 1)  # (B, T)


class PredictiveSpan(LocalSpan):
    """local-p: the decoder predicts where to attend, and positions near p_t count more.

        p_t = S · σ(v_pᵀ tanh(W_p h_t))                                Eq. 9, S is the length of the source
        a_t(s) ∝ exp(score(h_t, h̄_s)) · exp(-(s - p_t)² / (2 σ²))      Eq. 10, σ = D / 2

    The Gaussian lets a gradient reach p_t, which the limits of a window do not. In Eq. 10 it multiplies weights that
    sum to one, so the products sum to less. Here they are divided by their sum: the logarithm of the Gaussian is added
    to the scores before the softmax.

    Args:
        query_size: of h_t.
        window: D, at least 1.
    """

    def __init__(self, *, query_size: int, window: int) -> None:
        super().__init__(window=window)
        check_sizes(query_size=query_size)
        self.query_size = query_size
        self.hidden = nn.Linear(query_size, query_size, bias=False)  # W_p
        self.center_weight = nn.Parameter(torch.empty(query_size))  # v_p
        nn.init.uniform_(self.center_weight, -1 / math.sqrt(query_size), 1 / math.sqrt(query_size))

    def center(self, query: Tensor, position: Tensor | None, length: Tensor) -> Tensor:
        logits = torch.tanh(self.hidden(query)) @ self.center_weight  # (B, T)
        # A position needs more than the 8 binary digits of bfloat16.
        return length * torch.sigmoid(logits.to(torch.promote_types(logits.dtype, torch.float32)))  # (B, T)

    def bias(self, offsets: Tensor) -> Tensor:
        return -offsets.square() / (2 * (self.window / 2) ** 2)
