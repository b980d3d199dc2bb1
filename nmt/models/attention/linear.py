"""Linear attention: the softmax is replaced by a product of features, so that sums over positions can be kept.

    weight of position j for query i = φ(q_i)·φ(k_j) / Σ_j' φ(q_i)·φ(k_j')       φ(x) = elu(x) + 1, which is positive
    output_i = φ(q_i)ᵀ Σ_j φ(k_j) v_jᵀ / φ(q_i)ᵀ Σ_j φ(k_j)                      Eq. 5

The sums do not depend on the query. Over S positions they take S · d² operations instead of S² · d, and a causal
decoder adds one term per step: it is a recurrence, whose state has the same size at any length (§3.4).

Katharopoulos et al. (2020), https://arxiv.org/abs/2006.16236

Shapes: B batch, T queries, S key positions, H heads, d numbers per head. Values get a further column of ones, so that
one product computes numerator and denominator.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK_POSITIONS = 64
"""Positions of a causal sentence that are computed together, see `causal_linear_attention`. Products of this size keep
a processor busy, and the number of scores grows only linearly with the length."""


def features(vectors: Tensor) -> Tensor:
    """φ(x) = elu(x) + 1 = max(x, 0) + exp(min(x, 0)) (Eq. 7), of queries or keys.

    The sum with 1 would round a small feature to zero (in float32 below x = -17, in bfloat16 below -6), and a query
    whose weights are all zero has no output. An exponential keeps its digits.
    """
    return F.relu(vectors) + vectors.clamp(max=0).exp()


def linear_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """The output (B, H, T, d), where each query attends to all real positions (Eq. 6).

    Args:
        queries: φ(q), (B, H, T, d).
        keys: φ(k), (B, H, S, d).
        values: (B, H, S, d).
        mask: broadcastable to (B, H, S), True at real positions; None: all are real.
    """
    if mask is not None:
        keys = keys * mask.unsqueeze(-1)
    sums = keys.transpose(2, 3) @ with_ones(values)  # (B, H, d, d + 1)
    return divide(queries @ sums)  # (B, H, T, d)


def causal_linear_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The output (B, H, T, d), where query t attends to the positions 0 … t (Eqs. 8 and 9).

    Keeping the sums after every position would take T · d² numbers. Only those after every chunk are kept; inside a
    chunk, the weights are computed as in full attention.

    Args:
        queries: φ(q), (B, H, T, d).
        keys: φ(k), (B, H, T, d).
        values: (B, H, T, d).
    """
    length = queries.size(2)
    queries, keys, values = map(cut_into_chunks, (queries, keys, with_ones(values)))  # (B, H, chunks, positions, ·)
    sums = keys.transpose(3, 4) @ values  # (B, H, chunks, d, d + 1)
    # Shifted by one chunk: a difference of sums would lose the earlier chunks beside a larger one. In bfloat16, a sum
    # stops growing after some hundred terms.
    before = F.pad(sums, (0, 0, 0, 0, 1, -1)).cumsum(2, dtype=torch.promote_types(sums.dtype, torch.float32))
    before = before.to(sums.dtype)  # (B, H, chunks, d, d + 1), of all earlier chunks
    inside = (queries @ keys.transpose(3, 4)).tril()  # (B, H, chunks, positions, positions)
    totals = queries @ before + inside @ values  # (B, H, chunks, positions, d + 1)
    return divide(totals.flatten(2, 3)[:, :, :length])  # (B, H, T, d)


def linear_attention_weights(queries: Tensor, keys: Tensor, *, mask: Tensor | None, causal: bool) -> Tensor:
    """The weights (B, H, T, S) of the formula above, whose rows sum to one; arguments as above.

    They are float32 even under autocast, as in `attention_with_weights`.
    """
    products = queries @ keys.transpose(2, 3)  # (B, H, T, S)
    products = products.to(torch.promote_types(products.dtype, torch.float32))
    if mask is not None:
        products = products * mask.unsqueeze(-2)
    if causal:
        products = products.tril()
    return products / products.sum(-1, keepdim=True)


def cut_into_chunks(vectors: Tensor) -> Tensor:
    """Chunks of positions, (B, H, chunks, CHUNK_POSITIONS, d), of vectors (B, H, T, d); zeros fill the last one."""
    batch_size, num_heads, length, size = vectors.shape
    padded = F.pad(vectors, (0, 0, 0, -length % CHUNK_POSITIONS))
    return padded.view(batch_size, num_heads, -1, CHUNK_POSITIONS, size)


def with_ones(values: Tensor) -> Tensor:
    """Values (…, d) with a last column of ones, (…, d + 1)."""
    return F.pad(values, (0, 1), value=1.0)


def divide(totals: Tensor) -> Tensor:
    """Numerators (…, d), divided by the denominator in the last column of totals (…, d + 1)."""
    return totals[..., :-1] / totals[..., -1:]
