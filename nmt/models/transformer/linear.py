"""The Transformer with linear self-attention, whose decoder is a recurrence.

Katharopoulos et al. (2020), https://arxiv.org/abs/2006.16236; `nmt.models.attention.linear` has the equations.

Shapes: B batch, T target positions, D model size, H heads, d = D / H, L decoder layers; while decoding A sentences, K
hypotheses of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.errors import UserError
from nmt.models.attention import MultiHeadAttention, SparseAttention, step_attention
from nmt.models.attention.kernels import repeat_heads
from nmt.models.attention.linear import (
    causal_linear_attention,
    divide,
    features,
    linear_attention,
    linear_attention_weights,
    with_ones,
)
from nmt.models.attention.multi_head import mask_of_keys
from nmt.models.positions import UNORDERED, Order, TablePositions
from nmt.models.seq2seq import State, select_rows
from nmt.models.transformer.decoder import DecoderLayer
from nmt.models.transformer.decoding_step import TransformerMemory, join, rows_of_heads
from nmt.models.transformer.model import BaseTransformer


class LinearSelfAttention(MultiHeadAttention):
    """Multi-head self-attention whose heads compute linear attention instead of the softmax."""

    def forward(
        self,
        inputs: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        order: Order = UNORDERED,
        pattern: SparseAttention | None = None,
        record: list[Tensor] | None = None,
    ) -> Tensor:
        assert memory is None and order == UNORDERED and pattern is None, "linear attention sees the inputs only"
        queries = features(self.split_heads(self.query_projection(inputs)))  # (B, H, T, d)
        keys, values = self.keys_values(inputs)  # 2 × (B, H, T, d)
        keys = features(keys)
        key_mask = None if mask is None else mask_of_keys(mask).unsqueeze(1)  # (B, 1, T)
        if causal:
            heads = causal_linear_attention(queries, keys, values)  # (B, H, T, d)
        else:
            heads = linear_attention(queries, keys, values, key_mask)  # (B, H, T, d)
        if record is not None:
            record.append(linear_attention_weights(queries, keys, mask=key_mask, causal=causal))  # (B, H, T, T)
        return self.dropout(self.output_projection(heads.transpose(1, 2).flatten(2)))  # (B, T, D)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (B, H, S, d), of a memory (B, S, D): heads that share them have copies."""
        keys, values = super().keys_values(memory)  # 2 × (B, G, S, d)
        return repeat_heads(keys, self.num_heads), repeat_heads(values, self.num_heads)

    def step(self, inputs: Tensor, sums: Tensor, new_sums: list[Tensor]) -> Tensor:
        """One more position of a causal sequence (N, 1, D), as `forward` computes it.

        Args:
            sums: (N, H, d, d + 1), Σ φ(k_j) [v_j, 1]ᵀ over the positions so far; at least float32, since a sum in
                bfloat16 stops growing after a few hundred terms.
            new_sums: receives the sums with this position.
        """
        queries = features(self.split_heads(self.query_projection(inputs)))  # (N, H, 1, d)
        keys, values = self.keys_values(inputs)  # 2 × (N, H, 1, d)
        sums = sums + features(keys).transpose(2, 3) * with_ones(values)  # (N, H, d, d + 1)
        new_sums.append(sums)
        heads = divide(queries.to(sums.dtype) @ sums).to(inputs.dtype)  # (N, H, 1, d)
        return self.output_projection(heads.transpose(1, 2).flatten(2))  # (N, 1, D)


@dataclass(frozen=True)
class LinearState(State):
    """The decoding state: of each layer the sums (N, H, d, d + 1), and how many tokens each hypothesis has read."""

    sums: tuple[Tensor, ...]
    length: int

    def select(self, hypotheses: Tensor, sentences: Tensor | None) -> Self:
        return type(self)(select_rows(self.sums, hypotheses.flatten()), self.length)


class LinearTransformer(BaseTransformer[LinearState]):
    """A Transformer with linear self-attention in encoder and decoder; cross-attention stays as it is.

    A step takes the same time and memory after any number of target pieces, while the cache of a `Transformer` grows.
    Self-attention never computes its weights in training, so `attention_dropout` acts on cross-attention only.

    Args: those of BaseTransformer (`arguments`).

    Raises:
        UserError: the positions are not added to the embeddings, or the encoder's attention is sparse, too.
    """

    self_attention_class = LinearSelfAttention

    def __init__(self, **arguments: Any) -> None:
        positions = arguments["positions"]
        if not isinstance(positions, TablePositions):
            raise UserError(
                f"linear attention has no scores that {type(positions).__name__} could change: choose sinusoidal or "
                "learned positions"
            )
        if arguments["encoder_attention"] is not None:
            raise UserError("linear attention has no pairs of positions to leave out: set encoder_attention=null")
        super().__init__(**arguments)

    def start(self, memory: TransformerMemory) -> LinearState:
        attention = cast(DecoderLayer, self.decoder.layers[0]).self_attention
        shape = memory.num_sentences, attention.num_heads, attention.head_size, attention.head_size + 1
        values = memory.values[0]
        zeros = values.new_zeros(shape, dtype=torch.promote_types(values.dtype, torch.float32))  # (A, H, d, d + 1)
        return LinearState((zeros,) * len(self.decoder.layers), length=0)

    def step(self, token: Tensor, state: LinearState, memory: TransformerMemory) -> tuple[Tensor, LinearState]:
        assert not self.training, "steps are for decoding: they apply no dropout"
        embedded = F.embedding(token, self.vocabulary.target.weight) * self.scale  # (A·K, D), as `embed`
        hidden = self.decoder.positions.add(embedded, state.length, 1).unsqueeze(1)  # (A·K, 1, D)
        new_sums: list[Tensor] = []
        for index, module in enumerate(self.decoder.layers):
            layer = cast(DecoderLayer, module)
            attend = cast(LinearSelfAttention, layer.self_attention).step
            hidden = layer.around_self_attention(hidden, attend, state.sums[index], new_sums)
            attend_to_source = partial(attend_to_memory, layer.cross_attention, memory=memory, index=index)
            hidden = layer.around_cross_attention(hidden, attend_to_source)
            hidden = layer.around_feedforward(hidden, layer.feedforward)  # (A·K, 1, D)
        outputs = self.decoder.norm(hidden).squeeze(1)  # (A·K, D)
        return self.vocabulary.output(outputs), LinearState(tuple(new_sums), state.length + 1)


def attend_to_memory(attention: MultiHeadAttention, inputs: Tensor, *, memory: TransformerMemory, index: int) -> Tensor:
    """Cross-attention of decoder layer `index` from (A·K, 1, D) to the source, (A·K, 1, D)."""
    num_hypotheses = len(inputs) // memory.num_sentences  # K
    num_sharing = attention.num_heads // attention.num_key_value_heads  # R
    split = memory.num_sentences, num_hypotheses, attention.num_key_value_heads, num_sharing, attention.head_size
    queries = rows_of_heads(attention.query_projection(inputs), split)  # (A·G, K·R, d)
    keys, values, bias = (each.flatten(0, 1) for each in (memory.keys[index], memory.values[index], memory.bias))
    heads = step_attention(queries, keys, values, bias)  # (A·G, K·R, d)
    return attention.output_projection(join(heads, split)).unsqueeze(1)  # (A·K, 1, D)
