"""The parts of a Transformer layer: attention, the feed-forward network, and the residual connection around each.

Sections and equations are those of Vaswani et al. (2017), https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.checks import check_probabilities, check_sizes
from nmt.models.attention import MultiHeadAttention
from nmt.models.dropout import Dropout


@dataclass(frozen=True)
class LayerSettings:
    """The sizes and options of a layer, the same for all layers of encoder and decoder.

    Attributes:
        model_size: D.
        num_heads: H, must divide D.
        num_key_value_heads: heads of keys and values, must divide H.
        feedforward_size: of the feed-forward network's hidden layer.
        dropout: probability of dropping an element of a sublayer's output.
        activation_dropout: the same for the feed-forward network's hidden layer.
        attention_dropout: the same for the attention weights.
        layer_dropout: probability with which a sentence skips the layer (`LayerDropout`).
        pre_norm: normalise before each sublayer instead of after the sum.
        self_attention_class: of encoder and decoder; cross-attention is always `MultiHeadAttention`.
    """

    model_size: int
    num_heads: int
    num_key_value_heads: int
    feedforward_size: int
    dropout: float
    activation_dropout: float
    attention_dropout: float
    layer_dropout: float
    pre_norm: bool
    self_attention_class: type[MultiHeadAttention]


class Residual(nn.Module):
    """The residual connection around a sublayer, with its layer normalisation.

        post-norm:  LayerNorm(x + Sublayer(x))      as in the paper (§3.1)
        pre-norm:   x + Sublayer(LayerNorm(x))      trains without a delicate warm-up

    Pre-norm: Xiong et al. (2020), https://arxiv.org/abs/2002.04745
    """

    def __init__(self, settings: LayerSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(settings.model_size)
        self.pre_norm = settings.pre_norm

    def forward(self, inputs: Tensor, sublayer: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
        """From inputs (B, T, D) to (B, T, D); the sublayer also gets `arguments` and `options`."""
        if self.pre_norm:
            return inputs + sublayer(self.norm(inputs), *arguments, **options)
        return self.norm(inputs + sublayer(inputs, *arguments, **options))


def make_attention(settings: LayerSettings, attention_class: type[MultiHeadAttention]) -> MultiHeadAttention:
    """An attention of this class, with the sizes of a layer."""
    return attention_class(
        model_size=settings.model_size,
        num_heads=settings.num_heads,
        num_key_value_heads=settings.num_key_value_heads,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
    )


class FeedForward(nn.Sequential):
    """FFN(x) = max(0, x W_1 + b_1) W_2 + b_2, applied to each position alone (§3.3, Eq. 2)."""

    def __init__(self, settings: LayerSettings) -> None:
        check_sizes(feedforward_size=settings.feedforward_size)
        check_probabilities(activation_dropout=settings.activation_dropout)
        super().__init__(
            nn.Linear(settings.model_size, settings.feedforward_size),
            nn.ReLU(),
            Dropout(settings.activation_dropout),
            nn.Linear(settings.feedforward_size, settings.model_size),
            Dropout(settings.dropout),
        )


class LayerDropout(nn.Module):
    """LayerDrop: in training, a sentence skips a layer with probability p, so that the layer's inputs are its outputs.

    Fan et al. (2020), https://arxiv.org/abs/1909.11556, draw once for a batch and do not compute a skipped layer. Here
    each sentence has a draw of its own, and the layer is always computed: training by several processes requires that
    every parameter gets a gradient in every update.
    """

    def __init__(self, settings: LayerSettings) -> None:
        check_probabilities(layer_dropout=settings.layer_dropout)
        super().__init__()
        self.p = settings.layer_dropout

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """A layer's outputs (B, T, D), replaced by its inputs (B, T, D) for sentences that skip it."""
        if not self.training or self.p == 0.0:
            return outputs
        kept = torch.rand(len(outputs), 1, 1, device=outputs.device) >= self.p  # (B, 1, 1)
        return torch.where(kept, outputs, inputs)


def final_norm(settings: LayerSettings) -> nn.Module:
    """The normalisation after the last layer, which only pre-norm needs: a post-norm layer ends with its own."""
    return nn.LayerNorm(settings.model_size) if settings.pre_norm else nn.Identity()
