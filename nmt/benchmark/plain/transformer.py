"""The Transformer from torch's own layers, stacked as in `torch.nn.Transformer`.

Every decoding step runs the decoder over all tokens so far; there is no key/value cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.models.attention import NO_RECORD, AttentionRecord, SparseAttention
from nmt.models.embedding import Vocabulary
from nmt.models.positions import Positions
from nmt.models.seq2seq import Memory, Seq2Seq, State


@dataclass(frozen=True)
class EncodedMemory(Memory):
    """The encoded source."""

    values: Tensor  # (B, S, D), the encoder's outputs


@dataclass(frozen=True)
class PrefixState(State):
    """The target so far."""

    tokens: Tensor  # (B, t), its piece ids


class Transformer(Seq2Seq[EncodedMemory, PrefixState]):
    """The Transformer (Vaswani et al., 2017), with the arguments of `nmt.models.Transformer`.

    No layer is left out. Torch's layers know no positions but those that are added to the embeddings, all pairs of
    positions attend in the encoder, and heads share no keys and values.
    """

    def __init__(
        self,
        *,
        model_size: int,
        feedforward_size: int,
        num_heads: int,
        num_key_value_heads: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        dropout: float,
        embedding_dropout: float,
        activation_dropout: float,
        attention_dropout: float,
        layer_dropout: float,
        pre_norm: bool,
        positions: Positions,
        encoder_attention: SparseAttention | None,
        **vocabulary: Any,
    ) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(embedding_size=model_size, **vocabulary)
        self.positions = positions
        self.dropout = nn.Dropout(embedding_dropout)
        layer: dict[str, Any] = {
            "d_model": model_size,
            "nhead": num_heads,
            "dim_feedforward": feedforward_size,
            "dropout": dropout,
            "batch_first": True,
            "norm_first": pre_norm,
        }
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**layer),
            num_encoder_layers,
            nn.LayerNorm(model_size),
            enable_nested_tensor=False,
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**layer),
            num_decoder_layers,
            nn.LayerNorm(model_size),
        )
        for module in self.modules():
            if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                module.dropout.p = activation_dropout  # torch's layers call the one inside the feed-forward network so
            elif isinstance(module, nn.MultiheadAttention):
                module.dropout = attention_dropout
        self.scale = math.sqrt(model_size)
        for parameter in [*self.encoder.parameters(), *self.decoder.parameters()]:
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    @property
    def max_length(self) -> int | None:
        return self.positions.max_length

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        return self.decode(target_input, self.encode(source, source_mask))

    def encode(self, source: Tensor, source_mask: Tensor) -> EncodedMemory:
        embedded = self.embed(source, self.vocabulary.source)  # (B, S, D)
        return EncodedMemory(source_mask, self.encoder(embedded, src_key_padding_mask=~source_mask))

    def embed(self, ids: Tensor, table: nn.Module) -> Tensor:
        """Embeddings with positions (B, T, D) of ids (B, T)."""
        return self.dropout(self.positions.add(table(ids) * self.scale, 0, ids.size(1)))  # (B, T, D)

    def decode(self, target: Tensor, memory: EncodedMemory) -> Tensor:
        """Decoder outputs (B, T, D) of target ids (B, T)."""
        length = target.size(1)
        embedded = self.embed(target, self.vocabulary.target)  # (B, T, D)
        later = torch.ones(length, length, dtype=torch.bool, device=target.device).triu(1)  # (T, T), True = masked
        return self.decoder(
            embedded, memory.values, tgt_mask=later, memory_key_padding_mask=~memory.source_mask, tgt_is_causal=True
        )  # (B, T, D)

    def start(self, memory: EncodedMemory) -> PrefixState:
        return PrefixState(memory.source_mask.new_zeros((memory.source_mask.size(0), 0), dtype=torch.int64))

    def step(self, token: Tensor, state: PrefixState, memory: EncodedMemory) -> tuple[Tensor, PrefixState]:
        tokens = torch.cat([state.tokens, token.unsqueeze(1)], dim=1)  # (B, t + 1)
        memory = memory.repeated(len(tokens))
        logits = self.vocabulary.output(self.decode(tokens, memory)[:, -1])  # (B, V)
        return logits, PrefixState(tokens)


class LinearTransformer(Transformer):
    """The textbook's attention in place of linear attention, which torch does not have."""
