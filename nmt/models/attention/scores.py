"""The attention of recurrent decoders: their scores, and the weighted average that follows each of them.

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473
Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025
See, Liu, Manning (2017), https://arxiv.org/abs/1704.04368
Chen et al. (2018), https://arxiv.org/abs/1804.09849

Shapes: B batch, T queries (target positions, or hypotheses while decoding), S source positions, H heads.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.errors import UserError


class Score(nn.Module, ABC):
    """Compares a decoder's queries with all source positions.

    Args:
        query_size: of the decoder states that are used as queries.
        value_size: of the encoder outputs that are compared.

    Attributes:
        uses_coverage: the score also depends on the sum of all attention weights before.
        num_heads: H, how many scores of a pair it computes.
    """

    uses_coverage: ClassVar[bool] = False
    num_heads: int = 1

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__()
        check_sizes(query_size=query_size, value_size=value_size)
        self.query_size = query_size
        self.value_size = value_size

    @abstractmethod
    def keys(self, values: Tensor) -> Tensor:
        """The keys (B, S, ·) of encoder outputs (B, S, value_size): the query-independent part, once per sentence."""

    def values(self, outputs: Tensor) -> Tensor:
        """What attention averages, made from encoder outputs (B, S, value_size): with one head, these outputs."""
        return outputs

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores (B, T, S), with several heads (B, H, T, S), of queries (B, T, query_size) against keys (B, S, ·)."""


class DotScore(Score):
    """score(h_t, h̄_s) = h_tᵀ h̄_s (Luong et al., 2015, §3.1, dot). It has no parameters, so both sizes must agree.

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
    """score(h_t, h̄_s) = h_tᵀ W_a h̄_s (Luong et al., 2015, §3.1, general). W_a h̄_s is computed once per sentence."""

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size)
        self.key_projection = nn.Linear(value_size, query_size, bias=False)  # W_a

    def keys(self, values: Tensor) -> Tensor:
        return self.key_projection(values)  # (B, S, query_size)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2)  # (B, T, S)


class AdditiveScore(Score):
    """score(s, h_j) = v_aᵀ tanh(W_a s + U_a h_j), a network with one hidden layer.

    This is the score of Bahdanau et al. (2015, appendix A.1.2) and also Luong's "concat" (2015, §3.1): one matrix
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


class CoverageScore(AdditiveScore):
    """score(s, h_j, c_j) = v_aᵀ tanh(W_a s + U_a h_j + w_c c_j), for decoders that must not read a word twice or never.

    The coverage c_j of a source position is the sum of all attention weights that it got at the target positions before
    (See et al., 2017, Eq. 10 and 11; Tu et al., 2016, https://arxiv.org/abs/1601.04811, §3.1). With w_c = 0 this is the
    additive score.
    """

    uses_coverage = True

    def __init__(self, *, query_size: int, value_size: int, attention_size: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size, attention_size=attention_size)
        self.coverage_weight = nn.Parameter(torch.empty(attention_size))  # w_c
        nn.init.uniform_(self.coverage_weight, -1.0, 1.0)  # as a linear layer with one input

    def forward(self, query: Tensor, keys: Tensor, coverage: Tensor | None = None) -> Tensor:
        """Also takes the coverage (B, T, S) before each query; None: nothing has been attended to."""
        if coverage is None:
            return super().forward(query, keys)
        projected = self.query_projection(query).unsqueeze(2)  # (B, T, 1, attention_size)
        covered = coverage.to(keys.dtype).unsqueeze(-1) * self.coverage_weight  # (B, T, S, attention_size)
        return torch.tanh(projected + keys.unsqueeze(1) + covered) @ self.energy  # (B, T, S)


class MultiHeadAdditiveScore(AdditiveScore):
    """H additive attentions side by side, as in RNMT+ (Chen et al., 2018, Figure 1).

        score_i(s, h_j) = v_iᵀ tanh(W_i s + U_i h_j)                  attention_size / H hidden units for each head i
        c = [Σ_j α_1j V_1 h_j; …; Σ_j α_Hj V_H h_j]                   α_i = softmax_j(score_i), value_size / H each

    One head must average: if two source words matter at once, it mixes them. Several heads can keep them apart.

    Args:
        query_size: of the decoder states that are used as queries.
        value_size: of the encoder outputs; H must divide it.
        attention_size: hidden units of all heads together; H must divide it.
        num_heads: H, at least 2.

    Raises:
        UserError: a size is not a positive integer, or H does not divide it, or H is 1.
    """

    def __init__(self, *, query_size: int, value_size: int, attention_size: int, num_heads: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size, attention_size=attention_size)
        check_sizes(num_heads=num_heads)
        if num_heads == 1:
            raise UserError("num_heads=1 must be at least 2: one head is AdditiveScore, model/score=concat")
        for name, size in (("value_size", value_size), ("attention_size", attention_size)):
            if size % num_heads:
                raise UserError(f"{name}={size} must be a multiple of num_heads={num_heads}")
        self.num_heads = num_heads
        self.value_projection = nn.Linear(value_size, value_size, bias=False)  # [V_1; …; V_H]

    def values(self, outputs: Tensor) -> Tensor:
        values = self.value_projection(outputs).chunk(self.num_heads, dim=-1)  # H × (B, S, value_size / H)
        return torch.stack(values, dim=1)  # (B, H, S, value_size / H)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        projected = self.query_projection(query).unsqueeze(2)  # (B, T, 1, attention_size)
        hidden = torch.tanh(projected + keys.unsqueeze(1))  # (B, T, S, attention_size)
        # The product with v_aᵀ = [v_1ᵀ … v_Hᵀ], summed over the hidden units of each head.
        parts = (hidden * self.energy).view(*hidden.shape[:-1], self.num_heads, -1)  # (B, T, S, H, attention_size / H)
        return parts.sum(-1).permute(0, 3, 1, 2)  # (B, H, T, S)

    @torch.no_grad()
    def silence(self, head: int) -> None:
        """Sets the context of a head to zero, for good, as `MultiHeadAttention.silence` does: V_head becomes zero."""
        self.value_projection.weight.view(self.num_heads, -1, self.value_size)[head] = 0


def attend(scores: Tensor, values: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Context vectors and attention weights from scores (Bahdanau et al., 2015, Eqs. 5 and 6; Luong et al., Eq. 7).

    Args:
        scores: (B, T, S), with several heads (B, H, T, S).
        values: (B, S, value_size), with several heads (B, H, S, value_size).
        source_mask: (B, S).

    Returns:
        context (B, T, value_size), and weights (B, T, S) that sum to one over the real positions; with several heads
        (B, H, T, value_size) and (B, H, T, S).
    """
    mask = source_mask.unsqueeze(1)  # (B, 1, S)
    if scores.dim() == 4:
        mask = mask.unsqueeze(1)  # (B, 1, 1, S)
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)  # (B, T, S)
    return weights @ values, weights  # (B, T, value_size), (B, T, S)
