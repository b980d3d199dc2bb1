"""The loss: cross-entropy with label smoothing, straight from what the output layer reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

CHUNK = {"cpu": 2**20, "cuda": 2**28}
"""Logits that exist at once: on a CPU so few that they stay in its cache."""


class _LinearCrossEntropy(Function):
    """-Σ_v q(v) log p(v) with p = softmax(W h + b) and q = (1 - ε) · onehot + ε / V, for N vectors h.

    The gradient of the logits is p - q, which is known as soon as p is. So the logits are made a few rows at a time,
    and in the same turn become the gradients of h, W and b: (N, V) numbers, the largest tensor of a step by far, are
    never written to memory, where they went forth and back seven times. The share of ε is the same for all v, so that
    it takes no pass over them: Σ_v log p(v) = h · Σ_v W_v + Σ_v b_v - V log Z.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        (num_rows, _), num_tokens = hidden.shape, weight.size(0)  # N, V
        exact = torch.promote_types(hidden.dtype, torch.float32)  # of everything that is summed
        rounded = weight.to(hidden.dtype)
        rounded_bias = bias.to(hidden.dtype)
        need_gradient = any(ctx.needs_input_grad)
        hidden_gradient, weight_gradient = torch.empty_like(hidden), torch.zeros_like(weight, dtype=exact)
        bias_gradient = torch.zeros_like(bias, dtype=exact)
        likelihood, log_sums = hidden.new_zeros((), dtype=exact), hidden.new_zeros((), dtype=exact)
        size = max(1, min(num_rows, CHUNK[hidden.device.type] // num_tokens))
        # Each chunk's numbers are written over the last one's, where the cache still has the place.
        all_logits = hidden.new_empty(size, num_tokens)
        all_probabilities = hidden.new_empty(size, num_tokens, dtype=exact)
        ones = hidden.new_ones(size, dtype=exact)
        for start in range(0, num_rows, size):
            some = slice(start, start + size)
            rows, targets = hidden[some], target[some].unsqueeze(1)  # (n, E), (n, 1)
            count = len(rows)
            logits = torch.mm(rows, rounded.t(), out=all_logits[:count]).add_(rounded_bias)  # (n, V)
            probabilities = torch.softmax(logits, -1, dtype=exact, out=all_probabilities[:count])  # (n, V)
            log_sum = logits.amax(-1, keepdim=True).to(exact) - probabilities.amax(-1, keepdim=True).log()  # (n, 1)
            likelihood += (log_sum - logits.gather(1, targets)).sum()
            log_sums += log_sum.sum()
            if need_gradient:
                lower = probabilities.new_full(targets.shape, smoothing - 1)
                difference = probabilities.scatter_add_(1, targets, lower)  # p - q, but for the share of ε
                bias_gradient.addmv_(difference.t(), ones[:count])
                difference = difference.to(hidden.dtype)
                torch.mm(difference, rounded, out=hidden_gradient[some])
                if exact == hidden.dtype:
                    weight_gradient.addmm_(difference.t(), rows)
                else:
                    weight_gradient += difference.t() @ rows
        mean_weight, summed = weight.to(exact).mean(0), hidden.sum(0, dtype=exact)  # (E,), (E,)
        uniform = log_sums - summed @ mean_weight - num_rows * bias.to(exact).mean()
        if need_gradient:
            hidden_gradient -= smoothing * mean_weight
            weight_gradient -= smoothing / num_tokens * summed
            bias_gradient -= smoothing / num_tokens * num_rows
            ctx.save_for_backward(hidden_gradient, weight_gradient.to(weight.dtype), bias_gradient.to(bias.dtype))
        ctx.mark_non_differentiable(likelihood)
        return (1 - smoothing) * likelihood + smoothing * uniform, likelihood

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = (saved * gradients[0].to(saved.dtype) for saved in ctx.saved_tensors)
        return hidden, weight, bias, None, None


def linear_cross_entropy(
    readouts: Tensor, output: nn.Linear, target: Tensor, mask: Tensor, *, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """The loss to minimise and the plain negative log-likelihood, both summed over real tokens, in nats.

    Label smoothing is that of Szegedy et al. (2016, https://arxiv.org/abs/1512.00567, §7) as used by Vaswani et al.
    (2017, §5.4): ε of the probability is spread over all V pieces.

    Args:
        readouts: (B, T, E), from which `output` predicts; their number format is that of its products.
        output: the output layer, E -> V.
        target: (B, T) ids.
        mask: (B, T), True = a real token; the others count nothing, and nothing is computed for them.
        label_smoothing: ε, from 0 to below 1.

    Raises:
        ValueError: ε is out of its range.
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing={label_smoothing} must be a probability from 0 to below 1")
    with torch.autocast(readouts.device.type, enabled=False):
        loss, likelihood = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            readouts[mask], output.weight, output.bias, target[mask], label_smoothing
        )
    return loss, likelihood


class _SmoothedCrossEntropy(Function):
    """As `_LinearCrossEntropy`, where the logits (N, V) are there already.

    torch's own label smoothing takes more than twice as long over a vocabulary of thousands on a CPU: it goes over
    the logits again for the smoothing term, forwards and backwards. Here the gradient reuses the log-probabilities'
    memory.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
        log_probabilities = logits.float().log_softmax(-1)  # (N, V)
        likelihood = -log_probabilities.gather(-1, target.unsqueeze(-1)).sum()
        uniform = -log_probabilities.mean(-1).sum()
        ctx.save_for_backward(log_probabilities, target)
        ctx.smoothing, ctx.dtype = smoothing, logits.dtype
        ctx.mark_non_differentiable(likelihood)
        return (1 - smoothing) * likelihood + smoothing * uniform, likelihood

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        log_probabilities, target = ctx.saved_tensors
        gradient = log_probabilities.exp_().sub_(ctx.smoothing / log_probabilities.size(-1))  # (N, V), p - ε/V
        gradient.scatter_add_(-1, target.unsqueeze(-1), gradient.new_full((target.size(0), 1), ctx.smoothing - 1))
        return gradient.mul_(gradients[0]).to(ctx.dtype), None, None


def cross_entropy(logits: Tensor, target: Tensor, mask: Tensor, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """The loss to minimise and the plain negative log-likelihood, both summed over real tokens, in nats.

    Label smoothing is that of Szegedy et al. (2016, https://arxiv.org/abs/1512.00567, §7) as used by Vaswani et al.
    (2017, §5.4): ε of the probability is spread over all V pieces.

    Args:
        logits: (B, T, V).
        target: (B, T) ids.
        mask: (B, T), True = a real token; the others count nothing.
        label_smoothing: ε, from 0 to below 1.

    Raises:
        ValueError: ε is out of its range.
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing={label_smoothing} must be a probability from 0 to below 1")
    loss, likelihood = _SmoothedCrossEntropy.apply(logits[mask], target[mask], label_smoothing)  # type: ignore[no-untyped-call]
    return loss, likelihood
