"""The attention weights of a forward pass, for callers that ask for them.

Training and search compute attention by fast kernels, which never hold all weights. To see the weights, or to train
them, pass an `AttentionRecord` to `Seq2Seq.decoder_outputs`. The layers that it asks for then compute attention by the
formula, which gives the same outputs up to rounding, and add their weights to the record.

Shapes: B batch, L layers, H heads, T queries, S key positions.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Kind = Literal["cross", "encoder", "decoder"]
"""Which attention: of the decoder to the source, or the self-attention of encoder or decoder."""

KINDS: tuple[Kind, ...] = get_args(Kind)


class AttentionRecord:
    """Collects attention weights while a model computes its outputs.

    Args:
        kinds: the kinds of attention to collect.
        layer: the only layer to collect from, counted from 0; None: all layers.
    """

    def __init__(self, *kinds: Kind, layer: int | None = None) -> None:
        self.layer = layer
        self._weights: dict[Kind, list[Tensor]] = {kind: [] for kind in kinds}

    def slot(self, kind: Kind, layer: int) -> list[Tensor] | None:
        """The list to which a layer appends its weights (B, H, T, S); None if they are not wanted."""
        return self._weights.get(kind) if self.layer in (None, layer) else None

    def weights(self, kind: Kind) -> Tensor | None:
        """The collected weights (B, L, H, T, S); None if the model has no such attention, or not this layer."""
        layers = self._weights[kind]
        return torch.stack(layers, dim=1) if layers else None


NO_RECORD = AttentionRecord()
"""Collects nothing: the default of everything that takes a record."""
