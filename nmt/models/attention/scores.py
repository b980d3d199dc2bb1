"""The attention of recurrent decoders: three scores, and the weighted average that follows each of them.

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473
Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025

Shapes: B batch, T queries (target positions, or hypotheses while decoding), S source positions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.errors import UserError


class Score(nn.Module, ABC):
    """Compares a decoder's queries with all source positions.

    Args:
        query_size: of the decoder states that are used as queries.
        value_size: of the encoder outputs that are compared.
    """

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__()
        check_sizes(query_size=query_size, value_size=value_size)
        self.query_size = query_size
        self.value_size = value_size

    @abstractmethod
    def keys(self, values: Tensor) -> Tensor:
        """The keys (B, S, ·) of encoder outputs (B, S, value_size): the query-independent part, once per sentence."""

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores (B, T, S) of queries (B, T, query_size) against keys (B, S, ·)."""


class DotScore(Score):
    """score(h_t, h̄_s) = h_tᵀ h̄_s (Luong et al., 2015, Eq. 8, dot). It has no parameters, so both sizes must agree.

    Raises:
        UserError: the sizes differ.
    """

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size)
        if query_size != value_size:
            raise UserError(f"the dot score needs equal sizes, not query_size={query_size}, value_size={value_size}")

    def keys(self, values: Tensor) -> Tensor:
        return values

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2)  # (B, T, S)


class GeneralScore(Score):
    """score(h_t, h̄_s) = h_tᵀ W_a h̄_s (Luong et al., 2015, Eq. 8, general). W_a h̄_s is computed once per sentence."""

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size)
        self.key_projection = nn.Linear(value_size, query_size, bias=False)  # W_a

    def keys(self, values: Tensor) -> Tensor:
        return self.key_projection(values)  # (B, S, query_size)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2)  # (B, T, S)


class AdditiveScore(Score):
    """score(s, h_j) = v_aᵀ tanh(W_a s + U_a h_j), a network with one hidden layer.

    This is the score of Bahdanau et al. (2015, appendix A.1.2) and also Luong's "concat" (2015, Eq. 8): one matrix
    applied to [h_t; h̄_s] is the sum of its two halves applied to each. Written as a sum, U_a h_j can be computed once
    per sentence.
    """

    def __init__(self, *, query_size: int, value_size: int, attention_size: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size)
        check_sizes(attention_size=attention_size)
        self.query_projection = nn.Linear(query_size, attention_size, bias=False)  # W_a
        self.key_projection = nn.Linear(value_size, attention_size, bias=False)  # U_a
        self.energy = nn.Parameter(torch.empty(attention_size))  # v_a
        nn.init.uniform_(self.energy, -1 / math.sqrt(attention_size), 1 / math.sqrt(attention_size))

    def keys(self, values: Tensor) -> Tensor:
        return self.key_projection(values)  # (B, S, attention_size)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        projected = self.query_projection(query).unsqueeze(2)  # (B, T, 1, attention_size)
        hidden = torch.tanh(projected + keys.unsqueeze(1))  # (B, T, S, attention_size)
        return hidden @ self.energy  # (B, T, S)


def attend(scores: Tensor, values: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Context vectors and attention weights from scores (Bahdanau et al., 2015, Eqs. 5 and 6; Luong et al., Eq. 7).

    Args:
        scores: (B, T, S).
        values: (B, S, value_size).
        source_mask: (B, S).

    Returns:
        context (B, T, value_size), and weights (B, T, S) that sum to one over the real positions.
    """
    weights = scores.masked_fill(~source_mask.unsqueeze(1), -math.inf).softmax(dim=-1)  # (B, T, S)
    return weights @ values, weights  # (B, T, value_size), (B, T, S)
