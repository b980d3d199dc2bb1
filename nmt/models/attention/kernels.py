"""Three ways to compute scaled dot-product attention: two fast ones, and one that returns the weights.

All compute Eq. 1 of Vaswani et al. (2017):

    weights = softmax(Q Kᵀ / √d + bias)        bias: -inf where a query may not attend, and elsewhere
                                               0 or what the positions add
    output  = weights V

Vaswani et al. (2017), https://arxiv.org/abs/1706.03762

Shapes: B batch, T queries, S key positions, H heads, G heads of keys and values (G divides H), d numbers per head.
With fewer heads of keys and values than of queries, each is shared by H / G heads that are neighbours.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from nmt.models.dropout import Dropout

MIN_KEY_POSITIONS = 16
"""Minimum number of key positions for `step_attention`; callers pad shorter inputs with masked positions.
With fewer numbers than a vector register holds, a CPU computes the softmax without vector instructions, which takes ten
times as long."""

KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""The kernels for a GPU. cuDNN's is not among them: it plans its work for every new shape, and the batches of a
training run have hundreds of shapes."""

MAX_BF16_FORMULA_POSITIONS = 128
"""Maximum number of key positions for which `fused_attention` uses the formula for bfloat16 on a CPU. Up to here it is
at least as fast as the fused kernel, and its weights take no more memory than the other activations of a layer."""


def fused_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None,
    causal: bool,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """The output (B, H, T, d) by torch's fused kernel: for many queries at once, without attention weights.

    It is faster than the formula because it never writes the (T, S) weights to memory.

    torch's CPU kernel is slow in bfloat16: its gradient takes four times as long as in float32 (torch 2.13). So short
    bfloat16 inputs are computed by the formula, which takes half of the float32 kernel's time with 20 key positions,
    and longer ones by the kernel in float32: with 512, the formula takes 1.7 times as long, and its weights, whose size
    grows with the square of the length, would take gigabytes.

    Args:
        queries: (B, H, T, d).
        keys: (B, G, S, d).
        values: (B, G, S, d).
        mask: broadcastable to (B, H, T, S), True where a query may attend; None allows all.
        causal: query t attends to the keys 0 … t only.
        bias: broadcastable to (B, H, T, S), added to the scores; None adds nothing.
        dropout: probability of dropping an attention weight; 0 on a CPU, whose kernel has no dropout.
    """
    if queries.device.type == "cpu":
        assert dropout == 0.0, "torch has no fused CPU kernel with dropout"
        if queries.dtype == torch.bfloat16 and keys.size(2) <= MAX_BF16_FORMULA_POSITIONS:
            return attention_with_weights(queries, keys, values, mask=mask, causal=causal, bias=bias)[0]
        if queries.dtype == torch.bfloat16:
            with torch.autocast("cpu", enabled=False):
                inputs = queries.float(), keys.float(), values.float()
                output = fused_attention(*inputs, mask=mask, causal=causal, bias=bias)
            return output.to(queries.dtype)
    if bias is not None:  # the kernel takes one mask only, which may hold numbers
        mask, causal = hide(bias.to(queries.dtype), mask=mask, causal=causal), False
    is_shared = keys.size(1) < queries.size(1)
    if is_shared and queries.device.type != "cpu":  # most GPU kernels take as many heads of keys as of queries
        keys, values = repeat_heads(keys, queries.size(1)), repeat_heads(values, queries.size(1))  # 2 × (B, H, S, d)
        is_shared = False
    with sdpa_kernel(KERNELS) if queries.device.type == "cuda" else nullcontext():
        return F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, dropout_p=dropout, enable_gqa=is_shared
        )


def attention_with_weights(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None,
    causal: bool,
    bias: Tensor | None = None,
    dropout: Dropout | None = None,
) -> tuple[Tensor, Tensor]:
    """The output (B, H, T, d) and the attention weights (B, H, T, S) by the formula; arguments as `fused_attention`.

    The weights are float32 even under autocast, so that their rows sum to one. `dropout` is applied to the weights that
    average the values, not to those that are returned.
    """
    keys, values = repeat_heads(keys, queries.size(1)), repeat_heads(values, queries.size(1))  # 2 × (B, H, S, d)
    scores = queries @ keys.transpose(-2, -1) * queries.size(-1) ** -0.5  # (B, H, T, S)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    scores = hide(scores, mask=mask, causal=causal)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    weights = scores.softmax(dim=-1)  # (B, H, T, S)
    dropped = weights if dropout is None else dropout(weights)  # (B, H, T, S)
    return dropped.to(values.dtype) @ values, weights


def repeat_heads(vectors: Tensor, num_heads: int) -> Tensor:
    """Keys or values (B, G, S, d) as (B, H, S, d): a copy for each head that shares them, none if G = H."""
    num_copies = num_heads // vectors.size(1)
    return vectors if num_copies == 1 else vectors.repeat_interleave(num_copies, dim=1)  # (B, H, S, d)


def hide(scores: Tensor, *, mask: Tensor | None, causal: bool) -> Tensor:
    """Scores (…, T, S) that are -inf where a query may not attend; arguments as `fused_attention`."""
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    if causal:
        is_later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)  # (T, S)
        scores = scores.masked_fill(is_later, -math.inf)
    return scores


def step_attention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """The output (N, T, d), by three torch operations: for the few queries of a decoding step.

    With so few queries the fused kernel takes twice as long on a CPU. Keys are passed transposed, as the product reads
    them, so that a cache can store them this way once.

    Args:
        queries: (N, T, d), N the number of heads of keys and values of all sentences together. Heads of queries that
            share one of keys and values are further rows of the same product, so nothing is copied.
        keys: (N, d, S), S at least MIN_KEY_POSITIONS to be fast.
        values: (N, S, d).
        bias: (N, T, S) or (N, 1, S), -inf where a query may not attend; 0 or the bias of its positions elsewhere.
    """
    scores = torch.baddbmm(bias, queries, keys, alpha=queries.size(-1) ** -0.5)  # (N, T, S)
    return torch.bmm(scores.softmax(dim=-1), values)  # (N, T, d)
