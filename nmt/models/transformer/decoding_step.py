"""The Transformer's decoder for one more target position: the same computation as `decoder`, written for speed.

With the few rows of one sentence's beam, the modules of `decoder` would spend more time on calling each other than on
arithmetic. Here each layer is written out in plain functions. The comment above each sublayer is the line of
`DecoderLayer.forward` that it computes, and tests compare both, layer by layer. Decoder-only models use `BaseLayerStep`
and `TransformerMemory`, too.

No weight is copied or kept here. A step reads the parameters from the decoder's own modules, so it always uses their
present values, also after an optimizer updated them, a file was loaded or the model moved to another device.

Shapes: A sentences, K hypotheses of each, N = A · K rows, P positions of the target so far, S source positions and S'
with padding, D model size, H heads, d = D / H, G heads of keys and values, each shared by R = H / G heads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import MIN_KEY_POSITIONS, step_attention
from nmt.models.positions import rotate
from nmt.models.seq2seq import Memory
from nmt.models.transformer.cache import KeyValueCache, LayerCache
from nmt.models.transformer.decoder import Decoder, DecoderLayer
from nmt.models.transformer.encoder import EncoderLayer

Parameters = dict[str, Tensor]
"""A module's weight and bias, by these names."""

Split = tuple[int, int, int, int, int]
"""The sizes A, K, G, R, d into which queries (N, D) are split."""


@dataclass(frozen=True)
class TransformerMemory(Memory):
    """The source as a decoding step reads it: each layer's keys and values, computed once per sentence.

    Attributes:
        keys: of each layer, (A, G, d, S'), transposed as `step_attention` expects them.
        values: of each layer, (A, G, S', d).
        bias: (A, G, 1, S'), 0 at real positions and -inf at padding. S' is S, but at least MIN_KEY_POSITIONS.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    bias: Tensor

    @classmethod
    def of(cls, keys_values: Iterable[tuple[Tensor, Tensor]], source_mask: Tensor) -> Self:
        """Pads each layer's keys and values, 2 × (A, G, S, d), to S' positions."""
        padding = max(0, MIN_KEY_POSITIONS - source_mask.size(1))
        all_keys, all_values = [], []
        for keys, values in keys_values:
            all_keys.append(F.pad(keys.transpose(2, 3), (0, padding)).contiguous())  # (A, G, d, S')
            all_values.append(F.pad(values, (0, 0, 0, padding)).contiguous())  # (A, G, S', d)
        mask = F.pad(source_mask, (0, padding))[:, None, None, :]  # (A, 1, 1, S')
        bias = torch.zeros_like(mask, dtype=all_keys[0].dtype).masked_fill_(~mask, -math.inf)  # (A, 1, 1, S')
        bias = bias.repeat(1, all_keys[0].size(1), 1, 1)  # (A, G, 1, S')
        return cls(source_mask, tuple(all_keys), tuple(all_values), bias)


class DecodingStep:
    """Runs all layers of a decoder for one target position."""

    def __init__(self, decoder: Decoder) -> None:
        self.layers = [LayerStep(cast(DecoderLayer, layer)) for layer in decoder.layers]
        self.norm = decoder.norm
        self.positions = decoder.positions
        self.num_heads = self.layers[0].num_heads

    def __call__(self, hidden: Tensor, cache: KeyValueCache, memory: TransformerMemory) -> Tensor:
        """Computes what `Decoder.forward` does at the newest position.

        Args:
            hidden: (N, D), the embedded token of each hypothesis.
            cache: has reserved the newest position, which is written here.
            memory: of the A sentences.

        Returns:
            decoder outputs (N, D).
        """
        position = cache.length - 1
        rotation = self.positions.rotation(position, 1, hidden)  # (2, 1, d/2), the same for all hypotheses
        past_bias = cache.head_bias(self.num_heads, self.positions)  # (A·G, K·R, P)
        source_bias = memory.bias.flatten(0, 1)  # (A·G, 1, S')
        for layer, past, keys, values in zip(self.layers, cache.layers(), memory.keys, memory.values, strict=True):
            source = keys.flatten(0, 1), values.flatten(0, 1)  # (A·G, d, S'), (A·G, S', d)
            hidden = layer(hidden, rotation, past, past_bias, *source, source_bias)  # (N, D)
        return self.norm(hidden)


class BaseLayerStep:
    """Runs one layer for one target position. A subclass adds what it attends to.

    It holds each module's dictionary of parameters, not the parameters themselves, so it also sees a parameter that was
    replaced. A lookup there takes a fifth of the time of `module.weight`.
    """

    def __init__(self, layer: EncoderLayer | DecoderLayer) -> None:
        self.num_heads = layer.self_attention.num_heads
        self.num_key_value_heads = layer.self_attention.num_key_value_heads
        self.num_sharing = self.num_heads // self.num_key_value_heads  # R
        self.pre_norm = layer.around_feedforward.pre_norm
        self.self_query = parameters_of(layer.self_attention.query_projection)
        self.self_key_value = parameters_of(layer.self_attention.key_value_projection)
        self.self_output = parameters_of(layer.self_attention.output_projection)
        self.feedforward_norm = parameters_of(layer.around_feedforward.norm)
        linear_layers = [module for module in layer.feedforward if isinstance(module, nn.Linear)]
        self.feedforward_inner, self.feedforward_outer = map(parameters_of, linear_layers)

    def split_sizes(self, hidden: Tensor, source_bias: Tensor) -> Split:
        """A, K, G, R and d, from hidden (N, D) and source_bias (A·G, 1, S')."""
        num_rows, model_size = hidden.shape
        num_sentences = source_bias.size(0) // self.num_key_value_heads
        num_hypotheses, head_size = num_rows // num_sentences, model_size // self.num_heads
        return num_sentences, num_hypotheses, self.num_key_value_heads, self.num_sharing, head_size

    def project(self, inputs: Tensor, split: Split) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (A·G, K·R, d), keys and values, each (A, G, K, d), of self-attention, from inputs (N, D)."""
        queries = rows_of_heads(linear(inputs, self.self_query), split)  # (A·G, K·R, d)
        num_sentences, num_hypotheses, num_key_value_heads, _, head_size = split
        keys_values = linear(inputs, self.self_key_value).view(
            num_sentences, num_hypotheses, 2, num_key_value_heads, head_size
        )  # (A, K, 2, G, d)
        keys, values = keys_values.permute(2, 0, 3, 1, 4)  # 2 × (A, G, K, d)
        return queries, keys, values

    def feedforward(self, hidden: Tensor) -> Tensor:
        """The feed-forward network with its residual connection, (N, D) to (N, D)."""
        inputs = self.before(hidden, self.feedforward_norm)  # (N, D)
        outputs = linear(linear(inputs, self.feedforward_inner).relu_(), self.feedforward_outer)  # (N, D)
        return self.after(hidden, outputs, self.feedforward_norm)

    def before(self, hidden: Tensor, norm: Parameters) -> Tensor:
        """The input of a sublayer, as `Residual` computes it."""
        return normalise(hidden, norm) if self.pre_norm else hidden

    def after(self, hidden: Tensor, outputs: Tensor, norm: Parameters) -> Tensor:
        """The sum with a sublayer's outputs, as `Residual` computes it. `outputs` is overwritten, which is faster."""
        hidden = outputs.add_(hidden)
        return hidden if self.pre_norm else normalise(hidden, norm)


class LayerStep(BaseLayerStep):
    """Runs one decoder layer for one target position."""

    def __init__(self, layer: DecoderLayer) -> None:
        super().__init__(layer)
        self.self_norm = parameters_of(layer.around_self_attention.norm)
        self.cross_norm = parameters_of(layer.around_cross_attention.norm)
        self.cross_query = parameters_of(layer.cross_attention.query_projection)
        self.cross_output = parameters_of(layer.cross_attention.output_projection)

    def __call__(
        self,
        hidden: Tensor,
        rotation: Tensor | None,
        past: LayerCache,
        past_bias: Tensor,
        source_keys: Tensor,
        source_values: Tensor,
        source_bias: Tensor,
    ) -> Tensor:
        """The layer's outputs (N, D).

        Args:
            hidden: (N, D).
            rotation: (2, 1, d/2), of the newest position, as `rotate` takes it.
            past: this layer's views of the cache; the newest positions are written here.
            past_bias: (A·G, K·R, P), -inf at positions outside a hypothesis's own past.
            source_keys: (A·G, d, S').
            source_values: (A·G, S', d).
            source_bias: (A·G, 1, S').
        """
        split = self.split_sizes(hidden, source_bias)

        # hidden = around_self_attention(hidden, self_attention, causal=True, order=order)
        queries, keys, values = self.project(self.before(hidden, self.self_norm), split)
        if rotation is not None:
            queries, keys = rotate(queries, rotation), rotate(keys, rotation)  # (A·G, K·R, d), (A, G, K, d)
        past.write(keys, values)
        heads = step_attention(queries, past.keys, past.values, past_bias)  # (A·G, K·R, d)
        hidden = self.after(hidden, linear(join(heads, split), self.self_output), self.self_norm)  # (N, D)

        # hidden = around_cross_attention(hidden, cross_attention, encoded, mask=source_mask)
        inputs = self.before(hidden, self.cross_norm)  # (N, D)
        queries = rows_of_heads(linear(inputs, self.cross_query), split)  # (A·G, K·R, d)
        heads = step_attention(queries, source_keys, source_values, source_bias)  # (A·G, K·R, d)
        hidden = self.after(hidden, linear(join(heads, split), self.cross_output), self.cross_norm)  # (N, D)

        # hidden = around_feedforward(hidden, feedforward)
        return self.feedforward(hidden)


def parameters_of(module: nn.Module) -> Parameters:
    """The dictionary in which `module` itself keeps its weight and bias."""
    return cast(Parameters, module._parameters)


def linear(inputs: Tensor, layer: Parameters) -> Tensor:
    """Computes an `nn.Linear` without the overhead of calling the module."""
    return F.linear(inputs, layer["weight"], layer["bias"])


def normalise(inputs: Tensor, norm: Parameters) -> Tensor:
    """Computes an `nn.LayerNorm` without the overhead of calling the module."""
    return torch.layer_norm(inputs, inputs.shape[-1:], norm["weight"], norm["bias"])


def rows_of_heads(queries: Tensor, split: Split) -> Tensor:
    """Queries (N, D) as rows (A·G, K·R, d): the R heads that share keys and values follow each other."""
    num_sentences, num_hypotheses, num_key_value_heads, num_sharing, head_size = split
    heads = queries.view(split).transpose(1, 2)  # (A, G, K, R, d)
    return heads.reshape(num_sentences * num_key_value_heads, num_hypotheses * num_sharing, head_size)


def join(heads: Tensor, split: Split) -> Tensor:
    """Joins the heads of each hypothesis: (A·G, K·R, d) to (N, D)."""
    num_sentences, num_hypotheses, num_key_value_heads, num_sharing, head_size = split
    heads = heads.view(num_sentences, num_key_value_heads, num_hypotheses, -1).transpose(1, 2)  # (A, K, G, R·d)
    return heads.reshape(num_sentences * num_hypotheses, num_key_value_heads * num_sharing * head_size)  # (N, D)
