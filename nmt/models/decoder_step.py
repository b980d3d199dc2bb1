"""One step of the Transformer's decoder layers, as `DecoderLayer` computes it, with as little around the arithmetic as
may be.

With the few rows of one sentence's beam, a step through the modules takes longer to find its weights and to call its
layers than to multiply: written out, and with the weights looked up once in a search, a sentence takes two thirds of
the time, and a batch of 64 nine tenths. The tests hold every step against teacher forcing through the modules.

Shapes: A sentences, K hypotheses of each, N = A · K, P positions that the hypotheses of a sentence have read together,
S source positions, D model size, H heads, d = D / H.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.attention import MultiHeadAttention, fused_attention
from nmt.models.cache import KeyValueCache
from nmt.models.seq2seq import State

if TYPE_CHECKING:
    from nmt.models.transformer import DecoderLayer

Parameters = tuple[Tensor, Tensor]
"""Weight and bias of a linear layer or a normalisation."""


def parameters_of(layer: Any) -> Parameters:
    return layer.weight, layer.bias


@dataclass(frozen=True)
class LayerStep:
    """A decoder layer, with its weights at hand."""

    cross_attention: MultiHeadAttention
    norms: tuple[Parameters, ...]
    query: Parameters
    key_value: Parameters
    output: Parameters
    cross_query: Parameters
    cross_output: Parameters
    inner: Parameters
    outer: Parameters
    pre_norm: bool

    @classmethod
    def of(cls, layer: DecoderLayer) -> Self:
        attention, cross_attention = layer.self_attention, layer.cross_attention
        inner, outer = (part for part in layer.feedforward if isinstance(part, nn.Linear))
        return cls(
            cross_attention=cross_attention,
            norms=tuple(parameters_of(residual.norm) for residual in layer.residuals),
            query=parameters_of(attention.query_projection),
            key_value=parameters_of(attention.key_value_projection),
            output=parameters_of(attention.output_projection),
            cross_query=parameters_of(cross_attention.query_projection),
            cross_output=parameters_of(cross_attention.output_projection),
            inner=parameters_of(inner),
            outer=parameters_of(outer),
            pre_norm=bool(layer.residuals[0].pre_norm),
        )

    def norm(self, hidden: Tensor, sublayer: int) -> Tensor:
        return F.layer_norm(hidden, hidden.shape[-1:], *self.norms[sublayer])

    def before(self, hidden: Tensor, sublayer: int) -> Tensor:
        """What the sublayer reads."""
        return self.norm(hidden, sublayer) if self.pre_norm else hidden

    def after(self, hidden: Tensor, output: Tensor, sublayer: int) -> Tensor:
        """What the next one goes on from."""
        return hidden + output if self.pre_norm else self.norm(hidden + output, sublayer)

    def __call__(
        self,
        number: int,
        hidden: Tensor,
        cache: KeyValueCache,
        source: tuple[Tensor, Tensor],
        source_mask: Tensor,
        *,
        need_attention: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Advances hidden (N, D) of layer `number`.

        Args:
            cache: that has room for this position, to be written.
            source: keys and values (A, H, S, d).
            source_mask: (A, 1, 1, S): boolean if `need_attention`, else what is added to the scores.

        Returns:
            outputs (N, D), and cross-attention's weights (A, H, K, S) if asked.
        """
        keys, values = source
        sentences, heads, _, size = keys.shape
        inputs = self.before(hidden, 0)  # (N, D)
        queries = F.linear(inputs, *self.query).view(sentences, -1, heads, size).transpose(1, 2)  # (A, H, K, d)
        read = F.linear(inputs, *self.key_value).view(sentences, -1, 2, heads, size)  # (A, K, 2, H, d)
        past_keys, past_values = cache.write(number, read.permute(0, 2, 3, 1, 4))  # 2 × (A, H, P, d)
        bias = None if cache.bias is None else cache.bias.unsqueeze(1)  # (A, 1, K, P)
        looked = fused_attention(queries, past_keys, past_values, mask=bias, causal=False)  # (A, H, K, d)
        hidden = self.after(hidden, F.linear(looked.transpose(1, 2).reshape(hidden.shape), *self.output), 0)

        inputs = self.before(hidden, 1)  # (N, D)
        weights: Tensor | None = None
        if need_attention:
            beside = inputs.view(sentences, -1, inputs.size(1))  # (A, K, D)
            output, weights = self.cross_attention.with_weights(beside, keys, values, mask=source_mask)
            output = output.flatten(0, 1)  # (N, D)
        else:
            queries = F.linear(inputs, *self.cross_query).view(sentences, -1, heads, size).transpose(1, 2)
            looked = fused_attention(queries, keys, values, mask=source_mask, causal=False)  # (A, H, K, d)
            output = F.linear(looked.transpose(1, 2).reshape(hidden.shape), *self.cross_output)  # (N, D)
        hidden = self.after(hidden, output, 1)

        inner = F.linear(self.before(hidden, 2), *self.inner).relu_()
        return self.after(hidden, F.linear(inner, *self.outer), 2), weights


@dataclass(frozen=True)
class TransformerState(State):
    """The target so far, as keys and values, and the layers that read on."""

    cache: KeyValueCache
    layers: tuple[LayerStep, ...]

    @property
    def length(self) -> int:
        """How many target positions have been read."""
        return self.cache.length

    def select(self, rows: Tensor) -> Self:
        return replace(self, cache=self.cache.select(rows))
