"""The loss: cross-entropy with label smoothing, in as few passes over the vocabulary as it takes."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function


class _SmoothedCrossEntropy(Function):
    """-Σ_v q(v) log p(v) with q = (1 - ε) · onehot + ε / V, whose gradient is simply p - q.

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
