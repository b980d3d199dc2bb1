"""One step of the Transformer's decoder, as its modules compute it, with as little around the arithmetic as may be.

With the few rows of one sentence's beam, a step through the modules takes longer to find its weights and to call its
layers than to multiply: here it is written out, and the weights are looked up once in a search. The tests hold every
step against teacher forcing through the modules.

Shapes: A sentences, K hypotheses of each, N = A · K, P positions of the target and S of the source that are looked at,
D model size, H heads, d = D / H.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import look
from nmt.models.cache import KeyValueCache, LayerCache
from nmt.models.embedding import SinusoidalPositions
from nmt.models.seq2seq import State

if TYPE_CHECKING:
    from nmt.models.transformer import DecoderLayer, Transformer, TransformerMemory

Parameters = tuple[Tensor, Tensor]
"""Weight and bias: both (D,) of a normalisation; (inputs, outputs) and (outputs,) of a linear layer."""


def parameters_of(layer: nn.Linear) -> Parameters:
    return layer.weight.t(), layer.bias


def side_by_side(*layers: nn.Linear) -> Parameters:
    """One product for what several layers make of the same inputs."""
    return torch.cat([layer.weight.t() for layer in layers], dim=1), torch.cat([layer.bias for layer in layers])


def linear(inputs: Tensor, parameters: Parameters) -> Tensor:
    weight, bias = parameters
    return torch.addmm(bias, inputs, weight)


def normalise(inputs: Tensor, parameters: Parameters) -> Tensor:
    return torch.layer_norm(inputs, inputs.shape[-1:], *parameters)


@dataclass(frozen=True)
class LayerStep:
    """A decoder layer, with its weights at hand."""

    num_heads: int
    pre_norm: bool
    norms: tuple[Parameters, ...]
    query_key_value: Parameters
    output: Parameters
    cross_query: Parameters
    cross_output: Parameters
    inner: Parameters
    outer: Parameters

    @classmethod
    def of(cls, layer: DecoderLayer) -> Self:
        attention, cross_attention = layer.self_attention, layer.cross_attention
        inner, outer = (part for part in layer.feedforward if isinstance(part, nn.Linear))
        norms: list[Any] = [residual.norm for residual in layer.residuals]
        return cls(
            num_heads=attention.num_heads,
            pre_norm=bool(layer.residuals[0].pre_norm),
            norms=tuple((norm.weight, norm.bias) for norm in norms),
            query_key_value=side_by_side(attention.query_projection, attention.key_value_projection),
            output=parameters_of(attention.output_projection),
            cross_query=parameters_of(cross_attention.query_projection),
            cross_output=parameters_of(cross_attention.output_projection),
            inner=parameters_of(inner),
            outer=parameters_of(outer),
        )

    @property
    def head_size(self) -> int:
        return self.output[1].size(0) // self.num_heads

    def join(self, looked: Tensor, sentences: int) -> Tensor:
        """All heads of a hypothesis: (A·H, K, d) to (N, D)."""
        _, width, size = looked.shape
        heads = self.num_heads
        return looked.view(sentences, heads, width, size).transpose(1, 2).reshape(sentences * width, heads * size)

    def before(self, hidden: Tensor, sublayer: int) -> Tensor:
        """What the sublayer reads."""
        return normalise(hidden, self.norms[sublayer]) if self.pre_norm else hidden

    def after(self, hidden: Tensor, output: Tensor, last: Parameters, sublayer: int) -> Tensor:
        """What the next sublayer goes on from: `hidden`, to which is added what the last layer makes of `output`."""
        weight, bias = last
        hidden = hidden.add_(bias).addmm_(output, weight)
        return hidden if self.pre_norm else normalise(hidden, self.norms[sublayer])

    def __call__(
        self, hidden: Tensor, past: LayerCache, past_bias: Tensor, source: tuple[Tensor, Tensor], source_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Advances hidden (N, D), which is written over.

        Args:
            past: of this layer, with room for this position, to be written.
            past_bias: (A·H, K, P), added to the scores.
            source: this layer's keys (A, H, d, S) and values (A, H, S, d).
            source_bias: (A·H, 1, S).

        Returns:
            outputs (N, D), and cross-attention's weights (A·H, K, S).
        """
        sentences, heads = source[0].size(0), self.num_heads

        mixed = linear(self.before(hidden, 0), self.query_key_value).view(sentences, -1, 3, heads, self.head_size)
        queries, keys, values = mixed.permute(2, 0, 3, 1, 4)  # 3 × (A, H, K, d)
        past.write(keys, values)
        looked, _ = look(queries.flatten(0, 1), past.keys, past.values, past_bias)  # (A·H, K, d)
        hidden = self.after(hidden, self.join(looked, sentences), self.output, 0)

        queries = linear(self.before(hidden, 1), self.cross_query).view(sentences, -1, heads, self.head_size)
        queries = queries.transpose(1, 2).flatten(0, 1)  # (A·H, K, d)
        looked, weights = look(queries, source[0].flatten(0, 1), source[1].flatten(0, 1), source_bias)
        hidden = self.after(hidden, self.join(looked, sentences), self.cross_output, 1)

        inner = linear(self.before(hidden, 2), self.inner).relu_()
        return self.after(hidden, inner, self.outer, 2), weights


@dataclass(frozen=True)
class DecoderStep:
    """All of the decoder, with its weights at hand."""

    embedding: Tensor  # (V, D)
    scale: float
    positions: SinusoidalPositions
    layers: tuple[LayerStep, ...]
    norm: Parameters | None
    output: Parameters

    @classmethod
    def of(cls, model: Transformer) -> Self:
        norm = model.decoder_norm
        return cls(
            embedding=model.vocabulary.target.weight,
            scale=model.scale,
            positions=model.positions,
            layers=tuple(LayerStep.of(cast("DecoderLayer", layer)) for layer in model.decoder),
            norm=(norm.weight, norm.bias) if isinstance(norm, nn.LayerNorm) else None,
            output=parameters_of(model.vocabulary.output),
        )

    def __call__(
        self, token: Tensor, position: int, cache: KeyValueCache, memory: TransformerMemory
    ) -> tuple[Tensor, list[Tensor]]:
        """Reads token (N,) at `position`.

        Args:
            cache: with room for it, to be written.

        Returns:
            logits (N, V), and each layer's weights of cross-attention (A·H, K, S).
        """
        sentences, heads, _, _ = memory.bias.shape
        hidden = F.embedding(token, self.embedding) * self.scale + self.positions.at(position, 1)  # (N, D)
        past_bias = cache.bias_of(heads)  # (A·H, K, P)
        source_bias = memory.bias.flatten(0, 1)  # (A·H, 1, S)
        pasts = cache.layers(token.size(0) // sentences)
        attention: list[Tensor] = []
        for layer, past, source in zip(self.layers, pasts, memory.layers, strict=True):
            hidden, weights = layer(hidden, past, past_bias, source, source_bias)
            attention.append(weights)
        if self.norm is not None:
            hidden = normalise(hidden, self.norm)
        return linear(hidden, self.output), attention


@dataclass(frozen=True)
class TransformerState(State):
    """The target so far, as keys and values, and the decoder that reads on."""

    cache: KeyValueCache
    decoder: DecoderStep

    @property
    def length(self) -> int:
        """How many target positions have been read."""
        return self.cache.length

    def select(self, rows: Tensor, sentences: Tensor | None) -> Self:
        return replace(self, cache=self.cache.select(rows, sentences))
