"""The Transformer (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762).

Post-norm as in the paper, LayerNorm(x + Sublayer(x)) (§3.1), or pre-norm, x + Sublayer(LayerNorm(x)), which trains
without a delicate warm-up (Xiong et al., 2020, https://arxiv.org/abs/2002.04745).

Shapes: B batch, S source positions, T target positions, V target vocabulary, D model size, H heads, d = D / H.
While decoding: A sentences, K hypotheses of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_sizes
from nmt.models.attention import FEWEST, MultiHeadAttention
from nmt.models.cache import KeyValueCache
from nmt.models.decoder_step import DecoderStep, TransformerState
from nmt.models.dropout import Dropout
from nmt.models.embedding import SinusoidalPositions, Vocabulary
from nmt.models.seq2seq import Compiler, Memory, Readouts, Seq2Seq, StepOutput

KeysValues = tuple[Tensor, Tensor]
"""Keys and values, each (B, H, positions, d) if nothing else is said."""


class Residual(nn.Module):
    """The connection around every sublayer: the sum with its input, and the normalisation before or after it."""

    def __init__(self, *, model_size: int, pre_norm: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(model_size)
        self.pre_norm = pre_norm

    def forward(self, inputs: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.pre_norm:
            return inputs + sublayer(self.norm(inputs))
        normalised: Tensor = self.norm(inputs + sublayer(inputs))
        return normalised


class FeedForward(nn.Sequential):
    """FFN(x) = max(0, x W_1 + b_1) W_2 + b_2, at each position alike (Eq. 2)."""

    def __init__(self, *, model_size: int, feedforward_size: int, dropout: float) -> None:
        check_sizes(feedforward_size=feedforward_size)
        super().__init__(
            nn.Linear(model_size, feedforward_size),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(feedforward_size, model_size),
            Dropout(dropout),
        )


class EncoderLayer(nn.Module):
    """Self-attention and the feed-forward network."""

    def __init__(
        self, *, model_size: int, num_heads: int, feedforward_size: int, dropout: float, pre_norm: bool
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(model_size=model_size, num_heads=num_heads, dropout=dropout)
        self.feedforward = FeedForward(model_size=model_size, feedforward_size=feedforward_size, dropout=dropout)
        self.residuals = nn.ModuleList(Residual(model_size=model_size, pre_norm=pre_norm) for _ in range(2))

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """From (B, S, D) and a mask (B, 1, 1, S) to (B, S, D)."""

        def attention(x: Tensor) -> Tensor:
            output: Tensor = self.self_attention(x, *self.self_attention.keys_values(x), mask=mask)
            return output

        around_attention, around_feedforward = self.residuals
        attended = around_attention(inputs, attention)
        output: Tensor = around_feedforward(attended, self.feedforward)
        return output


class DecoderLayer(nn.Module):
    """Self-attention over the target so far, cross-attention to the source, and the feed-forward network."""

    def __init__(
        self, *, model_size: int, num_heads: int, feedforward_size: int, dropout: float, pre_norm: bool
    ) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(model_size=model_size, num_heads=num_heads, dropout=dropout)
        self.cross_attention = MultiHeadAttention(model_size=model_size, num_heads=num_heads, dropout=dropout)
        self.feedforward = FeedForward(model_size=model_size, feedforward_size=feedforward_size, dropout=dropout)
        self.residuals = nn.ModuleList(Residual(model_size=model_size, pre_norm=pre_norm) for _ in range(3))

    def forward(self, inputs: Tensor, source: KeysValues, source_mask: Tensor) -> Tensor:
        """Runs a whole target (B, T, D); one position at a time, `LayerStep` does the same.

        Args:
            source: keys and values (B, H, S, d) of the source.
            source_mask: (B, 1, 1, S).
        """

        def self_attention(x: Tensor) -> Tensor:
            output: Tensor = self.self_attention(x, *self.self_attention.keys_values(x), causal=True)
            return output

        def cross_attention(x: Tensor) -> Tensor:
            output: Tensor = self.cross_attention(x, *source, mask=source_mask)
            return output

        around_self, around_cross, around_feedforward = self.residuals
        attended = around_self(inputs, self_attention)
        informed = around_cross(attended, cross_attention)
        outputs: Tensor = around_feedforward(informed, self.feedforward)
        return outputs


@dataclass(frozen=True)
class TransformerMemory(Memory):
    """Each decoder layer's keys (B, H, d, S') and values (B, H, S', d) of the source, projected once.

    They lie as `look` reads them: S' is S, but at least `FEWEST`, and `bias` (B, H, 1, S') is 0 where a token is real
    and -inf elsewhere.
    """

    layers: tuple[KeysValues, ...]
    bias: Tensor


class Transformer(Seq2Seq):
    """Encoder and decoder of self-attention (Vaswani et al., 2017, Figure 1).

    Args:
        source_vocab_size: pieces of the source language.
        target_vocab_size: V.
        shared_vocab: both languages use one set of pieces.
        tie_output: the output layer's weights are the target embedding's (§3.4).
        model_size: D.
        feedforward_size: of the feed-forward network's hidden layer.
        num_heads: H, must divide D.
        num_encoder_layers: of the encoder.
        num_decoder_layers: of the decoder.
        dropout: probability of dropping a number of the embeddings, of every sublayer's output (§5.4) and inside the
            feed-forward network.
        pre_norm: normalise before each sublayer instead of after the sum.
        max_length: the most positions that a side may have.
    """

    def __init__(
        self,
        *,
        source_vocab_size: int,
        target_vocab_size: int,
        shared_vocab: bool,
        tie_output: bool,
        model_size: int,
        feedforward_size: int,
        num_heads: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        dropout: float,
        pre_norm: bool,
        max_length: int,
    ) -> None:
        super().__init__()
        check_sizes(model_size=model_size, num_encoder_layers=num_encoder_layers, num_decoder_layers=num_decoder_layers)
        self.vocabulary = Vocabulary(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            shared_vocab=shared_vocab,
            tie_output=tie_output,
            embedding_size=model_size,
        )
        self.positions = SinusoidalPositions(model_size=model_size, max_length=max_length)
        self.dropout = Dropout(dropout)
        layer: dict[str, Any] = {
            "model_size": model_size,
            "num_heads": num_heads,
            "feedforward_size": feedforward_size,
            "dropout": dropout,
            "pre_norm": pre_norm,
        }
        self.encoder = nn.ModuleList(EncoderLayer(**layer) for _ in range(num_encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(**layer) for _ in range(num_decoder_layers))
        # Post-norm layers end normalised; pre-norm ones leave a bare sum, which is normalised once at the end.
        self.encoder_norm = nn.LayerNorm(model_size) if pre_norm else nn.Identity()
        self.decoder_norm = nn.LayerNorm(model_size) if pre_norm else nn.Identity()
        self.scale = math.sqrt(model_size)
        for module in [*self.encoder.modules(), *self.decoder.modules()]:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    @property
    def max_length(self) -> int | None:
        return self.positions.table.size(0)

    def embed(self, table: nn.Module, ids: Tensor, *, start: int = 0) -> Tensor:
        """Ids (B, T) from position `start` on to √D · embedding + position (§3.4, §3.5), (B, T, D)."""
        embedded: Tensor = self.dropout(self.positions(table(ids) * self.scale, start=start))
        return embedded

    def read(self, source: Tensor, source_mask: Tensor) -> list[KeysValues]:
        """What each layer of the decoder looks at: its keys and values of the source (B, S)."""
        hidden = self.embed(self.vocabulary.source, source)  # (B, S, D)
        mask = source_mask[:, None, None, :]  # (B, 1, 1, S)
        for layer in self.encoder:
            hidden = layer(hidden, mask)
        hidden = self.encoder_norm(hidden)
        return [cast(DecoderLayer, layer).cross_attention.keys_values(hidden) for layer in self.decoder]

    def encode(self, source: Tensor, source_mask: Tensor) -> TransformerMemory:
        layers = self.read(source, source_mask)  # views, which are laid out anew
        beyond = max(0, FEWEST - source.size(1))
        mask = F.pad(source_mask, (0, beyond))[:, None, None, :]  # (B, 1, 1, S')
        bias = torch.zeros_like(mask, dtype=layers[0][0].dtype).masked_fill_(~mask, -math.inf)
        return TransformerMemory(
            source_mask,
            tuple(
                (
                    F.pad(keys.transpose(2, 3), (0, beyond)).contiguous(),  # (B, H, d, S')
                    F.pad(values, (0, 0, 0, beyond)).contiguous(),  # (B, H, S', d)
                )
                for keys, values in layers
            ),
            bias.repeat(1, layers[0][0].size(1), 1, 1),  # (B, H, 1, S')
        )

    def decoder_outputs(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        layers = self.read(source, source_mask)
        hidden = self.embed(self.vocabulary.target, target_input)  # (B, T, D)
        mask = source_mask[:, None, None, :]  # (B, 1, 1, S)
        for layer, layer_source in zip(self.decoder, layers, strict=True):
            hidden = layer(hidden, layer_source, mask)
        decoder_outputs: Tensor = self.decoder_norm(hidden)
        return decoder_outputs

    def compiled_readouts(self, compiler: Compiler) -> Readouts:
        return compiler(self.decoder_outputs)

    def start(self, memory: TransformerMemory) -> TransformerState:  # type: ignore[override]
        cache = KeyValueCache.before_the_first(memory.layers[0][1], len(self.decoder))
        return TransformerState(cache, DecoderStep.of(self))

    def step(
        self, token: Tensor, state: TransformerState, memory: TransformerMemory, *, need_attention: bool = False
    ) -> StepOutput:
        assert not self.training, "steps are for decoding: they drop nothing"
        sentences, heads, _, _ = memory.bias.shape
        width = token.size(0) // sentences  # K
        cache = state.cache.advance(width)
        logits, attention = state.decoder(token, state.length, cache, memory)  # (A·K, V), layers × (A·H, K, S')
        weights: Tensor | None = None
        if need_attention:
            weights = torch.stack(attention).view(len(attention), sentences, heads, width, -1)
            weights = weights[..., : memory.source_mask.size(1)]  # (layers, A, H, K, S)
            weights = weights.permute(1, 3, 0, 2, 4).flatten(0, 1)  # (A·K, layers, H, S)
        return StepOutput(logits, weights, TransformerState(cache, state.decoder))
