"""The recurrent encoder-decoders, as a loop over `nn.LSTMCell`.

Every step computes the keys again and applies the output layer.

Shapes: B batch, S source positions, T target positions, V target vocabulary, E embedding size, D hidden size, L layers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.models.attention import NO_RECORD, AttentionRecord, GlobalSpan
from nmt.models.embedding import Vocabulary
from nmt.models.recurrent import LSTMCell
from nmt.models.seq2seq import Memory, Seq2Seq, State


class DotScore(nn.Module):
    """score(h_t, h̄_s) = h_tᵀ h̄_s (Luong et al., 2015, §3.1, dot)."""

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__()

    def forward(self, query: Tensor, values: Tensor) -> Tensor:
        """Scores (B, S) of a query (B, D) against values (B, S, D)."""
        return torch.bmm(values, query.unsqueeze(2)).squeeze(2)  # (B, S)


class GeneralScore(nn.Module):
    """score(h_t, h̄_s) = h_tᵀ W_a h̄_s (Luong et al., 2015, §3.1, general)."""

    def __init__(self, *, query_size: int, value_size: int) -> None:
        super().__init__()
        self.key_projection = nn.Linear(value_size, query_size, bias=False)

    def forward(self, query: Tensor, values: Tensor) -> Tensor:
        return torch.bmm(self.key_projection(values), query.unsqueeze(2)).squeeze(2)  # (B, S)


class AdditiveScore(nn.Module):
    """score(s, h_j) = v_aᵀ tanh(W_a s + U_a h_j) (Bahdanau et al., 2015, A.1.2; Luong's "concat")."""

    def __init__(self, *, query_size: int, value_size: int, attention_size: int) -> None:
        super().__init__()
        self.query_projection = nn.Linear(query_size, attention_size, bias=False)
        self.key_projection = nn.Linear(value_size, attention_size, bias=False)
        self.energy = nn.Linear(attention_size, 1, bias=False)

    def forward(self, query: Tensor, values: Tensor) -> Tensor:
        queries, keys = self.query_projection(query), self.key_projection(values)  # (B, ·), (B, S, ·)
        hidden = torch.tanh(queries.unsqueeze(1) + keys)  # (B, S, attention_size)
        return self.energy(hidden).squeeze(2)  # (B, S)


@dataclass(frozen=True)
class EncodedMemory(Memory):
    """The encoded source."""

    values: Tensor  # (B, S, D), the encoder's outputs
    bridged: Tensor  # (B, 2 L D), the decoder's first hidden and cell states


@dataclass(frozen=True)
class LoopState(State):
    """The decoder's state."""

    hidden: tuple[Tensor, ...]  # L × (B, D)
    cell: tuple[Tensor, ...]  # L × (B, D)
    fed_back: Tensor  # (B, feedback_size), the last decoder output with input feeding, otherwise unused


class Recurrent(Seq2Seq[EncodedMemory, LoopState], ABC):
    """What the three architectures share. A subclass defines the feedback into the cells and the decoder output.

    Masks are never shared between positions, and recurrent weights are not dropped.
    """

    score: nn.Module

    def __init__(
        self,
        *,
        cell: LSTMCell,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        embedding_dropout: float,
        variational_dropout: bool,
        recurrent_dropout: float,
        feedback_size: int,
        **vocabulary: Any,
    ) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(embedding_size=embedding_size, **vocabulary)
        self.encoder = nn.LSTM(
            embedding_size,
            hidden_size // 2,
            num_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.bridge = nn.Linear(hidden_size, 2 * num_layers * hidden_size)
        sizes = [embedding_size + feedback_size] + [hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(size, hidden_size) for size in sizes)
        self.dropout = nn.Dropout(dropout)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.encoder_dropout = nn.Dropout(0.0)
        self.feedback_size = feedback_size

    @property
    def max_length(self) -> int | None:
        return None

    def forward(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        memory = self.encode(source, source_mask)
        state, logits = self.start(memory), []
        for token in target_input.unbind(1):  # T × (B,)
            step_logits, state = self.step(token, state, memory)
            logits.append(step_logits)
        return torch.stack(logits, 1)  # (B, T, V)

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        raise NotImplementedError("the output layer is applied in every step: see `forward`")

    def encode(self, source: Tensor, source_mask: Tensor) -> EncodedMemory:
        embedded = self.embedding_dropout(self.vocabulary.source(source))  # (B, S, E)
        packed = pack_padded_sequence(embedded, source_mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        outputs, (hidden, _) = self.encoder(packed)  # hidden: (2 L, B, D/2)
        values, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.size(1))  # (B, S, D)
        summary = torch.cat([hidden[-2], hidden[-1]], dim=1)  # (B, D), both directions of the top layer
        return EncodedMemory(source_mask, self.encoder_dropout(values), self.bridge(summary))

    def start(self, memory: EncodedMemory) -> LoopState:
        states = memory.bridged.chunk(2 * len(self.cells), dim=1)  # 2 L × (B, D)
        hidden = tuple(torch.tanh(state) for state in states[: len(self.cells)])
        fed_back = memory.bridged.new_zeros(memory.num_sentences, self.feedback_size)  # (B, feedback_size)
        return LoopState(hidden, states[len(self.cells) :], fed_back)

    def step(self, token: Tensor, state: LoopState, memory: EncodedMemory) -> tuple[Tensor, LoopState]:
        memory = memory.repeated(len(token))
        embedded = self.embedding_dropout(self.vocabulary.target(token))  # (B, E)
        feedback = self.feedback(state, memory)  # (B, feedback_size)
        inputs = torch.cat([embedded, feedback], dim=1)  # (B, E + feedback_size)
        hidden, cell = [], []
        for layer, lstm_cell in enumerate(self.cells):
            new_hidden, new_cell = lstm_cell(inputs, (state.hidden[layer], state.cell[layer]))  # 2 × (B, D)
            hidden.append(new_hidden)
            cell.append(new_cell)
            inputs = self.dropout(new_hidden)
        output = self.decoder_output(hidden[-1], embedded, feedback, memory)  # (B, E)
        logits = self.vocabulary.output(self.dropout(output))  # (B, V)
        fed_back = output if self.feedback_size == output.size(1) else state.fed_back  # used by Luong's input feeding
        return logits, LoopState(tuple(hidden), tuple(cell), fed_back)

    def attend(self, query: Tensor, memory: EncodedMemory) -> Tensor:
        """The context (B, D) of a query (B, D)."""
        scores = self.score(query, memory.values).masked_fill(~memory.source_mask, -math.inf)  # (B, S)
        return torch.bmm(torch.softmax(scores, dim=1).unsqueeze(1), memory.values).squeeze(1)  # (B, D)

    def feedback(self, state: LoopState, memory: EncodedMemory) -> Tensor:
        """The second part (B, feedback_size) of the cells' input, beside the embedding."""
        return state.fed_back

    @abstractmethod
    def decoder_output(self, hidden: Tensor, embedded: Tensor, feedback: Tensor, memory: EncodedMemory) -> Tensor:
        """The vector (B, E) from which the output layer predicts."""


class PlainRNN(Recurrent):
    """Without attention, with the arguments of `nmt.models.PlainRNN`."""

    def __init__(self, *, embedding_size: int, hidden_size: int, **others: Any) -> None:
        super().__init__(embedding_size=embedding_size, hidden_size=hidden_size, feedback_size=0, **others)
        self.readout = nn.Linear(hidden_size, embedding_size)

    def decoder_output(self, hidden: Tensor, embedded: Tensor, feedback: Tensor, memory: EncodedMemory) -> Tensor:
        return torch.tanh(self.readout(hidden))


class BahdanauRNN(Recurrent):
    """With Bahdanau's attention, with the arguments of `nmt.models.BahdanauRNN`."""

    def __init__(
        self,
        *,
        embedding_size: int,
        hidden_size: int,
        score: nn.Module,
        span: GlobalSpan,
        encoder_dropout: float,
        **others: Any,
    ) -> None:
        super().__init__(embedding_size=embedding_size, hidden_size=hidden_size, feedback_size=hidden_size, **others)
        self.encoder_dropout.p = encoder_dropout
        self.score = score
        self.readout = nn.Linear(2 * hidden_size + embedding_size, embedding_size)

    def feedback(self, state: LoopState, memory: EncodedMemory) -> Tensor:
        return self.attend(state.hidden[-1], memory)

    def decoder_output(self, hidden: Tensor, embedded: Tensor, feedback: Tensor, memory: EncodedMemory) -> Tensor:
        return torch.tanh(self.readout(torch.cat([hidden, embedded, feedback], dim=1)))


class LuongRNN(Recurrent):
    """With Luong's attention, with the arguments of `nmt.models.LuongRNN`."""

    def __init__(
        self,
        *,
        embedding_size: int,
        hidden_size: int,
        score: nn.Module,
        span: GlobalSpan,
        input_feeding: bool,
        encoder_dropout: float,
        **others: Any,
    ) -> None:
        feedback_size = embedding_size if input_feeding else 0
        super().__init__(embedding_size=embedding_size, hidden_size=hidden_size, feedback_size=feedback_size, **others)
        self.encoder_dropout.p = encoder_dropout
        self.score = score
        self.readout = nn.Linear(2 * hidden_size, embedding_size, bias=False)

    def decoder_output(self, hidden: Tensor, embedded: Tensor, feedback: Tensor, memory: EncodedMemory) -> Tensor:
        return torch.tanh(self.readout(torch.cat([self.attend(hidden, memory), hidden], dim=1)))
