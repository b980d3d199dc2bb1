"""A stack of self-attention over source and target in one sequence (Radford et al., 2018, §3.1).

                       s1    s2   eos    _    bos    t1     columns: the position that is attended to
                    +------------------------+-------------+
    s1              |  x                     |             |
    s2              |  x     x               |             |   "encoder": source to source
    eos             |  x     x     x         |             |   (a prefix LM fills the square of s1, s2 and eos)
    _  (padding)    |  x     x     x         |             |
                    +------------------------+-------------+
    bos             |  x     x     x         |  x          |   "cross": target to source
    t1              |  x     x     x         |  x     x    |   "decoder": target to target
                    +------------------------+-------------+

One softmax covers a whole row: the target divides its attention between the source and its own past.

Radford et al. (2018), "Improving Language Understanding by Generative Pre-Training".

Shapes: B batch, S source positions, T target positions, N = S + T, H heads, D model size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from nmt.models.attention import NO_RECORD, AttentionRecord, Kind
from nmt.models.transformer.encoder import EncoderLayer
from nmt.models.transformer.sublayers import LayerDropout, LayerSettings, final_norm


class Stack(nn.Module):
    """Layers of self-attention and feed-forward networks.

    A layer is the same as in the Transformer's encoder. Only the mask turns it into a decoder.
    """

    def __init__(self, settings: LayerSettings, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(num_layers))
        self.layer_dropout = LayerDropout(settings)
        self.norm = final_norm(settings)

    def __iter__(self) -> Iterator[EncoderLayer]:
        """The layers, from the bottom to the top."""
        return iter(cast("list[EncoderLayer]", self.layers))

    def __len__(self) -> int:
        return len(self.layers)

    def forward(
        self, embedded: Tensor, visible: Tensor, *, num_source: int, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        """From embedded pieces (B, N, D) to (B, N, D).

        Args:
            embedded: source and target.
            visible: (B, N, N), True where a row may attend to a column.
            num_source: S, how many of the positions belong to the source.
            record: receives the attention weights that it asks for: blocks of the drawing above, `renormalised`.
        """
        mask = visible.unsqueeze(1)  # (B, 1, N, N), the same for every head
        source, target = slice(num_source), slice(num_source, None)
        blocks: dict[Kind, tuple[slice, slice]] = {
            "cross": (target, source),
            "encoder": (source, source),
            "decoder": (target, target),
        }
        hidden = embedded
        for index, layer in enumerate(self):
            slots = {kind: slot for kind in blocks if (slot := record.slot(kind, index)) is not None}
            weights: list[Tensor] = []  # one tensor (B, H, N, N)
            outputs = layer(hidden, mask=mask, record=weights if slots else None)  # (B, N, D)
            for kind, slot in slots.items():
                rows, columns = blocks[kind]
                slot.append(renormalised(weights[0][..., rows, columns], mask[..., rows, columns]))
            hidden = self.layer_dropout(hidden, outputs)
        return self.norm(hidden)

    def source_keys_values(self, embedded: Tensor, visible: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each layer's keys and values, 2 × (B, H, S, d), of the embedded source (B, S, D) alone; `visible` (B, S, S).

        The source attends to no target piece, so its keys and values are the same for every target.
        """
        mask = visible.unsqueeze(1)  # (B, 1, S, S)
        keys_values, hidden = [], embedded
        for layer in self:
            residual = layer.around_attention
            inputs = residual.norm(hidden) if residual.pre_norm else hidden  # (B, S, D), as `Residual` passes them on
            keys_values.append(layer.self_attention.keys_values(inputs))
            hidden = layer(hidden, mask=mask)  # (B, S, D)
        return keys_values


def renormalised(weights: Tensor, visible: Tensor) -> Tensor:
    """Scales a block of attention weights (B, H, R, C) so that every row sums to one.

    A row of the whole matrix sums to one, so a block of it sums to less. Scaled, it is the softmax over the block's own
    scores: where the row attends to *within* this block. This is what cross-attention gives, so links, plots and error
    rates mean the same for both. How a row divides its attention between source and target is not recorded.

    The smallest number is added first. It is lost in rounding, except in a block whose weights have all been rounded to
    zero, which then becomes uniform instead of NaN.
    """
    weights = (weights + torch.finfo(weights.dtype).tiny).masked_fill(~visible, 0.0)
    return weights / weights.sum(-1, keepdim=True)
