"""The recurrent encoder-decoder with Luong's attention.

Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025

Shapes: B batch, S source positions, T target positions, E embedding size, D hidden size; A·K hypotheses in a step; G
gates of the cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.models.attention import Score, Span
from nmt.models.recurrent.attentional import (
    AttentionDecoder,
    AttentionHistory,
    AttentionMemory,
    AttentionSeq2Seq,
    AttentionState,
)
from nmt.models.recurrent.cells import Cell
from nmt.models.recurrent.decoder_cells import FusedCells, StackedCells
from nmt.models.seq2seq import StateT


class LuongDecoder(AttentionDecoder[StateT]):
    """Attention after the recurrence: the current state is the query, and the context enters the output (§3.1).

        a_t = softmax_s(score(h_t, h̄_s))              Eq. 7
        c_t = Σ_s a_ts h̄_s                            §3.1
        h̃_t = tanh(W_c [c_t; h_t])                    Eq. 5
        p(y_t) = softmax(W_s h̃_t)                     Eq. 6

    The two subclasses differ in the recurrence that computes h_t.
    """

    def __init__(
        self, *, score: Score, span: Span, recurrence: nn.Module, hidden_size: int, embedding_size: int
    ) -> None:
        super().__init__()
        self.score = score
        self.span = span
        self.recurrence = recurrence
        self.readout = nn.Linear(2 * hidden_size, embedding_size, bias=False)  # W_c

    def output(self, hidden: Tensor, memory: AttentionMemory, history: AttentionHistory) -> tuple[Tensor, Tensor]:
        """The attentional vectors h̃_t (A·K, E) and the weights a_t (A·K, S) of states h_t (A·K, D)."""
        context, weights = self.attend(hidden, memory, history)  # (A·K, D), (A·K, S)
        return torch.tanh(self.readout(torch.cat([context, hidden], dim=-1))), weights  # (A·K, E), (A·K, S)


class IndependentAttentionDecoder(LuongDecoder[AttentionState]):
    """Without input feeding: h_t = f(y_{t-1}, h_{t-1}), f being the cell, so the attentions are independent.

    Nothing flows from the attention into the recurrence. Therefore one fused call of the cells and one attention
    compute all target positions, which is faster than a loop.
    """

    recurrence: FusedCells

    def __init__(
        self,
        *,
        cell: Cell,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        score: Score,
        span: Span,
        dropout: float,
    ) -> None:
        if score.uses_coverage:
            raise UserError(
                f"{type(score).__name__} needs the weights of the positions before, but without input feeding all "
                "positions attend at once: set model.input_feeding=true"
            )
        recurrence = FusedCells(
            cell=cell, input_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
        )
        super().__init__(
            score=score, span=span, recurrence=recurrence, hidden_size=hidden_size, embedding_size=embedding_size
        )

    def forward(self, embedded: Tensor, memory: AttentionMemory, record: list[Tensor] | None) -> Tensor:
        hidden = self.recurrence(embedded, memory.initial_state)  # h_1 … h_T, (B, T, D)
        batch_size, length, _ = hidden.shape
        position = torch.arange(length, device=hidden.device).repeat(batch_size) if self.span.uses_position else None
        history = AttentionHistory(position, coverage=None)  # of every target position, (B·T,)
        output, weights = self.output(hidden.flatten(0, 1), memory, history)  # (B·T, E), (B·T, S)
        if record is not None:
            record.append(self.by_heads(weights.view(batch_size, length, *weights.shape[1:])))  # (B, H, T, S)
        return output.view_as(embedded)  # (B, T, E)

    def start(self, memory: AttentionMemory) -> AttentionState:
        return AttentionState(memory.initial_state, self.start_history(memory))

    def step(self, embedded: Tensor, state: AttentionState, memory: AttentionMemory) -> tuple[Tensor, AttentionState]:
        recurrent = self.recurrence.step(embedded, state.recurrent)  # h_t
        output, weights = self.output(recurrent.top, memory, state.history)  # (A·K, E), (A·K, S)
        return output, AttentionState(recurrent, state.history.after(weights))


@dataclass(frozen=True)
class InputFeedingState(AttentionState):
    """Also the attentional vector h̃_{t-1} (A·K, E), which is fed into the next step."""

    attentional: Tensor


class InputFeedingDecoder(LuongDecoder[InputFeedingState]):
    """With input feeding: h_t = f([y_{t-1}; h̃_{t-1}], h_{t-1}) and h̃_0 = 0 (§3.3).

    The recurrence learns what was attended to before. Each position needs the attentional vector of the one before, so
    the target is computed in a loop.
    """

    recurrence: StackedCells

    def __init__(
        self,
        *,
        cell: Cell,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        score: Score,
        span: Span,
        dropout: float,
    ) -> None:
        recurrence = StackedCells(
            cell=cell,
            input_size=embedding_size,
            feedback_size=embedding_size,  # the attentional vector
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        super().__init__(
            score=score, span=span, recurrence=recurrence, hidden_size=hidden_size, embedding_size=embedding_size
        )

    def forward(self, embedded: Tensor, memory: AttentionMemory, record: list[Tensor] | None) -> Tensor:
        state, outputs, weights = self.start(memory), [], []
        recurrent, history, attentional = state.recurrent, state.history, state.attentional
        for projected in self.recurrence.project_inputs(embedded).unbind(1):  # T × (B, G·D)
            recurrent = self.recurrence(projected, attentional, recurrent)  # h_t
            attentional, step_weights = self.output(recurrent.top, memory, history)  # h̃_t, (B, E), and a_t, (B, S)
            history = history.after(step_weights)
            outputs.append(attentional)
            weights.append(step_weights)
        if record is not None:
            record.append(self.by_heads(torch.stack(weights, 1)))  # (B, H, T, S)
        return torch.stack(outputs, 1)  # (B, T, E)

    def start(self, memory: AttentionMemory) -> InputFeedingState:
        zeros = memory.values.new_zeros(memory.num_sentences, self.readout.out_features)  # h̃_0, (A, E)
        return InputFeedingState(memory.initial_state, self.start_history(memory), zeros)

    def step(
        self, embedded: Tensor, state: InputFeedingState, memory: AttentionMemory
    ) -> tuple[Tensor, InputFeedingState]:
        projected = self.recurrence.project_inputs(embedded)  # (A·K, G·D)
        recurrent = self.recurrence(projected, state.attentional, state.recurrent)  # h_t
        attentional, weights = self.output(recurrent.top, memory, state.history)  # (A·K, E), (A·K, S)
        return attentional, InputFeedingState(recurrent, state.history.after(weights), attentional)


class LuongRNN(AttentionSeq2Seq[Any]):
    """The encoder-decoder of Luong et al. (2015); `LuongDecoder` has the equations.

    The type of the decoding state depends on input feeding.

    Args: those of AttentionSeq2Seq (`others` holds the ones that the decoder does not need), and
        input_feeding: feed h̃_{t-1}, whose size is embedding_size here, into step t.

    Raises:
        UserError: the score needs input feeding.
    """

    def __init__(
        self,
        *,
        cell: Cell,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        score: Score,
        span: Span,
        input_feeding: bool,
        dropout: float,
        **others: Any,
    ) -> None:
        parts: dict[str, Any] = {
            "cell": cell,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "score": score,
            "span": span,
            "dropout": dropout,
        }
        super().__init__(**parts, **others)
        decoder_class = InputFeedingDecoder if input_feeding else IndependentAttentionDecoder
        self.decoder = decoder_class(**parts)
