"""Transformers, linear and decoder-only ones too, as two functions that can become graphs; see `steps`.

Their own decoding step, with its cache, is written for speed in Python. Here the modules of the decoder compute one
position, and the keys and values of the target so far are plain tensors that grow by one position per step.

Shapes: N hypotheses, S source positions, P target positions so far, V target vocabulary, D model size, L layers, H
heads, G heads of keys and values, d = D / H.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.export.steps import Step, Steps
from nmt.models import DecoderOnly, LinearTransformer, Transformer
from nmt.models.attention import MultiHeadAttention
from nmt.models.attention.kernels import attention_with_weights
from nmt.models.decoder_only.stack import renormalised
from nmt.models.positions import UNORDERED, Order, Positions, TablePositions, rotate
from nmt.models.seq2seq import Memory, State
from nmt.models.transformer.decoder import DecoderLayer
from nmt.models.transformer.linear import LinearSelfAttention
from nmt.models.transformer.model import BaseTransformer

KeysValues = tuple[Tensor, Tensor]
"""The keys and values of a layer."""


@dataclass(frozen=True)
class SourceKeys(Memory):
    """The keys and values of the source in each layer that attends to it, each (N, G, S, d)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @classmethod
    def of(cls, keys_values: Sequence[KeysValues], source_mask: Tensor) -> SourceKeys:
        """From the keys and values of each layer."""
        keys, values = zip(*keys_values, strict=True)
        return cls(source_mask, keys, values)


@dataclass(frozen=True)
class Past(State):
    """The keys and values of the target so far in each layer, each (N, G, P, d)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @classmethod
    def empty(cls, memory: SourceKeys) -> Past:
        """The past before the first target token."""
        keys = tuple(each[:, :, :0] for each in memory.keys)  # (N, G, 0, d) of each layer
        return cls(keys, keys)

    @classmethod
    def of(cls, keys_values: Sequence[KeysValues]) -> Past:
        """From the keys and values of each layer."""
        keys, values = zip(*keys_values, strict=True)
        return cls(keys, values)

    @property
    def length(self) -> int:
        """P."""
        return self.keys[0].size(2)


class TransformerSteps(Steps[SourceKeys, Past]):
    """The Transformer, by the modules of its decoder."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def encode(self, source: Tensor, source_mask: Tensor) -> tuple[SourceKeys, Past]:
        memory = encode_source(self.model, source, source_mask)
        return memory, Past.empty(memory)

    def step(self, token: Tensor, state: Past, memory: SourceKeys) -> Step:
        positions = self.model.decoder.positions
        embedded = self.model.vocabulary.target(token.unsqueeze(1)) * self.model.scale  # (N, 1, D)
        hidden = positions.add(embedded, state.length, 1)  # (N, 1, D)
        order = order_of_newest(positions, state.length, hidden)
        grown: list[KeysValues] = []
        weights: list[Tensor] = []
        for index, module in enumerate(self.model.decoder.layers):
            layer = cast(DecoderLayer, module)
            past = state.keys[index], state.values[index]
            hidden = layer.around_self_attention(hidden, attend_to_past, layer.self_attention, past, order, grown)
            hidden = layer.around_cross_attention(
                hidden, attend_to_source, layer.cross_attention, memory, index, weights
            )
            hidden = layer.around_feedforward(hidden, layer.feedforward)  # (N, 1, D)
        outputs = self.model.decoder.norm(hidden).squeeze(1)  # (N, D)
        return Step(self.model.vocabulary.output(outputs), join_layers(weights), Past.of(grown))


@dataclass(frozen=True)
class Sums(State):
    """The sums of linear attention in each layer, (N, H, d, d + 1), and the number of tokens so far, (N,)."""

    sums: tuple[Tensor, ...]
    length: Tensor


class LinearSteps(Steps[SourceKeys, Sums]):
    """The Transformer with linear self-attention."""

    def __init__(self, model: LinearTransformer) -> None:
        super().__init__()
        self.model = model

    def encode(self, source: Tensor, source_mask: Tensor) -> tuple[SourceKeys, Sums]:
        memory = encode_source(self.model, source, source_mask)
        attention = cast(DecoderLayer, self.model.decoder.layers[0]).self_attention
        shape = source.size(0), attention.num_heads, attention.head_size, attention.head_size + 1
        zeros = torch.zeros(shape)  # (N, H, d, d + 1)
        return memory, Sums((zeros,) * len(self.model.decoder.layers), source.new_zeros(source.size(0)))

    def step(self, token: Tensor, state: Sums, memory: SourceKeys) -> Step:
        positions = cast(TablePositions, self.model.decoder.positions)
        embedded = self.model.vocabulary.target(token) * self.model.scale  # (N, D)
        hidden = (embedded + positions.table[state.length]).unsqueeze(1)  # (N, 1, D)
        sums: list[Tensor] = []
        weights: list[Tensor] = []
        for index, module in enumerate(self.model.decoder.layers):
            layer = cast(DecoderLayer, module)
            attention = cast(LinearSelfAttention, layer.self_attention)
            hidden = layer.around_self_attention(hidden, attention.step, state.sums[index], sums)
            hidden = layer.around_cross_attention(
                hidden, attend_to_source, layer.cross_attention, memory, index, weights
            )
            hidden = layer.around_feedforward(hidden, layer.feedforward)  # (N, 1, D)
        outputs = self.model.decoder.norm(hidden).squeeze(1)  # (N, D)
        return Step(self.model.vocabulary.output(outputs), join_layers(weights), Sums(tuple(sums), state.length + 1))


class DecoderOnlySteps(Steps[SourceKeys, Past]):
    """Decoder-only models: a layer attends to the source and to the target so far by one softmax."""

    def __init__(self, model: DecoderOnly) -> None:
        super().__init__()
        self.model = model

    def encode(self, source: Tensor, source_mask: Tensor) -> tuple[SourceKeys, Past]:
        model = self.model
        visible = model.visible_positions(source_mask, 0)  # (N, S, S)
        memory = SourceKeys.of(model.stack.source_keys_values(model.embed_source(source), visible), source_mask)
        return memory, Past.empty(memory)

    def step(self, token: Tensor, state: Past, memory: SourceKeys) -> Step:
        model = self.model
        embedded = model.vocabulary.target(token.unsqueeze(1)) * model.scale  # (N, 1, D)
        hidden = model.positions.add(embedded, state.length, 1) + model.target_side  # (N, 1, D)
        grown: list[KeysValues] = []
        weights: list[Tensor] = []
        for index, layer in enumerate(model.stack):
            past = state.keys[index], state.values[index]
            hidden = layer.around_attention(
                hidden, attend_to_both, layer.self_attention, memory, index, past, grown, weights
            )
            hidden = layer.around_feedforward(hidden, layer.feedforward)  # (N, 1, D)
        outputs = model.stack.norm(hidden).squeeze(1)  # (N, D)
        return Step(model.vocabulary.output(outputs), join_layers(weights), Past.of(grown))


def encode_source(model: BaseTransformer[Any], source: Tensor, source_mask: Tensor) -> SourceKeys:
    """The encoder of a Transformer, and the keys and values of its cross-attention."""
    encoded = model.encode_source(source, source_mask)  # (N, S, D)
    layers = [cast(DecoderLayer, layer) for layer in model.decoder.layers]
    return SourceKeys.of([layer.cross_attention.keys_values(encoded) for layer in layers], source_mask)


def order_of_newest(positions: Positions, length: int, hidden: Tensor) -> Order:
    """The order for the self-attention of the position after `length` others, whose vectors are (N, 1, D)."""
    bias = None
    if positions.has_bias:
        distances = length - torch.arange(length + 1)  # (P + 1,)
        bias = positions.bias(distances.unsqueeze(0), causal=True)  # (H, 1, P + 1)
    return Order(rotation=positions.rotation(length, 1, hidden), bias=bias)


def attend_to_past(
    inputs: Tensor, attention: MultiHeadAttention, past: KeysValues, order: Order, grown: list[KeysValues]
) -> Tensor:
    """Self-attention of the newest position, (N, 1, D) to (N, 1, D).

    Args:
        past: the layer's keys and values so far, 2 × (N, G, P, d).
        order: of the newest position.
        grown: receives the keys and values with the newest position, 2 × (N, G, P + 1, d).
    """
    queries, keys, values = add_newest(attention, inputs, past, order)  # (N, H, 1, d), 2 × (N, G, P + 1, d)
    grown.append((keys, values))
    heads, _ = attention_with_weights(queries, keys, values, mask=None, causal=False, bias=order.bias)  # (N, H, 1, d)
    return join_heads(attention, heads)


def attend_to_source(
    inputs: Tensor, attention: MultiHeadAttention, memory: SourceKeys, index: int, all_weights: list[Tensor]
) -> Tensor:
    """Cross-attention of layer `index`, (N, 1, D) to (N, 1, D); `all_weights` receives its weights, (N, H, 1, S)."""
    queries = attention.split_heads(attention.query_projection(inputs))  # (N, H, 1, d)
    mask = memory.source_mask[:, None, None]  # (N, 1, 1, S)
    heads, weights = attention_with_weights(
        queries, memory.keys[index], memory.values[index], mask=mask, causal=False
    )  # (N, H, 1, d), (N, H, 1, S)
    all_weights.append(weights)
    return join_heads(attention, heads)


def attend_to_both(
    inputs: Tensor,
    attention: MultiHeadAttention,
    memory: SourceKeys,
    index: int,
    past: KeysValues,
    grown: list[KeysValues],
    all_weights: list[Tensor],
) -> Tensor:
    """Attention to the source and the target so far, (N, 1, D) to (N, 1, D); arguments as above."""
    queries, *newest = add_newest(attention, inputs, past, UNORDERED)  # (N, H, 1, d), 2 × (N, H, P + 1, d)
    grown.append((newest[0], newest[1]))
    keys = torch.cat([memory.keys[index], newest[0]], dim=2)  # (N, H, S + P + 1, d)
    values = torch.cat([memory.values[index], newest[1]], dim=2)  # (N, H, S + P + 1, d)
    mask = F.pad(memory.source_mask, (0, newest[0].size(2)), value=True)[:, None, None]  # (N, 1, 1, S + P + 1)
    heads, weights = attention_with_weights(queries, keys, values, mask=mask, causal=False)
    num_source = memory.source_mask.size(1)
    all_weights.append(renormalised(weights[..., :num_source], mask[..., :num_source]))  # (N, H, 1, S)
    return join_heads(attention, heads)


def add_newest(
    attention: MultiHeadAttention, inputs: Tensor, past: KeysValues, order: Order
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (N, H, 1, d) of the newest position (N, 1, D); keys and values with it, each (N, G, P + 1, d)."""
    queries = attention.split_heads(attention.query_projection(inputs))  # (N, H, 1, d)
    keys, values = attention.keys_values(inputs)  # 2 × (N, G, 1, d)
    if order.rotation is not None:
        queries, keys = rotate(queries, order.rotation), rotate(keys, order.rotation)
    return queries, torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)


def join_heads(attention: MultiHeadAttention, heads: Tensor) -> Tensor:
    """The output (N, 1, D) of an attention from its heads (N, H, 1, d)."""
    return attention.output_projection(heads.transpose(1, 2).flatten(2))


def join_layers(weights: Sequence[Tensor]) -> Tensor:
    """The weights (N, L, H, S) of all layers from those of each, (N, H, 1, S)."""
    return torch.stack([each.squeeze(2) for each in weights], dim=1)
