"""What the recurrent architectures share: embeddings, the encoder, the decoder's first state and the output layer.

    source ids -> embedding -> BidirectionalEncoder -> bridge -> first decoder state s_0
    target ids -> embedding -> decoder (a RecurrentDecoder: the only part that differs) -> output layer

Encoder and decoder consist of the same kind of cell, an LSTM or a GRU. It is a choice of its own, so that two systems
may differ in nothing but their attention.

Shapes: B batch, S source positions, T target positions, V target vocabulary, E embedding size, D hidden size, L layers,
H heads; while decoding A sentences and K hypotheses of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

import torch
from torch import Tensor, nn

from nmt.checks import check_probabilities
from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.dropout import Dropout
from nmt.models.embedding import Vocabulary
from nmt.models.recurrent.cells import Cell, RecurrentState
from nmt.models.recurrent.encoder import BidirectionalEncoder
from nmt.models.recurrent.weight_dropout import WeightDropout
from nmt.models.seq2seq import MemoryT, Seq2Seq, StateT
from nmt.models.weight_layout import store_by_columns


class RecurrentDecoder(nn.Module, ABC, Generic[MemoryT, StateT]):
    """The decoder of a recurrent model, between the target embedding and the output layer."""

    @abstractmethod
    def forward(self, embedded: Tensor, memory: MemoryT, record: list[Tensor] | None) -> Tensor:
        """Decoder outputs (B, T, E) of an embedded target (B, T, E): the same as `step` at each position in turn.

        A decoder with attention appends its weights (B, H, T, S) to `record`, unless that is None.
        """

    @abstractmethod
    def start(self, memory: MemoryT) -> StateT:
        """The state before the first position."""

    @abstractmethod
    def step(self, embedded: Tensor, state: StateT, memory: MemoryT) -> tuple[Tensor, StateT]:
        """One position (A·K, E): the decoder output (A·K, E) and the new state."""


class RecurrentSeq2Seq(Seq2Seq[MemoryT, StateT]):
    """A recurrent encoder-decoder; a subclass adds `self.decoder` and `encode`.

    Args:
        source_vocab_size: number of source pieces.
        target_vocab_size: V.
        shared_vocab: both languages use the same pieces.
        tie_output: the output layer uses the target embedding as its weights.
        cell: the kind of cell of encoder and decoder.
        embedding_size: E, also the size of the vector from which the output layer predicts.
        hidden_size: D, of the decoder's cells and of the encoder's outputs (half for each direction).
        num_layers: L, of the encoder and of the decoder.
        dropout: probability of dropping an element between layers and before the output layer.
        embedding_dropout: the same for the embeddings.
        word_dropout: probability of dropping the whole embedding of a piece.
        variational_dropout: all positions of a sentence share one mask of `dropout`, `embedding_dropout` and
            `encoder_dropout` (Gal and Ghahramani, 2016), except between the decoder's layers.
        recurrent_dropout: probability of dropping an element of the cells' hidden-to-hidden matrices (`WeightDropout`).
    """

    decoder: RecurrentDecoder[MemoryT, StateT]

    def __init__(
        self,
        *,
        source_vocab_size: int,
        target_vocab_size: int,
        shared_vocab: bool,
        tie_output: bool,
        cell: Cell,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        embedding_dropout: float,
        word_dropout: float,
        variational_dropout: bool,
        recurrent_dropout: float,
    ) -> None:
        super().__init__()
        check_probabilities(dropout=dropout, embedding_dropout=embedding_dropout)
        self.vocabulary = Vocabulary(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            shared_vocab=shared_vocab,
            tie_output=tie_output,
            embedding_size=embedding_size,
            word_dropout=word_dropout,
        )
        shared_dim = 1 if variational_dropout else None  # the positions of (B, S, D) and (B, T, E)
        self.dropout = Dropout(dropout, shared_dim=shared_dim)
        self.embedding_dropout = Dropout(embedding_dropout, shared_dim=shared_dim)
        self.weight_dropout = WeightDropout(recurrent_dropout, num_gates=cell.num_gates)
        self.encoder = BidirectionalEncoder(
            cell=cell,
            input_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=self.dropout,
        )
        self.bridge = nn.Linear(hidden_size, cell.num_parts * num_layers * hidden_size)
        self.state_shape = (cell.num_parts, num_layers, hidden_size)

    @property
    def max_length(self) -> int | None:
        return None

    def encode_source(self, source: Tensor, source_mask: Tensor) -> tuple[Tensor, RecurrentState]:
        """The encoder's outputs (B, S, D), and the decoder's first state s_0 = tanh(W_s ←h_1) (Bahdanau, A.2.2).

        Here s_0 is computed from the last outputs of both directions, not of the backward one alone: without attention,
        this state is all the decoder ever learns about the source.
        """
        embedded = self.embedding_dropout(self.vocabulary.source(source))  # (B, S, E)
        outputs, summary = self.weight_dropout(self.encoder, embedded, source_mask)  # (B, S, D), (B, D)
        hidden, *others = self.bridge(summary).unflatten(-1, self.state_shape).unbind(1)  # each part (B, L, D)
        return outputs, RecurrentState((torch.tanh(hidden), *others))

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        memory = self.encode(source, source_mask)
        embedded = self.embedding_dropout(self.vocabulary.target(target_input))  # (B, T, E)
        outputs = self.weight_dropout(self.decoder, embedded, memory, record.slot("cross", 0))  # (B, T, E)
        return self.dropout(outputs)

    def encoder_outputs(self, source: Tensor, source_mask: Tensor) -> Tensor:
        return self.encode_source(source, source_mask)[0]  # (B, S, D)

    def start(self, memory: MemoryT) -> StateT:
        return self.decoder.start(memory)

    def step(self, token: Tensor, state: StateT, memory: MemoryT) -> tuple[Tensor, StateT]:
        output, state = self.decoder.step(self.vocabulary.target(token), state, memory)  # (A·K, E)
        return self.vocabulary.output(output), state  # (A·K, V)

    def prepare_for_decoding(self) -> None:
        super().prepare_for_decoding()
        if self.device.type == "cpu":
            for layer in self.decoder.modules():
                if isinstance(layer, nn.RNNBase):  # only the decoder's: the encoder's runs over all positions at once
                    store_by_columns(layer)
