"""The Transformer's decoder (Vaswani et al., 2017, §3.1 and Figure 1, right), over all target positions at once.

`decoding_step` computes the same for one target position at a time.

Shapes: B batch, S source positions, T target positions, D model size.
"""

from __future__ import annotations

from torch import Tensor, nn

from nmt.models.attention import NO_RECORD, AttentionRecord, MultiHeadAttention
from nmt.models.positions import Order, Positions
from nmt.models.transformer.sublayers import (
    FeedForward,
    LayerDropout,
    LayerSettings,
    Residual,
    final_norm,
    make_attention,
)


class DecoderLayer(nn.Module):
    """Self-attention to the target so far, cross-attention to the source, and the feed-forward network."""

    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.self_attention = make_attention(settings, settings.self_attention_class)
        self.cross_attention = make_attention(settings, MultiHeadAttention)
        self.feedforward = FeedForward(settings)
        self.around_self_attention = Residual(settings)
        self.around_cross_attention = Residual(settings)
        self.around_feedforward = Residual(settings)

    def forward(
        self,
        hidden: Tensor,
        encoded: Tensor,
        source_mask: Tensor,
        order: Order,
        self_record: list[Tensor] | None,
        cross_record: list[Tensor] | None,
    ) -> Tensor:
        """From (B, T, D), the encoder's outputs (B, S, D) and their mask (B, 1, 1, S) to (B, T, D).

        The order of the target and the records are as in MultiHeadAttention.
        """
        hidden = self.around_self_attention(hidden, self.self_attention, causal=True, order=order, record=self_record)
        hidden = self.around_cross_attention(
            hidden, self.cross_attention, encoded, mask=source_mask, record=cross_record
        )
        return self.around_feedforward(hidden, self.feedforward)


class Decoder(nn.Module):
    """A stack of decoder layers, which knows the order of its inputs by its positions."""

    def __init__(self, settings: LayerSettings, num_layers: int, positions: Positions) -> None:
        super().__init__()
        self.positions = positions
        self.layers = nn.ModuleList(DecoderLayer(settings) for _ in range(num_layers))
        self.layer_dropout = LayerDropout(settings)
        self.norm = final_norm(settings)

    def forward(
        self, embedded: Tensor, encoded: Tensor, source_mask: Tensor, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        """From embedded target pieces (B, T, D), the encoder's outputs (B, S, D) and their mask (B, S) to (B, T, D)."""
        mask = source_mask[:, None, None, :]  # (B, 1, 1, S), the same for every head and query
        order = self.positions.order(embedded, causal=True)
        hidden = embedded
        for index, layer in enumerate(self.layers):
            self_record, cross_record = record.slot("decoder", index), record.slot("cross", index)
            outputs = layer(hidden, encoded, mask, order, self_record, cross_record)  # (B, T, D)
            hidden = self.layer_dropout(hidden, outputs)
        return self.norm(hidden)
