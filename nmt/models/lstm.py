"""The recurrent encoder-decoders: no attention, Bahdanau's and Luong's.

Sutskever, Vinyals, Le (2014), https://arxiv.org/abs/1409.3215
Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473
Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025

All three read the source with one bidirectional encoder and use LSTM cells (Bahdanau's paper used gated recurrent
units), so that what differs between them is the attention alone.

Shapes: B batch, S source positions, T target positions, V target vocabulary, E embedding size, D hidden size, L layers;
while decoding, A sentences and K hypotheses of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.models.attention import AdditiveScore, Score, attend
from nmt.models.recurrent import FusedDecoder, LSTMState, RecurrentSeq2Seq, StackedCells
from nmt.models.seq2seq import Compiler, Memory, Readouts, State, StepOutput

Position = Callable[..., tuple[Tensor, Tensor, Tensor]]
"""One target position further, of tensors and a memory; gives what is kept of it, and the two tensors of the state."""


@dataclass(frozen=True)
class VectorMemory(Memory):
    """The fixed vector: all that a decoder without attention gets of the source."""

    first: LSTMState


@dataclass(frozen=True)
class RecurrentState(State):
    """The LSTM's state, and Luong's attentional vector h̃_{t-1} (B, E) where it is fed back."""

    lstm: LSTMState
    attentional: Tensor | None


class LSTM(RecurrentSeq2Seq):
    """No attention: the source becomes one fixed vector, from which the decoder starts (Sutskever et al., 2014, §2)."""

    def __init__(self, *, embedding_size: int, hidden_size: int, num_layers: int, dropout: float, **vocabulary: Any):
        super().__init__(
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            **vocabulary,
        )
        self.decoder = FusedDecoder(
            input_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
        )
        self.readout = nn.Linear(hidden_size, embedding_size)

    def encode(self, source: Tensor, source_mask: Tensor) -> VectorMemory:
        _, first = self.read(source, source_mask)
        return VectorMemory(source_mask, first)

    def start(self, memory: VectorMemory) -> RecurrentState:  # type: ignore[override]
        return RecurrentState(memory.first, None)

    def decoder_outputs(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        _, first = self.read(source, source_mask)
        outputs, _ = self.decoder(self.embed(target_input), first)  # (B, T, D)
        return self.drop(torch.tanh(self.readout(outputs)))  # (B, T, E)

    def step(
        self, token: Tensor, state: RecurrentState, memory: VectorMemory, *, need_attention: bool = False
    ) -> StepOutput:
        lstm = self.decoder.step(self.embed(token), state.lstm)
        logits = self.predict(torch.tanh(self.readout(lstm.top)))  # (B, V)
        return StepOutput(logits, None, RecurrentState(lstm, None))


@dataclass(frozen=True)
class AttentionMemory(Memory):
    """The encoder's outputs h_j, what of them is compared, and the decoder's first state."""

    values: Tensor  # (B, S, D)
    keys: Tensor  # (B, S, ·), made once per sentence by the score
    first: LSTMState


class BahdanauLSTM(RecurrentSeq2Seq):
    """Attention before the step (Bahdanau et al., 2015): the previous state asks, the answer feeds the recurrence.

        α_ij = softmax_j(v_aᵀ tanh(W_a s_{i-1} + U_a h_j))     Eq. 6 and A.1.2
        c_i  = Σ_j α_ij h_j                                    Eq. 5
        s_i  = f(s_{i-1}, y_{i-1}, c_i)                        §3.1, f an LSTM
        p(y_i) = g(y_{i-1}, s_i, c_i)                          Eq. 4, g one tanh layer and the softmax

    Args (besides those of RecurrentSeq2Seq):
        attention_size: of the score's hidden layer.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        attention_size: int,
        dropout: float,
        **vocabulary: Any,
    ) -> None:
        super().__init__(
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            **vocabulary,
        )
        self.score = AdditiveScore(query_size=hidden_size, value_size=hidden_size, attention_size=attention_size)
        self.cells = StackedCells(
            input_size=embedding_size,
            feedback_size=hidden_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        self.readout = nn.Linear(hidden_size + embedding_size + hidden_size, embedding_size)

    def encode(self, source: Tensor, source_mask: Tensor) -> AttentionMemory:
        values, first = self.read(source, source_mask)
        return AttentionMemory(source_mask, values, self.score.keys(values), first)

    def start(self, memory: AttentionMemory) -> RecurrentState:  # type: ignore[override]
        return RecurrentState(memory.first, None)

    def advance(self, prepared: Tensor, lstm: LSTMState, memory: AttentionMemory) -> tuple[Tensor, Tensor, LSTMState]:
        """From prepared gates (A·K, 4 D): the context c_i (A·K, D), the weights (A·K, S) and the state s_i."""
        query = lstm.top.view(memory.keys.size(0), -1, lstm.top.size(-1))  # (A, K, D)
        scores = self.score(query, memory.keys)  # (A, K, S)
        context, weights = attend(scores, memory.values, memory.source_mask)  # (A, K, D), (A, K, S)
        context = context.flatten(0, 1)  # (A·K, D)
        return context, weights.flatten(0, 1), self.cells(prepared, context, lstm)

    def combine(self, hidden: Tensor, embedded: Tensor, context: Tensor) -> Tensor:
        """The tanh layer of g(y_{i-1}, s_i, c_i), (…, E)."""
        return torch.tanh(self.readout(torch.cat([hidden, embedded, context], dim=-1)))

    def position(
        self, prepared: Tensor, hidden: Tensor, cell: Tensor, memory: AttentionMemory
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`advance` as a compiler can return it: the context c_i (B, D), and the two tensors of the state s_i."""
        context, _, lstm = self.advance(prepared, LSTMState(hidden, cell), memory)
        return context, lstm.hidden, lstm.cell

    def unrolled(self, position: Position, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """The decoder_outputs, by `position` or what computes the same, for one position after the other."""
        memory = self.encode(source, source_mask)
        embedded = self.embed(target_input)  # (B, T, E)
        hidden, cell = memory.first.hidden, memory.first.cell
        hiddens, contexts = [], []
        for prepared in self.cells.prepare(embedded).unbind(1):  # T × (B, 4 D)
            context, hidden, cell = position(prepared, hidden, cell, memory)
            hiddens.append(hidden[:, -1])
            contexts.append(context)
        decoder_outputs = self.combine(torch.stack(hiddens, 1), embedded, torch.stack(contexts, 1))  # (B, T, E)
        return self.drop(decoder_outputs)

    def decoder_outputs(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        return self.unrolled(self.position, source, source_mask, target_input)

    def compiled_readouts(self, compiler: Compiler) -> Readouts:
        return partial(self.unrolled, compiler(self.position))

    def step(
        self, token: Tensor, state: RecurrentState, memory: AttentionMemory, *, need_attention: bool = False
    ) -> StepOutput:
        embedded = self.embed(token)  # (B, E)
        context, weights, lstm = self.advance(self.cells.prepare(embedded), state.lstm, memory)
        logits = self.predict(self.combine(lstm.top, embedded, context))  # (B, V)
        return StepOutput(logits, weights if need_attention else None, RecurrentState(lstm, None))


class LuongLSTM(RecurrentSeq2Seq):
    """Attention after the step (Luong et al., 2015, §3.1): the current state asks, the answer goes to the output.

        h_t = LSTM(y_{t-1}, h_{t-1}), with input feeding LSTM([y_{t-1}; h̃_{t-1}], h_{t-1})     §3.3
        a_t = softmax_s(score(h_t, h̄_s))                                                       Eq. 7
        h̃_t = tanh(W_c [c_t; h_t])                                                             Eq. 5
        p(y_t) = softmax(W_s h̃_t)                                                              Eq. 6

    Without input feeding nothing flows from the attention into the recurrence, and the whole target runs through one
    fused LSTM call and one attention over all steps.

    Args (besides those of RecurrentSeq2Seq):
        score: how the query is compared: DotScore, GeneralScore or AdditiveScore ("concat").
        input_feeding: h̃_{t-1}, here of embedding_size, joins the next input.

    Raises:
        ValueError: the score is made for other sizes than hidden_size.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        score: Score,
        input_feeding: bool,
        dropout: float,
        **vocabulary: Any,
    ) -> None:
        super().__init__(
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            **vocabulary,
        )
        if (score.query_size, score.value_size) != (hidden_size, hidden_size):
            raise UserError(
                f"the score compares {score.query_size} with {score.value_size} numbers: "
                f"its query_size and value_size must be hidden_size={hidden_size}"
            )
        self.score = score
        self.decoder: FusedDecoder | StackedCells
        if input_feeding:
            self.decoder = StackedCells(
                input_size=embedding_size,
                feedback_size=embedding_size,
                hidden_size=hidden_size,
                num_layers=num_layers,
                dropout=dropout,
            )
        else:
            self.decoder = FusedDecoder(
                input_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
            )
        self.combine = nn.Linear(2 * hidden_size, embedding_size, bias=False)  # W_c

    def encode(self, source: Tensor, source_mask: Tensor) -> AttentionMemory:
        values, first = self.read(source, source_mask)
        return AttentionMemory(source_mask, values, self.score.keys(values), first)

    def start(self, memory: AttentionMemory) -> RecurrentState:  # type: ignore[override]
        rows = memory.values.size(0)
        feeds = isinstance(self.decoder, StackedCells)
        return RecurrentState(memory.first, memory.values.new_zeros(rows, self.combine.out_features) if feeds else None)

    def look(self, hidden: Tensor, memory: AttentionMemory) -> tuple[Tensor, Tensor]:
        """From states h_t (B, T, D): the attentional vectors h̃_t (B, T, E) and the weights (B, T, S)."""
        scores = self.score(hidden, memory.keys)  # (B, T, S)
        context, weights = attend(scores, memory.values, memory.source_mask)  # (B, T, D), (B, T, S)
        return torch.tanh(self.combine(torch.cat([context, hidden], dim=-1))), weights

    def position(
        self, prepared: Tensor, attentional: Tensor, hidden: Tensor, cell: Tensor, memory: AttentionMemory
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One target position further, as a compiler can return it: h̃_t (B, E), and the two tensors of the state."""
        lstm: LSTMState = self.decoder(prepared, attentional, LSTMState(hidden, cell))
        looked, _ = self.look(lstm.top.unsqueeze(1), memory)  # (B, 1, E)
        return looked.squeeze(1), lstm.hidden, lstm.cell

    def unrolled(self, position: Position, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        """The decoder_outputs, by `position` or what computes the same, for one position after the other."""
        assert isinstance(self.decoder, StackedCells)
        memory = self.encode(source, source_mask)
        attentional, hidden, cell = self.start(memory).attentional, memory.first.hidden, memory.first.cell
        attentionals = []
        for prepared in self.decoder.prepare(self.embed(target_input)).unbind(1):  # T × (B, 4 D)
            attentional, hidden, cell = position(prepared, attentional, hidden, cell, memory)
            attentionals.append(attentional)
        return self.drop(torch.stack(attentionals, 1))  # (B, T, E)

    def decoder_outputs(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        if isinstance(self.decoder, StackedCells):
            return self.unrolled(self.position, source, source_mask, target_input)
        memory = self.encode(source, source_mask)
        hidden, _ = self.decoder(self.embed(target_input), memory.first)  # (B, T, D)
        return self.drop(self.look(hidden, memory)[0])  # (B, T, E)

    def compiled_readouts(self, compiler: Compiler) -> Readouts:
        if isinstance(self.decoder, StackedCells):
            return partial(self.unrolled, compiler(self.position))
        return self.decoder_outputs

    def step(
        self, token: Tensor, state: RecurrentState, memory: AttentionMemory, *, need_attention: bool = False
    ) -> StepOutput:
        embedded = self.embed(token)  # (B, E)
        if isinstance(self.decoder, FusedDecoder):
            lstm = self.decoder.step(embedded, state.lstm)
        else:
            lstm = self.decoder(self.decoder.prepare(embedded), state.attentional, state.lstm)
        query = lstm.top.view(memory.keys.size(0), -1, lstm.top.size(-1))  # (A, K, D)
        looked, weights = self.look(query, memory)  # (A, K, E), (A, K, S)
        attentional = looked.flatten(0, 1)  # (A·K, E)
        fed_back = attentional if state.attentional is not None else None
        logits = self.predict(attentional)  # (A·K, V)
        return StepOutput(logits, weights.flatten(0, 1) if need_attention else None, RecurrentState(lstm, fed_back))
