"""The stack for one more target position: the same computation as `stack`, written for speed.

It works like the Transformer's decoding step, with one difference: there a layer attends twice, to the target so far
and to the source. Here it attends once, by one softmax over both. The source's keys and values are computed once per
sentence (`SourceMemory`), those of the target so far are in the Transformer's `KeyValueCache`.

Shapes: A sentences, K hypotheses of each, M = A · K rows, P positions of the target so far, S source positions, D model
size, H heads, d = D / H.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from nmt.models.decoder_only.stack import Stack
from nmt.models.positions import Positions
from nmt.models.seq2seq import Memory
from nmt.models.transformer.cache import KeyValueCache, LayerCache
from nmt.models.transformer.decoding_step import (
    Parameters,
    join,
    linear,
    normalise,
    parameters_of,
    rows_of_heads,
)
from nmt.models.transformer.encoder import EncoderLayer


@dataclass(frozen=True)
class SourceMemory(Memory):
    """The source as a decoding step reads it: each layer's keys and values.

    Attributes:
        keys: of each layer, (A, H, d, S), transposed as the products read them.
        values: of each layer, (A, H, S, d).
        bias: (A, 1, 1, S), 0 at real positions and -inf at padding.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    bias: Tensor

    @classmethod
    def of(cls, keys_values: Sequence[tuple[Tensor, Tensor]], source_mask: Tensor) -> Self:
        """From keys and values, 2 × (A, H, S, d), of each layer."""
        keys = tuple(keys.transpose(2, 3).contiguous() for keys, _ in keys_values)  # (A, H, d, S)
        values = tuple(values.contiguous() for _, values in keys_values)  # (A, H, S, d)
        mask = source_mask[:, None, None, :]  # (A, 1, 1, S)
        bias = torch.zeros_like(mask, dtype=values[0].dtype).masked_fill_(~mask, -math.inf)  # (A, 1, 1, S)
        return cls(source_mask, keys, values, bias)


class DecodingStep:
    """Runs all layers of a stack for one target position."""

    def __init__(self, stack: Stack, positions: Positions) -> None:
        self.layers = [LayerStep(layer) for layer in stack]
        self.norm = stack.norm
        self.positions = positions

    def __call__(self, hidden: Tensor, cache: KeyValueCache, memory: SourceMemory) -> Tensor:
        """Computes what `Stack.forward` does at the newest position of the target.

        Args:
            hidden: (M, D), the embedded token of each hypothesis.
            cache: has reserved the newest position, which is written here.
            memory: of the A sentences.

        Returns:
            the outputs (M, D).
        """
        _, num_heads, _, _ = memory.values[0].shape
        past_bias = cache.head_bias(num_heads, self.positions)  # (A·H, K, P)
        source_bias = memory.bias.expand(-1, num_heads, -1, -1).flatten(0, 1)  # (A·H, 1, S)
        for layer, past, keys, values in zip(self.layers, cache.layers(), memory.keys, memory.values, strict=True):
            source = keys.flatten(0, 1), values.flatten(0, 1)  # (A·H, d, S), (A·H, S, d)
            hidden = layer(hidden, past, past_bias, *source, source_bias)  # (M, D)
        return self.norm(hidden)


class LayerStep:
    """Runs one layer for one target position; like the Transformer's, it holds dictionaries of parameters."""

    def __init__(self, layer: EncoderLayer) -> None:
        self.num_heads = layer.self_attention.num_heads
        self.pre_norm = layer.around_attention.pre_norm
        self.attention_norm = parameters_of(layer.around_attention.norm)
        self.query = parameters_of(layer.self_attention.query_projection)
        self.key_value = parameters_of(layer.self_attention.key_value_projection)
        self.output = parameters_of(layer.self_attention.output_projection)
        self.feedforward_norm = parameters_of(layer.around_feedforward.norm)
        linear_layers = [module for module in layer.feedforward if isinstance(module, nn.Linear)]
        self.feedforward_inner, self.feedforward_outer = map(parameters_of, linear_layers)

    def __call__(
        self,
        hidden: Tensor,
        past: LayerCache,
        past_bias: Tensor,
        source_keys: Tensor,
        source_values: Tensor,
        source_bias: Tensor,
    ) -> Tensor:
        """The layer's outputs (M, D).

        Args:
            hidden: (M, D).
            past: this layer's views of the cache; the newest positions are written here.
            past_bias: (A·H, K, P), 0 at the positions of a hypothesis's own past and -inf elsewhere.
            source_keys: (A·H, d, S).
            source_values: (A·H, S, d).
            source_bias: (A·H, 1, S).
        """
        num_rows, model_size = hidden.shape
        num_sentences = source_bias.size(0) // self.num_heads
        head_size = model_size // self.num_heads
        split = (num_sentences, num_rows // num_sentences, self.num_heads, 1, head_size)  # A, K, H, 1, d

        # hidden = around_attention(hidden, self_attention, mask=mask)
        inputs = self.before(hidden, self.attention_norm)  # (M, D)
        queries = rows_of_heads(linear(inputs, self.query), split)  # (A·H, K, d)
        keys_values = linear(inputs, self.key_value).view(*split[:2], 2, self.num_heads, head_size)  # (A, K, 2, H, d)
        keys, values = keys_values.permute(2, 0, 3, 1, 4)  # 2 × (A, H, K, d)
        past.write(keys, values)
        scale = head_size**-0.5
        source_scores = torch.baddbmm(source_bias, queries, source_keys, alpha=scale)  # (A·H, K, S)
        past_scores = torch.baddbmm(past_bias, queries, past.keys, alpha=scale)  # (A·H, K, P)
        weights = torch.cat([source_scores, past_scores], dim=-1).softmax(dim=-1)  # (A·H, K, S + P), one softmax
        num_source = source_values.size(1)  # S
        heads = torch.bmm(weights[..., :num_source], source_values)  # (A·H, K, d)
        heads.baddbmm_(weights[..., num_source:], past.values)  # plus the part of the target
        hidden = self.after(hidden, linear(join(heads, split), self.output), self.attention_norm)  # (M, D)

        # hidden = around_feedforward(hidden, feedforward)
        inputs = self.before(hidden, self.feedforward_norm)  # (M, D)
        outputs = linear(linear(inputs, self.feedforward_inner).relu_(), self.feedforward_outer)  # (M, D)
        return self.after(hidden, outputs, self.feedforward_norm)

    def before(self, hidden: Tensor, norm: Parameters) -> Tensor:
        """The input of a sublayer, as `Residual` computes it."""
        return normalise(hidden, norm) if self.pre_norm else hidden

    def after(self, hidden: Tensor, outputs: Tensor, norm: Parameters) -> Tensor:
        """The sum with a sublayer's outputs, as `Residual` computes it, in the memory of `outputs`."""
        hidden = outputs.add_(hidden)
        return hidden if self.pre_norm else normalise(hidden, norm)
