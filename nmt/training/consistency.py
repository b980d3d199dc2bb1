"""Consistency training: two passes over the same sentences must predict the same distributions.

For one target position, let p and q be the distributions of the two passes, and y the correct piece. CE is the
cross-entropy with label smoothing, as in `loss`.

R-Drop: the passes differ in their dropout masks. Liang et al. (2021), https://arxiv.org/abs/2106.14448, Eq. 2 to 4:

    loss = (CE(p, y) + CE(q, y)) / 2  +  α/4 · (KL(p || q) + KL(q || p))

This is half of the paper's loss, so that α = 0 gives the usual mean loss; α is the paper's.

SimCut: the second pass also misses some pieces of source and target (token cutoff). Gao et al. (2022),
https://aclanthology.org/2022.naacl-main.289/:

    loss = CE(p, y)  +  α · KL(p || q)

Both p and q get the gradient of the divergence; the paper finds that this matters. In torch, from the logits:

    log_p, log_q = logits_p.log_softmax(-1), logits_q.log_softmax(-1)
    divergence = (log_p.exp() * (log_p - log_q)).sum()                     KL(p || q)

`linear_divergence` computes the divergence and its gradients chunk by chunk, like `loss.linear_cross_entropy`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import MAX_CHUNK_LOGITS, Objective, linear_cross_entropy, select_rows


class _LinearDivergence(Function):
    """Output layer and divergence of N pairs of decoder outputs, summed over the pairs.

    With D = log p - log q, the gradients of the logits are, since Σ_v p_v = Σ_v q_v = 1,

        KL(p || q):   ∂/∂z_p = p (D - KL(p || q))     ∂/∂z_q = q - p
        KL(q || p):   ∂/∂z_p = p - q                  ∂/∂z_q = -q (D + KL(q || p))
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, weight: Tensor, bias: Tensor, symmetric: bool) -> Tensor:
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

            # 2. One divergence or both, and the gradients of the logits.
            difference = log_p - log_q  # D, (n, V)
            p_from_q = (p * difference).sum(-1, keepdim=True)  # KL(p || q), (n, 1)
            divergence += p_from_q.sum()
            p_gradient, q_gradient = p * (difference - p_from_q), q - p  # 2 × (n, V)
            if symmetric:
                q_from_p = -(q * difference).sum(-1, keepdim=True)  # KL(q || p), (n, 1)
                divergence += q_from_p.sum()
                p_gradient += p - q
                q_gradient -= q * (difference + q_from_p)

            # 3. From them, the gradients of the decoder outputs and the layer.
            for rows, gradient, rows_gradient in zip((first, second), (p_gradient, q_gradient), gradients, strict=True):
                bias_gradient += gradient.sum(0)
                cast_gradient = gradient.to(first.dtype)
                torch.mm(cast_gradient, cast_weight, out=rows_gradient[chunk])  # (n, E)
                weight_gradient += cast_gradient.t() @ rows[chunk]  # (V, E)
        ctx.save_for_backward(*gradients, weight_gradient.to(weight.dtype), bias_gradient.to(bias.dtype))
        return divergence

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scales the gradients that the forward pass computed by the gradient of the divergence ()."""
        return *(saved * gradients[0].to(saved.dtype) for saved in ctx.saved_tensors), None


def linear_divergence(first: Tensor, second: Tensor, output: nn.Linear, *, symmetric: bool) -> Tensor:
    """KL(p || q) (), or KL(p || q) + KL(q || p) if `symmetric`, summed over N rows, in nats.

    Args:
        first: (N, E), the decoder outputs from which `output` predicts p.
        second: (N, E), those from which it predicts q.
    """
    with torch.autocast(first.device.type, enabled=False):
        return _LinearDivergence.apply(first, second, output.weight, output.bias, symmetric)  # type: ignore[no-untyped-call]


class TwoPassObjective(Objective, ABC):
    """The loss of a batch that the model reads twice while it trains; a subclass combines both passes."""

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
        """The loss () and the negative log-likelihood () of `Batch.tensors`. Outside training, there is one pass.

        Args:
            record: as in `Objective`; it receives the weights of 2 B sentences, those of the first pass first.
        """
        if not self.model.training:
            return super().forward(source, source_mask, target_input, target_output, target_indices, record=record)
        # One batch has every sentence twice, so that dropout draws two masks for it.
        twice = (torch.cat([part, part]) for part in (source, source_mask, target_input))  # (2 B, S or T) each
        with self.change_second_pass():
            outputs = self.model.decoder_outputs(*twice, record=record)  # (2 B, T, E)
        return self.combine(outputs, target_output, target_indices)

    def change_second_pass(self) -> AbstractContextManager[object]:
        """A context in which the second pass differs by more than its dropout masks."""
        return nullcontext()

    @abstractmethod
    def combine(self, outputs: Tensor, target_output: Tensor, target_indices: Tensor) -> tuple[Tensor, Tensor]:
        """The loss () and the negative log-likelihood () from the decoder outputs (2 B, T, E) of both passes."""

    def divergence(self, outputs: Tensor, target_indices: Tensor, *, symmetric: bool) -> Tensor:
        """The divergence () of both passes from their decoder outputs (2 B, T, E), see `linear_divergence`."""
        first, second = (select_rows(rows, target_indices) for rows in outputs.chunk(2))  # 2 × (N, E)
        return linear_divergence(first, second, self.model.vocabulary.output, symmetric=symmetric)


class ConsistentObjective(TwoPassObjective):
    """R-Drop: the mean loss of two passes, and their divergence weighted by `consistency`, α."""

    def __init__(self, model: Seq2Seq, *, label_smoothing: float, consistency: float) -> None:
        super().__init__(model, label_smoothing=label_smoothing)
        self.consistency = consistency

    def combine(self, outputs: Tensor, target_output: Tensor, target_indices: Tensor) -> tuple[Tensor, Tensor]:
        loss, nll = linear_cross_entropy(
            outputs,
            self.model.vocabulary.output,
            torch.cat([target_output, target_output]),  # (2 B, T)
            torch.cat([target_indices, target_indices + target_output.numel()]),  # (2 N,)
            label_smoothing=self.label_smoothing,
        )
        divergence = self.divergence(outputs, target_indices, symmetric=True)
        return loss / 2 + self.consistency / 4 * divergence, nll / 2


class SimCutObjective(TwoPassObjective):
    """SimCut: the loss of a pass, and its divergence from a pass with token cutoff.

    Args:
        simcut: α, the weight of the divergence.
        simcut_cutoff: probability with which the embedding of a piece is zero in the second pass.
    """

    def __init__(self, model: Seq2Seq, *, label_smoothing: float, simcut: float, simcut_cutoff: float) -> None:
        super().__init__(model, label_smoothing=label_smoothing)
        self.simcut = simcut
        self.simcut_cutoff = simcut_cutoff

    def change_second_pass(self) -> AbstractContextManager[object]:
        vocabulary, hooks = self.model.vocabulary, ExitStack()
        for embedding in {vocabulary.source, vocabulary.target}:  # one module if the languages share it
            hooks.enter_context(embedding.register_forward_hook(self.cut_second_pass))
        return hooks

    def combine(self, outputs: Tensor, target_output: Tensor, target_indices: Tensor) -> tuple[Tensor, Tensor]:
        loss, nll = linear_cross_entropy(
            outputs.chunk(2)[0],  # (B, T, E)
            self.model.vocabulary.output,
            target_output,
            target_indices,
            label_smoothing=self.label_smoothing,
        )
        return loss + self.simcut * self.divergence(outputs, target_indices, symmetric=False), nll

    def cut_second_pass(self, embedding: nn.Module, ids: Any, embedded: Tensor) -> Tensor:
        """A forward hook of an embedding: zeroes some vectors of the second half of its output (2 B, T, E)."""
        num_sentences, length, _ = embedded.shape
        kept = torch.rand(num_sentences // 2, length, 1, device=embedded.device) >= self.simcut_cutoff  # (B, T, 1)
        return embedded * torch.cat([torch.ones_like(kept), kept])  # (2 B, T, E)


def make_objective(
    model: Seq2Seq, *, label_smoothing: float, consistency: float, simcut: float, simcut_cutoff: float
) -> Objective:
    """The training loss of a model: with two passes if `consistency` or `simcut` is above 0, otherwise with one."""
    if consistency > 0:
        return ConsistentObjective(model, label_smoothing=label_smoothing, consistency=consistency)
    if simcut > 0:
        return SimCutObjective(model, label_smoothing=label_smoothing, simcut=simcut, simcut_cutoff=simcut_cutoff)
    return Objective(model, label_smoothing=label_smoothing)
