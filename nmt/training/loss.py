"""The loss: cross-entropy with label smoothing, straight from what the output layer reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq

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
        nll, log_sums = hidden.new_zeros((), dtype=exact), hidden.new_zeros((), dtype=exact)
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
            nll += (log_sum - logits.gather(1, targets)).sum()
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
        ctx.mark_non_differentiable(nll)
        return (1 - smoothing) * nll + smoothing * uniform, nll

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias = (saved * gradients[0].to(saved.dtype) for saved in ctx.saved_tensors)
        return hidden, weight, bias, None, None


def linear_cross_entropy(
    decoder_outputs: Tensor, output: nn.Linear, target: Tensor, places: Tensor, *, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """The loss to minimise and the plain negative log-likelihood, both summed over real tokens, in nats.

    Label smoothing is that of Szegedy et al. (2016, https://arxiv.org/abs/1512.00567, §7) as used by Vaswani et al.
    (2017, §5.4): ε of the probability is spread over all V pieces.

    Args:
        decoder_outputs: (B, T, E), from which `output` predicts; under autocast its products are as everywhere else.
        output: the output layer, E -> V.
        target: (B, T) ids.
        places: (N,) those of the real tokens among all B · T, each once; the others count nothing, and nothing is
            computed for them.
        label_smoothing: ε, from 0 to below 1.

    Raises:
        ValueError: ε is out of its range.
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise UserError(f"label_smoothing={label_smoothing} must be a probability from 0 to below 1")
    kind = decoder_outputs.device.type
    if torch.is_autocast_enabled(kind):  # a Transformer's last normalisation leaves float32
        decoder_outputs = decoder_outputs.to(torch.get_autocast_dtype(kind))
    layer: list[Tensor] = [output.weight, output.bias]
    if not torch.is_grad_enabled():  # the Function would make gradients of what could have some
        layer = [parameter.detach() for parameter in layer]
    with torch.autocast(kind, enabled=False):
        loss, nll = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            decoder_outputs.flatten(0, 1).index_select(0, places),
            *layer,
            target.flatten().index_select(0, places),
            label_smoothing,
        )
    return loss, nll


class Objective(nn.Module):
    """A model and its loss in one module, as what computes gradients in several processes wants to see them."""

    def __init__(self, model: Seq2Seq, *, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

    def forward(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, target_output: Tensor, target_indices: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The two sums of `linear_cross_entropy`, of `Batch.tensors`."""
        decoder_outputs = self.model.decoder_outputs(source, source_mask, target_input)  # (B, T, E)
        return linear_cross_entropy(
            decoder_outputs,
            self.model.vocabulary.output,
            target_output,
            target_indices,
            label_smoothing=self.label_smoothing,
        )
