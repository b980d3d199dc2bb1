"""The decoder-only models from torch's own layers.

Every decoding step runs the stack over the source and all tokens so far; there is no key/value cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.benchmark.plain.transformer import PrefixState
from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.embedding import Vocabulary
from nmt.models.positions import SinusoidalPositions
from nmt.models.seq2seq import Memory, Seq2Seq


@dataclass(frozen=True)
class SourceMemory(Memory):
    """The source, which the stack reads at every step."""

    source: Tensor  # (B, S), its piece ids


class DecoderOnly(Seq2Seq[SourceMemory, PrefixState]):
    """A causal stack, with the arguments of `nmt.models.DecoderOnly`; no layer is left out."""

    def __init__(
        self,
        *,
        model_size: int,
        feedforward_size: int,
        num_heads: int,
        num_layers: int,
        dropout: float,
        embedding_dropout: float,
        activation_dropout: float,
        attention_dropout: float,
        layer_dropout: float,
        pre_norm: bool,
        max_length: int,
        **vocabulary: Any,
    ) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(embedding_size=model_size, **vocabulary)
        self.positions = SinusoidalPositions(model_size=model_size, max_length=max_length)
        self.sides = nn.Parameter(torch.empty(2, model_size).normal_(std=model_size**-0.5))
        self.dropout = nn.Dropout(embedding_dropout)
        layer = nn.TransformerEncoderLayer(
            model_size, num_heads, feedforward_size, dropout, batch_first=True, norm_first=pre_norm
        )
        self.stack = nn.TransformerEncoder(layer, num_layers, nn.LayerNorm(model_size), enable_nested_tensor=False)
        for module in self.modules():
            if isinstance(module, nn.TransformerEncoderLayer):
                module.dropout.p = activation_dropout  # torch's layers call the one inside the feed-forward network so
            elif isinstance(module, nn.MultiheadAttention):
                module.dropout = attention_dropout
        self.scale = math.sqrt(model_size)
        for parameter in self.stack.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    @property
    def max_length(self) -> int | None:
        return self.positions.max_length

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        num_source, num_target = source.size(1), target_input.size(1)
        embedded = torch.cat(
            [
                self.positions.add(self.vocabulary.source(source) * self.scale, 0, num_source) + self.sides[0],
                self.positions.add(self.vocabulary.target(target_input) * self.scale, 0, num_target) + self.sides[1],
            ],
            dim=1,
        )  # (B, S + T, D)
        hidden = self.stack(
            self.dropout(embedded),
            mask=self.hidden_positions(num_source, num_target).to(source.device),
            src_key_padding_mask=~F.pad(source_mask, (0, num_target), value=True),
        )  # (B, S + T, D)
        return hidden[:, num_source:]  # (B, T, D)

    def hidden_positions(self, num_source: int, num_target: int) -> Tensor:
        """Which positions (S + T, S + T) a row must not attend to: the later ones."""
        return torch.ones(num_source + num_target, num_source + num_target, dtype=torch.bool).triu(1)

    def encode(self, source: Tensor, source_mask: Tensor) -> SourceMemory:
        return SourceMemory(source_mask, source)

    def start(self, memory: SourceMemory) -> PrefixState:
        return PrefixState(memory.source.new_zeros((memory.num_sentences, 0)))

    def step(self, token: Tensor, state: PrefixState, memory: SourceMemory) -> tuple[Tensor, PrefixState]:
        tokens = torch.cat([state.tokens, token.unsqueeze(1)], dim=1)  # (B, t + 1)
        memory = memory.repeated(len(tokens))
        outputs = self.decoder_outputs(memory.source, memory.source_mask, tokens)  # (B, t + 1, D)
        return self.vocabulary.output(outputs[:, -1]), PrefixState(tokens)  # (B, V)


class PrefixLM(DecoderOnly):
    """A stack with a bidirectional source, with the arguments of `nmt.models.PrefixLM`."""

    def hidden_positions(self, num_source: int, num_target: int) -> Tensor:
        """Which positions (S + T, S + T) a row must not attend to: the target, except itself and earlier pieces."""
        hidden = super().hidden_positions(num_source, num_target)
        hidden[:num_source, :num_source] = False
        return hidden
