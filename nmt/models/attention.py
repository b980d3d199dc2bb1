"""Attention: how well each source position answers a query, and the average of what it found.

    score(query, key_j)                 how well position j matches       dot, general, additive, scaled dot product
    weights = softmax_j(score)          what the model looks at
    context = Σ_j weights_j · value_j   what it sees there

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473
Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025
Vaswani et al. (2017), https://arxiv.org/abs/1706.03762

Shapes: B batch, T queries (target positions), S source positions, D model size, H heads, d = D / H.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_sizes
from nmt.errors import UserError
from nmt.models.dropout import Dropout


class Score(nn.Module, ABC):
    """Compares a recurrent decoder's query (query_size numbers) with every position of the source (value_size)."""

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__()
        check_sizes(query_size=query_size, value_size=value_size)
        self.query_size = query_size
        self.value_size = value_size

    @abstractmethod
    def keys(self, values: Tensor) -> Tensor:
        """What of the encoder's outputs (B, S, value_size) is compared; computed once per sentence."""

    @abstractmethod
    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores (B, T, S) of queries (B, T, query_size) against keys (B, S, ·)."""


class DotScore(Score):
    """score(h_t, h̄_s) = h_tᵀ h̄_s (Luong et al., 2015, Eq. 8, dot). It has no parameters: both sizes must agree."""

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
        keys: Tensor = self.key_projection(values)  # (B, S, query_size)
        return keys

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return query @ keys.transpose(1, 2)  # (B, T, S)


class AdditiveScore(Score):
    """score(s, h_j) = v_aᵀ tanh(W_a s + U_a h_j), a one-layer network.

    This is Bahdanau et al. (2015), appendix A.1.2, and Luong et al. (2015), Eq. 8, "concat": a matrix applied to
    [h_t; h̄_s] is the sum of its two halves applied to each, and only so can U_a h_j be computed once per sentence.
    """

    def __init__(self, *, query_size: int, value_size: int, attention_size: int) -> None:
        super().__init__(query_size=query_size, value_size=value_size)
        check_sizes(attention_size=attention_size)
        self.query_projection = nn.Linear(query_size, attention_size, bias=False)  # W_a
        self.key_projection = nn.Linear(value_size, attention_size, bias=False)  # U_a
        self.energy = nn.Parameter(torch.empty(attention_size))  # v_a
        nn.init.uniform_(self.energy, -1 / math.sqrt(attention_size), 1 / math.sqrt(attention_size))

    def keys(self, values: Tensor) -> Tensor:
        keys: Tensor = self.key_projection(values)  # (B, S, attention_size)
        return keys

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        projected = self.query_projection(query).unsqueeze(2)  # (B, T, 1, A)
        return torch.tanh(projected + keys.unsqueeze(1)) @ self.energy  # (B, T, S, A) -> (B, T, S)


def attend(scores: Tensor, values: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
    """The context vectors and the weights that made them (Bahdanau et al., 2015, Eqs. 5 and 6; Luong et al., Eq. 7).

    Args:
        scores: (B, T, S).
        values: (B, S, value_size).
        source_mask: (B, S).

    Returns:
        context (B, T, value_size) and weights (B, T, S) that sum to one over the real positions.
    """
    weights = scores.masked_fill(~source_mask.unsqueeze(1), -math.inf).softmax(dim=-1)  # (B, T, S)
    return weights @ values, weights  # (B, T, value_size), (B, T, S)


def fused_attention(queries: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor | None, causal: bool) -> Tensor:
    """softmax(Q Kᵀ / √d) V (Vaswani et al., 2017, Eq. 1) by torch's fused kernel, (B, H, T, d).

    On a CPU never in bf16: there the kernel's gradient takes over ten times as long as in float32 for short sentences
    (torch 2.13), which would be half of a training step under autocast.
    """
    if queries.device.type == "cpu" and queries.dtype == torch.bfloat16:
        if mask is not None and mask.is_floating_point():
            mask = mask.float()
        with torch.autocast("cpu", enabled=False):
            heads = fused_attention(queries.float(), keys.float(), values.float(), mask=mask, causal=causal)
        return heads.to(queries.dtype)
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)


FEWEST = 16
"""The fewest positions that `look` is given; behind the real ones come such as nobody may look at. A softmax over less
than a vector register holds is computed number by number on a CPU, which takes ten times as long."""


def look(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √d + bias) V (Vaswani et al., 2017, Eq. 1), written out for the few queries of a decoding step.

    With so few torch's fused kernel takes twice as long on a CPU, and it keeps the weights to itself.

    Args:
        queries: (N, T, d), N as many as there are heads in all sentences.
        keys: (N, d, S).
        values: (N, S, d).
        bias: (N, T, S) or (N, 1, S), 0 where a query may look and -inf elsewhere.

    Returns:
        what they saw, (N, T, d), and the weights (N, T, S).
    """
    scores = torch.baddbmm(bias, queries, keys, alpha=queries.size(-1) ** -0.5)  # (N, T, S)
    weights = scores.softmax(dim=-1)  # (N, T, S)
    return torch.bmm(weights, values), weights


class MultiHeadAttention(nn.Module):
    """H attentions side by side, each in its own d = D / H dimensions (Vaswani et al., 2017, §3.2.2).

        head_i = softmax(Q_i K_iᵀ / √d) V_i;   output = [head_1; …; head_H] W_O          (Eq. 1 and §3.2.2)

    Keys and values are made apart from the attention itself, so that a decoder makes those of the source once per
    sentence, and those of the target once per step.
    """

    def __init__(self, *, model_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        check_sizes(model_size=model_size, num_heads=num_heads)
        if model_size % num_heads:
            raise UserError(f"model_size={model_size} must be a multiple of num_heads={num_heads}")
        self.num_heads = num_heads
        self.query_projection = nn.Linear(model_size, model_size)
        self.key_value_projection = nn.Linear(model_size, 2 * model_size)
        self.output_projection = nn.Linear(model_size, model_size)
        self.dropout = Dropout(dropout)

    def _split(self, tensor: Tensor) -> Tensor:
        batch, positions, _ = tensor.shape
        return tensor.view(batch, positions, self.num_heads, -1).transpose(1, 2)  # (B, T, D) -> (B, H, T, d)

    def keys_values(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (B, H, S, d), of inputs (B, S, D)."""
        keys, values = self.key_value_projection(inputs).chunk(2, dim=-1)  # 2 × (B, S, D), views
        return self._split(keys), self._split(values)

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Attends from (B, T, D) to keys and values (B, H, S, d) by torch's fused kernel; returns (B, T, D).

        Args:
            mask: broadcastable to (B, H, T, S); True = may be looked at.
            causal: position t sees only 0 … t.
        """
        queries = self._split(self.query_projection(query))  # (B, H, T, d)
        return self._join(fused_attention(queries, keys, values, mask=mask, causal=causal))

    def _join(self, heads: Tensor) -> Tensor:
        joined: Tensor = self.output_projection(heads.transpose(1, 2).flatten(2))  # (B, H, T, d) -> (B, T, D)
        dropped: Tensor = self.dropout(joined)
        return dropped
