"""The LSTM encoder-decoder with Luong's attention.

Luong, Pham, Manning (2015), https://arxiv.org/abs/1508.04025

Shapes: B batch, S source positions, T target positions, E embedding size, D hidden size; A·K hypotheses in a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.models.attention import Score
from nmt.models.recurrent.attentional import AttentionDecoder, AttentionMemory, AttentionSeq2Seq
from nmt.models.recurrent.cells import FusedLSTM, LSTMState, StackedCells
from nmt.models.seq2seq import State, StateT


class LuongDecoder(AttentionDecoder[StateT]):
    """Attention after the recurrence: the current state is the query, and the context enters the output (§3.1).

        a_t = softmax_s(score(h_t, h̄_s))              Eq. 7
        c_t = Σ_s a_ts h̄_s                            §3.1
        h̃_t = tanh(W_c [c_t; h_t])                    Eq. 5
        p(y_t) = softmax(W_s h̃_t)                     Eq. 6

    The two subclasses differ in the recurrence that computes h_t.
    """

    def __init__(self, *, score: Score, recurrence: nn.Module, hidden_size: int, embedding_size: int) -> None:
        super().__init__()
        self.score = score
        self.recurrence = recurrence
        self.readout = nn.Linear(2 * hidden_size, embedding_size, bias=False)  # W_c

    def output(self, hidden: Tensor, memory: AttentionMemory) -> tuple[Tensor, Tensor]:
        """The attentional vectors h̃_t (A·K, E) and the weights a_t (A·K, S) of states h_t (A·K, D)."""
        context, weights = self.attend(hidden, memory)  # (A·K, D), (A·K, S)
        return torch.tanh(self.readout(torch.cat([context, hidden], dim=-1))), weights  # (A·K, E), (A·K, S)


class IndependentAttentionDecoder(LuongDecoder[LSTMState]):
    """Without input feeding: h_t = LSTM(y_{t-1}, h_{t-1}), so each attention is independent of the ones before.

    Nothing flows from the attention into the recurrence. Therefore one fused LSTM call and one attention compute all
    target positions, which is faster than a loop.
    """

    recurrence: FusedLSTM

    def __init__(self, *, embedding_size: int, hidden_size: int, num_layers: int, score: Score, dropout: float) -> None:
        recurrence = FusedLSTM(
            input_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
        )
        super().__init__(score=score, recurrence=recurrence, hidden_size=hidden_size, embedding_size=embedding_size)

    def forward(self, embedded: Tensor, memory: AttentionMemory, record: list[Tensor] | None) -> Tensor:
        hidden = self.recurrence(embedded, memory.initial_state)  # h_1 … h_T, (B, T, D)
        output, weights = self.output(hidden.flatten(0, 1), memory)  # (B·T, E), (B·T, S)
        if record is not None:
            record.append(weights.view(len(embedded), 1, -1, weights.size(-1)))  # (B, 1, T, S)
        return output.view_as(embedded)  # (B, T, E)

    def start(self, memory: AttentionMemory) -> LSTMState:
        return memory.initial_state

    def step(self, embedded: Tensor, state: LSTMState, memory: AttentionMemory) -> tuple[Tensor, LSTMState]:
        state = self.recurrence.step(embedded, state)  # h_t
        output, _ = self.output(state.top, memory)  # (A·K, E)
        return output, state


@dataclass(frozen=True)
class InputFeedingState(State):
    """The LSTM's state, and the attentional vector h̃_{t-1} (A·K, E) that is fed into the next step."""

    lstm: LSTMState
    attentional: Tensor


class InputFeedingDecoder(LuongDecoder[InputFeedingState]):
    """With input feeding: h_t = LSTM([y_{t-1}; h̃_{t-1}], h_{t-1}) and h̃_0 = 0 (§3.3).

    The recurrence learns what was attended to before. Each position needs the attentional vector of the one before, so
    the target is computed in a loop.
    """

    recurrence: StackedCells

    def __init__(self, *, embedding_size: int, hidden_size: int, num_layers: int, score: Score, dropout: float) -> None:
        recurrence = StackedCells(
            input_size=embedding_size,
            feedback_size=embedding_size,  # the attentional vector
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        super().__init__(score=score, recurrence=recurrence, hidden_size=hidden_size, embedding_size=embedding_size)

    def forward(self, embedded: Tensor, memory: AttentionMemory, record: list[Tensor] | None) -> Tensor:
        state, outputs, weights = self.start(memory), [], []
        lstm, attentional = state.lstm, state.attentional
        for projected in self.recurrence.project_inputs(embedded).unbind(1):  # T × (B, 4 D)
            lstm = self.recurrence(projected, attentional, lstm)  # h_t
            attentional, step_weights = self.output(lstm.top, memory)  # h̃_t, (B, E), and a_t, (B, S)
            outputs.append(attentional)
            weights.append(step_weights)
        if record is not None:
            record.append(torch.stack(weights, 1).unsqueeze(1))  # (B, 1, T, S)
        return torch.stack(outputs, 1)  # (B, T, E)

    def start(self, memory: AttentionMemory) -> InputFeedingState:
        zeros = memory.values.new_zeros(memory.num_sentences, self.readout.out_features)  # h̃_0, (A, E)
        return InputFeedingState(memory.initial_state, zeros)

    def step(
        self, embedded: Tensor, state: InputFeedingState, memory: AttentionMemory
    ) -> tuple[Tensor, InputFeedingState]:
        lstm = self.recurrence(self.recurrence.project_inputs(embedded), state.attentional, state.lstm)  # h_t
        attentional, _ = self.output(lstm.top, memory)  # (A·K, E)
        return attentional, InputFeedingState(lstm, attentional)


class LuongLSTM(AttentionSeq2Seq[Any]):
    """The encoder-decoder of Luong et al. (2015); `LuongDecoder` has the equations.

    The type of the decoding state depends on input feeding.

    Args: those of AttentionSeq2Seq (`others` holds the ones that the decoder does not need), and
        score: how a query is compared with the source: DotScore, GeneralScore or AdditiveScore ("concat").
        input_feeding: feed h̃_{t-1}, whose size is embedding_size here, into step t.

    Raises:
        UserError: the score is not for vectors of hidden_size.
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
        encoder_dropout: float,
        **others: Any,
    ) -> None:
        sizes: dict[str, Any] = {
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "dropout": dropout,
        }
        super().__init__(**sizes, encoder_dropout=encoder_dropout, **others)
        if (score.query_size, score.value_size) != (hidden_size, hidden_size):
            raise UserError(
                f"the score compares {score.query_size} with {score.value_size} numbers: "
                f"its query_size and value_size must be hidden_size={hidden_size}"
            )
        decoder_class = InputFeedingDecoder if input_feeding else IndependentAttentionDecoder
        self.decoder = decoder_class(**sizes, score=score)
