"""The stack for one more target position: the same computation as `stack`, written for speed.

It works like the Transformer's decoding step, with one difference: there a layer attends twice, to the target so far
and to the source. Here it attends once, by one softmax over both. As there, the keys and values of the source are
computed once per sentence (`TransformerMemory`), and a `KeyValueCache` holds those of the target so far.

Shapes: A sentences, K hypotheses of each, N = A · K rows, P positions of the target so far, S' source positions with
padding, D model size, H heads, d = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nmt.models.decoder_only.stack import Stack
from nmt.models.positions import Positions
from nmt.models.transformer.cache import KeyValueCache, LayerCache
from nmt.models.transformer.decoding_step import BaseLayerStep, TransformerMemory, join, linear, parameters_of
from nmt.models.transformer.encoder import EncoderLayer


class DecodingStep:
    """Runs all layers of a stack for one target position."""

    def __init__(self, stack: Stack, positions: Positions) -> None:
        self.layers = [LayerStep(layer) for layer in stack]
        self.norm = stack.norm
        self.positions = positions

    def __call__(self, hidden: Tensor, cache: KeyValueCache, memory: TransformerMemory) -> Tensor:
        """Computes what `Stack.forward` does at the newest position of the target.

        Args:
            hidden: (N, D), the embedded token of each hypothesis.
            cache: has reserved the newest position, which is written here.
            memory: of the A sentences.

        Returns:
            the outputs (N, D).
        """
        past_bias = cache.head_bias(memory.bias.size(1), self.positions)  # (A·H, K, P)
        source_bias = memory.bias.flatten(0, 1)  # (A·H, 1, S')
        for layer, past, keys, values in zip(self.layers, cache.layers(), memory.keys, memory.values, strict=True):
            source = keys.flatten(0, 1), values.flatten(0, 1)  # (A·H, d, S'), (A·H, S', d)
            hidden = layer(hidden, past, past_bias, *source, source_bias)  # (N, D)
        return self.norm(hidden)


class LayerStep(BaseLayerStep):
    """Runs one layer of a stack for one target position."""

    def __init__(self, layer: EncoderLayer) -> None:
        super().__init__(layer)
        self.self_norm = parameters_of(layer.around_attention.norm)

    def __call__(
        self,
        hidden: Tensor,
        past: LayerCache,
        past_bias: Tensor,
        source_keys: Tensor,
        source_values: Tensor,
        source_bias: Tensor,
    ) -> Tensor:
        """The layer's outputs (N, D).

        Args:
            hidden: (N, D).
            past: this layer's views of the cache; the newest positions are written here.
            past_bias: (A·H, K, P), 0 at the positions of a hypothesis's own past and -inf elsewhere.
            source_keys: (A·H, d, S').
            source_values: (A·H, S', d).
            source_bias: (A·H, 1, S').
        """
        split = self.split_sizes(hidden, source_bias)

        # hidden = around_attention(hidden, self_attention, mask=mask)
        queries, keys, values = self.project(self.before(hidden, self.self_norm), split)
        past.write(keys, values)
        scale = queries.size(-1) ** -0.5
        source_scores = torch.baddbmm(source_bias, queries, source_keys, alpha=scale)  # (A·H, K, S')
        past_scores = torch.baddbmm(past_bias, queries, past.keys, alpha=scale)  # (A·H, K, P)
        weights = torch.cat([source_scores, past_scores], dim=-1).softmax(dim=-1)  # (A·H, K, S' + P), one softmax
        num_source = source_values.size(1)  # S'
        heads = torch.bmm(weights[..., :num_source], source_values)  # (A·H, K, d)
        heads.baddbmm_(weights[..., num_source:], past.values)  # plus the part of the target
        hidden = self.after(hidden, linear(join(heads, split), self.self_output), self.self_norm)  # (N, D)

        # hidden = around_feedforward(hidden, feedforward)
        return self.feedforward(hidden)
