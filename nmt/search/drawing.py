"""Drawing tokens at random, with the probabilities of the model or with some of them left out.

Shapes: N rows, V target vocabulary, C candidates of each row: V, or fewer with top-k.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.search.candidates import block_size


def draw_tokens(
    log_probabilities: Tensor, uniforms: Tensor, *, temperature: float, top_k: int | None, top_p: float | None
) -> Tensor:
    """Draws a token (N,) of each row.

    Args:
        log_probabilities: (N, V), -inf for forbidden tokens.
        uniforms: (N,), float64 numbers in [0, 1).
        temperature: see `Sampling`.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
    """
    values, tokens = log_probabilities, None  # (N, C) and, unless they are all V tokens in order, (N, C)
    if temperature != 1:
        # The highest value becomes 0 first, so that no temperature makes a whole row infinite.
        values = (values - values.amax(1, keepdim=True)) / temperature  # (N, V)
    if top_k is not None:
        values, tokens = values.topk(min(top_k, values.size(1)))  # (N, top_k), best first
    if top_p is not None:
        if tokens is None:
            values, tokens = values.sort(1, descending=True)  # (N, V)
        probabilities = values.softmax(1)  # (N, C)
        before = probabilities.cumsum(1) - probabilities  # (N, C), of the more probable tokens
        is_left_out = before >= top_p
        is_left_out[:, 0] = False  # `before` is a rounded 0 there
        values = values.masked_fill(is_left_out, -math.inf)  # (N, C)
    drawn = draw_indices(values.softmax(1), uniforms)  # (N, 1)
    return (drawn if tokens is None else tokens.gather(1, drawn)).squeeze(1)  # (N,)


def draw_indices(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The first index (N, 1) of each row at which the cumulative probability exceeds a uniform number.

    The plain formula, which the tests compare with this function, adds up all C probabilities:

        torch.searchsorted(probabilities.double().cumsum(1), uniforms.unsqueeze(1), right=True)

    In 32 bits such a sum would be too inexact, and in 64 bits it takes longer than a step of a small model. Here each
    row is cut into blocks of about √C numbers: first a block is drawn by its sum, then an index in the block.

    Args:
        probabilities: (N, C), which sum to 1 up to rounding.
        uniforms: (N,), float64 numbers in [0, 1).
    """
    size = block_size(probabilities.size(1))
    if num_missing := -probabilities.size(1) % size:
        probabilities = F.pad(probabilities, (0, num_missing))  # (N, C + num_missing)
    blocks = probabilities.view(len(probabilities), -1, size)  # (N, C/size, size)
    # 1. The block, and how far into its sum the uniform number lies.
    sums = blocks.sum(2).double()  # (N, C/size)
    block, share = _draw(sums, uniforms.unsqueeze(1))  # (N, 1) each
    # 2. The index in the block.
    within = blocks.gather(1, block.unsqueeze(2).expand(-1, -1, size)).squeeze(1)  # (N, size)
    index, _ = _draw(within.double(), share)  # (N, 1)
    return block * size + index


def _draw(weights: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Draws an index (N, 1) by weights (N, C), and returns the share of its weight at which the number (N, 1) lies."""
    cumulative = weights.cumsum(1)  # (N, C)
    thresholds = uniforms * cumulative[:, -1:]  # (N, 1)
    index = torch.searchsorted(cumulative, thresholds, right=True)  # (N, 1)
    index.clamp_(max=weights.size(1) - 1)  # weights that are NaN lead behind the last one
    weight = weights.gather(1, index)  # (N, 1)
    share = 1 - (cumulative.gather(1, index) - thresholds) / weight  # (N, 1)
    return index, share.clamp_(0, 1 - 2**-53)
