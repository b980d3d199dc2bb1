"""The Transformer encoder-decoder (Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, Figure 1).

Shapes: B batch, S source positions, T target positions, V target vocabulary, D model size, H heads, L decoder layers;
while decoding A sentences and K hypotheses of each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar, cast

from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_probabilities, check_sizes
from nmt.errors import UserError
from nmt.models.attention import NO_RECORD, AttentionRecord, Kind, MultiHeadAttention, SparseAttention
from nmt.models.autocast import to_autocast_format
from nmt.models.dropout import Dropout
from nmt.models.embedding import Vocabulary
from nmt.models.positions import Positions
from nmt.models.seq2seq import Seq2Seq, StateT
from nmt.models.transformer.cache import KeyValueCache
from nmt.models.transformer.decoder import Decoder, DecoderLayer
from nmt.models.transformer.decoding_step import DecodingStep, TransformerMemory
from nmt.models.transformer.encoder import Encoder, EncoderLayer
from nmt.models.transformer.sublayers import LayerSettings


class BaseTransformer(Seq2Seq[TransformerMemory, StateT]):
    """Encoder and decoder consist of attention and feed-forward networks; a subclass adds the decoding step.

    Args:
        source_vocab_size: number of source pieces.
        target_vocab_size: V.
        shared_vocab: both languages use the same pieces.
        tie_output: the output layer uses the target embedding as its weights (§3.4).
        model_size: D.
        feedforward_size: of the feed-forward network's hidden layer.
        num_heads: H, must divide D.
        num_key_value_heads: heads of keys and values in every attention, must divide H. Fewer than H make the cache of
            a decoding step smaller (multi-query and grouped-query attention, `MultiHeadAttention`).
        num_encoder_layers: of the encoder.
        num_decoder_layers: of the decoder.
        dropout: probability of dropping an element of every sublayer's output (§5.4).
        embedding_dropout: the same for the sums of embeddings and positions (§5.4).
        word_dropout: probability of dropping the whole embedding of a piece.
        activation_dropout: probability of dropping an element of a feed-forward network's hidden layer; the paper has
            none there.
        attention_dropout: probability of dropping an attention weight; the paper has none there.
        layer_dropout: probability with which a sentence skips a layer (`LayerDropout`).
        pre_norm: normalise before each sublayer instead of after the sum.
        positions: how the encoder knows the order of its inputs (§3.5); the decoder gets another of the same kind.
        encoder_attention: which pairs of positions attend in the encoder; None: all.

    Raises:
        UserError: an argument is out of its range, or two do not fit each other.
    """

    self_attention_class: ClassVar[type[MultiHeadAttention]] = MultiHeadAttention

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
        num_key_value_heads: int,
        num_encoder_layers: int,
        num_decoder_layers: int,
        dropout: float,
        embedding_dropout: float,
        word_dropout: float,
        activation_dropout: float,
        attention_dropout: float,
        layer_dropout: float,
        pre_norm: bool,
        positions: Positions,
        encoder_attention: SparseAttention | None,
    ) -> None:
        super().__init__()
        check_sizes(model_size=model_size, num_encoder_layers=num_encoder_layers, num_decoder_layers=num_decoder_layers)
        check_probabilities(dropout=dropout, embedding_dropout=embedding_dropout)
        self.vocabulary = Vocabulary(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            shared_vocab=shared_vocab,
            tie_output=tie_output,
            embedding_size=model_size,
            word_dropout=word_dropout,
        )
        positions.check_fit(model_size=model_size, num_heads=num_heads)
        if encoder_attention is not None and positions.has_bias:
            raise UserError(
                f"sparse attention in the encoder has no place for the bias of {type(positions).__name__}: choose "
                "sinusoidal, learned or rotary positions"
            )
        self.embedding_dropout = Dropout(embedding_dropout)
        settings = LayerSettings(
            model_size=model_size,
            num_heads=num_heads,
            num_key_value_heads=num_key_value_heads,
            feedforward_size=feedforward_size,
            dropout=dropout,
            activation_dropout=activation_dropout,
            attention_dropout=attention_dropout,
            layer_dropout=layer_dropout,
            pre_norm=pre_norm,
            self_attention_class=self.self_attention_class,
        )
        self.encoder = Encoder(settings, num_encoder_layers, positions, encoder_attention)
        self.decoder = Decoder(settings, num_decoder_layers, positions.another())
        self.scale = math.sqrt(model_size)
        for module in [*self.encoder.modules(), *self.decoder.modules()]:
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def attention_layers(self) -> dict[Kind, list[MultiHeadAttention]]:
        encoder_layers = cast("Iterable[EncoderLayer]", self.encoder.layers)
        decoder_layers = cast("Iterable[DecoderLayer]", self.decoder.layers)
        return {
            "cross": [layer.cross_attention for layer in decoder_layers],
            "encoder": [layer.self_attention for layer in encoder_layers],
            "decoder": [layer.self_attention for layer in decoder_layers],
        }

    @property
    def max_length(self) -> int | None:
        return self.decoder.positions.max_length

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        encoded = self.encode_source(source, source_mask, record)  # (B, S, D)
        embedded = self.embed(target_input, self.vocabulary.target, self.decoder.positions)  # (B, T, D)
        return self.decoder(embedded, encoded, source_mask, record)  # (B, T, D)

    def encode_source(self, source: Tensor, source_mask: Tensor, record: AttentionRecord = NO_RECORD) -> Tensor:
        """The encoder's outputs (B, S, D) for source ids (B, S)."""
        embedded = self.embed(source, self.vocabulary.source, self.encoder.positions)  # (B, S, D)
        return self.encoder(embedded, source_mask, record)  # (B, S, D)

    def encoder_outputs(self, source: Tensor, source_mask: Tensor) -> Tensor:
        return self.encode_source(source, source_mask)  # (B, S, D)

    def embed(self, ids: Tensor, table: nn.Module, positions: Positions) -> Tensor:
        """√D · embedding + position (§3.4, §3.5), (B, T, D), of ids (B, T)."""
        embedded = positions.add(table(ids) * self.scale, 0, ids.size(1))  # (B, T, D)
        return self.embedding_dropout(to_autocast_format(embedded))

    def encode(self, source: Tensor, source_mask: Tensor) -> TransformerMemory:
        encoded = self.encode_source(source, source_mask)  # (A, S, D)
        layers = cast("Iterable[DecoderLayer]", self.decoder.layers)
        return TransformerMemory.of([layer.cross_attention.keys_values(encoded) for layer in layers], source_mask)


class Transformer(BaseTransformer[KeyValueCache]):
    """The Transformer of Vaswani et al. (2017), which decodes with a cache of keys and values.

    Args: those of BaseTransformer (`arguments`).
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.decoding_step = DecodingStep(self.decoder)

    def start(self, memory: TransformerMemory) -> KeyValueCache:
        return KeyValueCache.empty(memory.values[0], num_layers=len(self.decoder.layers))

    def step(self, token: Tensor, state: KeyValueCache, memory: TransformerMemory) -> tuple[Tensor, KeyValueCache]:
        assert not self.training, "steps are for decoding: they apply no dropout"
        num_hypotheses = token.size(0) // memory.num_sentences  # K
        cache = state.advance(num_hypotheses)
        embedded = F.embedding(token, self.vocabulary.target.weight) * self.scale  # (A·K, D), as `embed`
        embedded = self.decoder.positions.add(embedded, state.length, 1)  # (A·K, D)
        hidden = self.decoding_step(embedded, cache, memory)  # (A·K, D)
        return self.vocabulary.output(hidden), cache  # (A·K, V)
