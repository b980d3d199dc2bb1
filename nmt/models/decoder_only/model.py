"""Two decoder-only translation models, which differ in what a source piece may attend to.

    DecoderOnly    the source is causal, too: each piece attends to those before it (Radford et al., 2018 and 2019)
    PrefixLM       the source is bidirectional, as in an encoder (Raffel et al., 2020, §3.2.1)

For translation, Zhang et al. (2022) compare both with the encoder-decoder, and so do Gao et al. (2022). `bos`, with
which every target begins, also separates it from the source. The loss covers the target only: the source is given, and
its pieces are not predicted.

Raffel et al. (2020), https://arxiv.org/abs/1910.10683
Zhang et al. (2022), https://arxiv.org/abs/2202.00528
Gao et al. (2022), https://arxiv.org/abs/2210.11807

Shapes: B batch, S source positions, T target positions, N = S + T, V target vocabulary, D model size, H heads; while
decoding A sentences and K hypotheses of each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_probabilities, check_sizes
from nmt.models.attention import NO_RECORD, AttentionRecord, Kind, MultiHeadAttention
from nmt.models.autocast import to_autocast_format
from nmt.models.decoder_only.decoding_step import DecodingStep
from nmt.models.decoder_only.stack import Stack
from nmt.models.dropout import Dropout
from nmt.models.embedding import Vocabulary
from nmt.models.positions import SinusoidalPositions
from nmt.models.seq2seq import Seq2Seq
from nmt.models.transformer.cache import KeyValueCache
from nmt.models.transformer.decoding_step import TransformerMemory
from nmt.models.transformer.sublayers import LayerSettings


class DecoderOnly(Seq2Seq[TransformerMemory, KeyValueCache]):
    """Translates with one causal stack over the source and the target so far.

    Positions are counted on each side from 0, and a learned vector per side tells the two apart. So a target's
    positions do not depend on the source's length, let alone on padding, and aligned words have similar positions, as
    in the encoder-decoder.

    Args:
        source_vocab_size: number of source pieces.
        target_vocab_size: V.
        shared_vocab: both languages use the same pieces.
        tie_output: the output layer uses the target embedding as its weights.
        model_size: D.
        feedforward_size: of the feed-forward network's hidden layer.
        num_heads: H, must divide D.
        num_layers: of the stack.
        dropout: probability of dropping an element of every sublayer's output.
        embedding_dropout: the same for the sums of embeddings and positions.
        word_dropout: probability of dropping the whole embedding of a piece.
        activation_dropout: probability of dropping an element of a feed-forward network's hidden layer.
        attention_dropout: probability of dropping an attention weight.
        layer_dropout: probability with which a sentence skips a layer (`LayerDropout`).
        pre_norm: normalise before each sublayer instead of after the sum.
        max_length: the maximum number of positions on either side.
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
        num_layers: int,
        dropout: float,
        embedding_dropout: float,
        word_dropout: float,
        activation_dropout: float,
        attention_dropout: float,
        layer_dropout: float,
        pre_norm: bool,
        max_length: int,
    ) -> None:
        super().__init__()
        check_sizes(model_size=model_size, num_layers=num_layers)
        check_probabilities(dropout=dropout, embedding_dropout=embedding_dropout)
        self.vocabulary = Vocabulary(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            shared_vocab=shared_vocab,
            tie_output=tie_output,
            embedding_size=model_size,
            word_dropout=word_dropout,
        )
        self.positions = SinusoidalPositions(model_size=model_size, max_length=max_length)
        self.source_side = nn.Parameter(torch.empty(model_size).normal_(std=model_size**-0.5))  # (D,)
        self.target_side = nn.Parameter(torch.empty(model_size).normal_(std=model_size**-0.5))  # (D,)
        self.embedding_dropout = Dropout(embedding_dropout)
        settings = LayerSettings(
            model_size=model_size,
            num_heads=num_heads,
            num_key_value_heads=num_heads,
            feedforward_size=feedforward_size,
            dropout=dropout,
            activation_dropout=activation_dropout,
            attention_dropout=attention_dropout,
            layer_dropout=layer_dropout,
            pre_norm=pre_norm,
            self_attention_class=MultiHeadAttention,
        )
        self.stack = Stack(settings, num_layers)
        self.decoding_step = DecodingStep(self.stack, self.positions)
        self.scale = math.sqrt(model_size)
        for module in self.stack.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def attention_layers(self) -> dict[Kind, list[MultiHeadAttention]]:
        """See `TranslationModel.attention_layers`. All kinds name the same heads, so each is silenced in all roles."""
        layers = [layer.self_attention for layer in self.stack]
        return {"cross": layers, "encoder": layers, "decoder": layers}

    @property
    def max_length(self) -> int | None:
        return self.positions.max_length

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        num_source, num_target = source.size(1), target_input.size(1)
        embedded = torch.cat([self.embed_source(source), self.embed_target(target_input)], dim=1)  # (B, N, D)
        visible = self.visible_positions(source_mask, num_target)  # (B, N, N)
        hidden = self.stack(embedded, visible, num_source=num_source, record=record)  # (B, N, D)
        return hidden[:, num_source:]  # (B, T, D)

    def visible_positions(self, source_mask: Tensor, num_target: int) -> Tensor:
        """Which of S + `num_target` positions each may attend to, (B, N, N): by the order, and only to real pieces."""
        is_real = F.pad(source_mask, (0, num_target), value=True)  # (B, N); later target pieces are hidden by the order
        order = self.order_mask(source_mask.size(1), num_target, device=source_mask.device)  # (N, N)
        return order & is_real.unsqueeze(1)  # (B, N, N)

    def order_mask(self, num_source: int, num_target: int, *, device: torch.device) -> Tensor:
        """Which positions each may attend to by their order, (N, N): itself and those before it."""
        num_positions = num_source + num_target
        return torch.ones(num_positions, num_positions, dtype=torch.bool, device=device).tril()

    def embed_source(self, ids: Tensor) -> Tensor:
        """√D · embedding + position + side, (B, S, D), of source ids (B, S)."""
        embedded = self.positions.add(self.vocabulary.source(ids) * self.scale, 0, ids.size(1))  # (B, S, D)
        embedded = embedded + self.source_side
        return self.embedding_dropout(to_autocast_format(embedded))

    def embed_target(self, ids: Tensor) -> Tensor:
        """The same, (B, T, D), of target ids (B, T)."""
        embedded = self.positions.add(self.vocabulary.target(ids) * self.scale, 0, ids.size(1))  # (B, T, D)
        embedded = embedded + self.target_side
        return self.embedding_dropout(to_autocast_format(embedded))

    def encode(self, source: Tensor, source_mask: Tensor) -> TransformerMemory:
        visible = self.visible_positions(source_mask, 0)  # (A, S, S)
        return TransformerMemory.of(self.stack.source_keys_values(self.embed_source(source), visible), source_mask)

    def start(self, memory: TransformerMemory) -> KeyValueCache:
        return KeyValueCache.empty(memory.values[0], num_layers=len(self.stack))

    def step(self, token: Tensor, state: KeyValueCache, memory: TransformerMemory) -> tuple[Tensor, KeyValueCache]:
        assert not self.training, "steps are for decoding: they apply no dropout"
        num_hypotheses = token.size(0) // memory.num_sentences  # K
        cache = state.advance(num_hypotheses)
        embedded = F.embedding(token, self.vocabulary.target.weight) * self.scale  # (A·K, D), as `embed_target`
        embedded = self.positions.add(embedded, state.length, 1) + self.target_side  # (A·K, D)
        hidden = self.decoding_step(embedded, cache, memory)  # (A·K, D)
        return self.vocabulary.output(hidden), cache  # (A·K, V)


class PrefixLM(DecoderOnly):
    """Translates with one stack whose source part is bidirectional; arguments as `DecoderOnly`.

    A source piece attends to the whole source, and a target piece to the source and the target so far (Raffel et al.,
    2020, Figures 3 and 4).
    """

    def order_mask(self, num_source: int, num_target: int, *, device: torch.device) -> Tensor:
        """Which positions each may attend to by their order, (N, N): the source, itself and those before it."""
        visible = super().order_mask(num_source, num_target, device=device)
        visible[:num_source, :num_source] = True
        return visible
