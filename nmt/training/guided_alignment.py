"""Guided alignment: one cross-attention head learns to point to the source words that a target word translates.

Garg et al. (2019), https://arxiv.org/abs/1909.02074, §4.2. G (T, S) is the gold distribution of a sentence pair: each
row of a target piece divides 1 equally among the source pieces that it is linked to. A (T, S) are the head's weights.

    loss = translation loss  +  λ · Σ_t Σ_s -G_ts log A_ts

Both parts are summed over the batch. The caller divides by the batch's number of target tokens, as in the paper. A
piece without links has a row of zeros in G and adds nothing.

Row t of A is the row from which the decoder predicts piece t, so the head must find the source word before it knows its
translation. The paper supervises a head in a second pass that also reads the target words from t on (§4.3). Here it is
a head of the usual decoder in the usual pass: training costs less, and the weights are those with which the model
translates. A recurrent decoder has one head, which the same loss supervises.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.models.attention import AttentionRecord
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import Objective


class GuidedObjective(nn.Module):
    """The loss of `objective` plus that of one head's cross-attention against the word links of the batch.

    Args:
        objective: the loss of the translation.
        weight: λ.
        layer: of the guided head, from 0; None as in `choose_guided_layer`.
        head: the guided head, from 0.

    Raises:
        UserError: the model has no such head.
    """

    def __init__(self, objective: Objective, *, weight: float, layer: int | None, head: int) -> None:
        super().__init__()
        self.objective = objective
        self.weight = weight
        self.layer = choose_guided_layer(objective.model, layer=layer, head=head)
        self.head = head

    def forward(
        self,
        source: Tensor,
        source_mask: Tensor,
        target_input: Tensor,
        target_output: Tensor,
        target_indices: Tensor,
        link_cells: Tensor | None = None,
        link_shares: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The loss () and the negative log-likelihood () of `Batch.tensors`; without links, those of `objective`."""
        tensors = source, source_mask, target_input, target_output, target_indices
        if link_cells is None or link_shares is None:
            return self.objective(*tensors)
        record = AttentionRecord("cross", layer=self.layer)
        loss, nll = self.objective(*tensors, record=record)
        weights = record.weights("cross")  # (P·B, 1, H, T, S); an objective with P passes runs each pair P times
        assert weights is not None
        cells = weights[:, 0, self.head].reshape(-1, target_input.numel() * source.size(1))  # (P, B·T·S)
        return loss + self.weight * link_loss(cells.index_select(1, link_cells), link_shares), nll


def link_loss(weights: Tensor, shares: Tensor) -> Tensor:
    """The cross-entropy () between gold shares (cells,) and attention weights (P, cells), the mean of P passes."""
    smallest = torch.finfo(torch.float32).tiny  # a weight that underflowed to 0 has no finite logarithm
    # Not a matrix product, which would run in bfloat16 under autocast.
    return -(weights.float().clamp_min(smallest).log() * shares).sum(-1).mean()


def choose_guided_layer(model: Seq2Seq, *, layer: int | None, head: int) -> int:
    """The decoder layer with the guided head: `layer`; for None the last but one, as in the paper, or the only one.

    Raises:
        UserError: the model has no attention, or no such layer or head.
    """
    shape = model.cross_attention_shape()
    if shape is None:
        raise UserError(f"trainer.alignment_weight: {type(model).__name__} has no attention to guide; set it to 0")
    num_layers, num_heads = shape
    if layer is None:
        layer = max(num_layers - 2, 0)
    for name, number, count in (("layer", layer, num_layers), ("head", head, num_heads)):
        if number >= count:
            raise UserError(f"alignment_{name}={number} does not exist: the decoder has {count}, counted from 0")
    return layer
