"""The Transformer's encoder (Vaswani et al., 2017, §3.1 and Figure 1, left).

Shapes: B batch, S source positions, D model size.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nmt.models.attention import NO_RECORD, AttentionRecord, SparseAttention
from nmt.models.positions import Positions
from nmt.models.transformer.sublayers import (
    FeedForward,
    LayerDropout,
    LayerSettings,
    Residual,
    final_norm,
    make_attention,
)


class EncoderLayer(nn.Module):
    """Self-attention and the feed-forward network, each inside a residual connection."""

    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.self_attention = make_attention(settings, settings.self_attention_class)
        self.feedforward = FeedForward(settings)
        self.around_attention = Residual(settings)
        self.around_feedforward = Residual(settings)

    def forward(self, hidden: Tensor, **attention: Any) -> Tensor:
        """From (B, S, D) to (B, S, D); `attention` are arguments of MultiHeadAttention."""
        hidden = self.around_attention(hidden, self.self_attention, **attention)
        return self.around_feedforward(hidden, self.feedforward)


class Encoder(nn.Module):
    """A stack of encoder layers, which knows the order of its inputs by its positions.

    Args:
        pattern: which pairs of positions attend; None: all.
    """

    def __init__(
        self, settings: LayerSettings, num_layers: int, positions: Positions, pattern: SparseAttention | None
    ) -> None:
        super().__init__()
        self.positions = positions
        self.pattern = pattern
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(num_layers))
        self.layer_dropout = LayerDropout(settings)
        self.norm = final_norm(settings)

    def forward(self, embedded: Tensor, source_mask: Tensor, record: AttentionRecord = NO_RECORD) -> Tensor:
        """From embedded source pieces (B, S, D) and their mask (B, S) to (B, S, D)."""
        mask = source_mask[:, None, None, :]  # (B, 1, 1, S), the same for every head and query
        order = self.positions.order(embedded, causal=False)
        hidden = embedded
        for index, layer in enumerate(self.layers):
            outputs = layer(
                hidden, mask=mask, order=order, pattern=self.pattern, record=record.slot("encoder", index)
            )  # (B, S, D)
            hidden = self.layer_dropout(hidden, outputs)
        return self.norm(hidden)
