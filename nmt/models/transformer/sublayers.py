"""The residual connection and the feed-forward network, of which Transformer layers consist besides attention.

Sections and equations are those of Vaswani et al. (2017), https://arxiv.org/abs/1706.03762
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.checks import check_probabilities, check_sizes
from nmt.models.dropout import Dropout


@dataclass(frozen=True)
class LayerSettings:
    """The sizes and options of a layer, the same for all layers of encoder and decoder.

    Attributes:
        model_size: D.
        num_heads: H, must divide D.
        feedforward_size: of the feed-forward network's hidden layer.
        dropout: probability of dropping an element of a sublayer's output.
        activation_dropout: the same for the feed-forward network's hidden layer.
        attention_dropout: the same for the attention weights.
        layer_dropout: probability of leaving a whole layer out of a sentence's computation.
        pre_norm: normalise before each sublayer instead of after the sum.
    """

    model_size: int
    num_heads: int
    feedforward_size: int
    dropout: float
    activation_dropout: float
    attention_dropout: float
    layer_dropout: float
    pre_norm: bool

    @property
    def attention(self) -> dict[str, Any]:
        """The arguments of `MultiHeadAttention`."""
        names = ("model_size", "num_heads", "dropout", "attention_dropout")
        return {name: getattr(self, name) for name in names}


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
    """LayerDrop: in training, a layer is left out with probability p, and its inputs are its outputs.

    Fan et al. (2020), https://arxiv.org/abs/1909.11556. They draw once for a batch and do not compute the layer then.
    Here each sentence has a draw of its own, and the layer is computed in any case, so that every parameter gets a
    gradient in every update, as training by several processes requires.
    """

    def __init__(self, settings: LayerSettings) -> None:
        check_probabilities(layer_dropout=settings.layer_dropout)
        super().__init__()
        self.p = settings.layer_dropout

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """A layer's outputs (B, T, D), or its inputs (B, T, D) for sentences that leave it out."""
        if not self.training or self.p == 0.0:
            return outputs
        kept = torch.rand(len(outputs), 1, 1, device=outputs.device) >= self.p  # (B, 1, 1)
        return torch.where(kept, outputs, inputs)


def final_norm(settings: LayerSettings) -> nn.Module:
    """The normalisation after the last layer, which only pre-norm needs: a post-norm layer ends with its own."""
    return nn.LayerNorm(settings.model_size) if settings.pre_norm else nn.Identity()
