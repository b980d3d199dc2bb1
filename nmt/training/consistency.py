"""Consistency training (R-Drop): two passes with different dropout masks must predict the same distribution.

Liang et al. (2021), https://arxiv.org/abs/2106.14448, Eq. 2 to 4. For one target position, let p and q be the
distributions of the two passes, and y the correct piece:

    loss = (CE(p, y) + CE(q, y)) / 2  +  α/4 · (KL(p || q) + KL(q || p))

This is half of the paper's loss, so that α = 0 gives the usual mean loss; α is the paper's. CE is the cross-entropy
with label smoothing, as in `loss`. In torch, from the logits of both passes:

    log_p, log_q = logits_p.log_softmax(-1), logits_q.log_softmax(-1)
    divergence = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum()     KL(p || q) + KL(q || p)

`linear_divergence` computes the divergence and its gradients chunk by chunk, like `loss.linear_cross_entropy`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import MAX_CHUNK_LOGITS, Objective, linear_cross_entropy, select_rows


class _LinearDivergence(Function):
    """Output layer and symmetric divergence of N pairs of decoder outputs, summed over the pairs.

    With D = log p - log q, the gradients of the logits are, since Σ_v p_v = Σ_v q_v = 1,

        ∂/∂z_p = p (D - KL(p || q)) + (p - q)        ∂/∂z_q = -q (D + KL(q || p)) - (p - q)
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The divergence (), from the decoder outputs (N, E) of both passes, weight (V, E) and bias (V,)."""
        sum_dtype = torch.promote_types(first.dtype, torch.float32)
        cast_weight, cast_bias = weight.to(first.dtype), bias.to(first.dtype)  # (V, E), (V,)
        gradients = [torch.empty_like(first), torch.empty_like(second)]  # 2 × (N, E)
        weight_gradient = torch.zeros_like(weight, dtype=sum_dtype)  # (V, E)
        bias_gradient = torch.zeros_like(bias, dtype=sum_dtype)  # (V,)
        divergence = first.new_zeros((), dtype=sum_dtype)

        chunk_size = max(1, MAX_CHUNK_LOGITS[first.device.type] // weight.size(0))
        for start in range(0, len(first), chunk_size):
            chunk = slice(start, start + chunk_size)
            # 1. The distributions of both passes.
            log_p, log_q = (
                torch.addmm(cast_bias, rows[chunk], cast_weight.t()).to(sum_dtype).log_softmax(-1)  # (n, V)
                for rows in (first, second)
            )
            p, q = log_p.exp(), log_q.exp()  # 2 × (n, V)

            # 2. Both divergences.
            difference = log_p - log_q  # D, (n, V)
            p_from_q = (p * difference).sum(-1, keepdim=True)  # KL(p || q), (n, 1)
            q_from_p = -(q * difference).sum(-1, keepdim=True)  # KL(q || p), (n, 1)
            divergence += p_from_q.sum() + q_from_p.sum()

            # 3. The gradients of the logits, and from them those of the decoder outputs and the layer.
            p_gradient = p * (difference - p_from_q) + (p - q)  # (n, V)
            q_gradient = -q * (difference + q_from_p) - (p - q)  # (n, V)
            for rows, gradient, rows_gradient in zip((first, second), (p_gradient, q_gradient), gradients, strict=True):
                bias_gradient += gradient.sum(0)
                cast_gradient = gradient.to(first.dtype)
                torch.mm(cast_gradient, cast_weight, out=rows_gradient[chunk])  # (n, E)
                weight_gradient += cast_gradient.t() @ rows[chunk]  # (V, E)
        ctx.save_for_backward(*gradients, weight_gradient.to(weight.dtype), bias_gradient.to(bias.dtype))
        return divergence

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Scales the gradients that the forward pass computed by the gradient of the divergence ()."""
        return tuple(saved * gradients[0].to(saved.dtype) for saved in ctx.saved_tensors)


def linear_divergence(first: Tensor, second: Tensor, output: nn.Linear) -> Tensor:
    """KL(p || q) + KL(q || p) (), summed over N rows, in nats; p and q are predicted from first and second (N, E)."""
    with torch.autocast(first.device.type, enabled=False):
        return _LinearDivergence.apply(first, second, output.weight, output.bias)  # type: ignore[no-untyped-call]


class ConsistentObjective(Objective):
    """The loss of two passes with different dropout masks, with their divergence weighted by `consistency`, α."""

    def __init__(self, model: Seq2Seq, *, label_smoothing: float, consistency: float) -> None:
        super().__init__(model, label_smoothing=label_smoothing)
        self.consistency = consistency

    def forward(
        self,
        source: Tensor,
        source_mask: Tensor,
        target_input: Tensor,
        target_output: Tensor,
        target_indices: Tensor,
        *,
        record: AttentionRecord = NO_RECORD,
    ) -> tuple[Tensor, Tensor]:
        """The loss () and the negative log-likelihood (), each the mean of both passes. Without dropout, one pass.

        Args:
            record: as in `Objective`; it receives the weights of 2 B sentences, those of the first pass first.
        """
        if not self.model.training:
            return super().forward(source, source_mask, target_input, target_output, target_indices, record=record)
        # Both passes are one batch of twice as many sentences; dropout draws a mask for each of them.
        twice = [torch.cat([tensor, tensor]) for tensor in (source, source_mask, target_input, target_output)]
        source, source_mask, target_input, target_output = twice  # (2 B, S), (2 B, S), (2 B, T), (2 B, T)
        half = target_output.numel() // 2
        decoder_outputs = self.model.decoder_outputs(source, source_mask, target_input, record=record)  # (2 B, T, E)
        output = self.model.vocabulary.output
        loss, nll = linear_cross_entropy(
            decoder_outputs,
            output,
            target_output,
            torch.cat([target_indices, target_indices + half]),
            label_smoothing=self.label_smoothing,
        )
        first, second = (select_rows(rows, target_indices) for rows in decoder_outputs.chunk(2))  # 2 × (N, E)
        return loss / 2 + self.consistency / 4 * linear_divergence(first, second, output), nll / 2


def make_objective(model: Seq2Seq, *, label_smoothing: float, consistency: float) -> Objective:
    """The training loss of a model: with one pass, or with two if `consistency` is above 0."""
    if consistency == 0:
        return Objective(model, label_smoothing=label_smoothing)
    return ConsistentObjective(model, label_smoothing=label_smoothing, consistency=consistency)
