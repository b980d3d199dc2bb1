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
from nmt.models.seq2seq import State


@dataclass(frozen=True)
class LuongState(State):
    """The LSTM's state and, with input feeding, the last attentional vector h̃_{t-1} (A·K, E)."""

    lstm: LSTMState
    attentional: Tensor | None


class LuongDecoder(AttentionDecoder[LuongState]):
    """Attention after the recurrence: the current state is the query, and the context enters the output (§3.1).

        h_t = LSTM(y_{t-1}, h_{t-1}), or with input feeding LSTM([y_{t-1}; h̃_{t-1}], h_{t-1})    §3.3
        a_t = softmax_s(score(h_t, h̄_s))                                                         Eq. 7
        c_t = Σ_s a_ts h̄_s                                                                       §3.1
        h̃_t = tanh(W_c [c_t; h_t])                                                               Eq. 5
        p(y_t) = softmax(W_s h̃_t)                                                                Eq. 6

    Without input feeding, nothing flows from the attention into the recurrence. Then one fused LSTM call and one
    attention compute all target positions, which is faster than the loop.
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
    ) -> None:
        super().__init__()
        self.score = score
        sizes = {"input_size": embedding_size, "hidden_size": hidden_size, "num_layers": num_layers}
        self.recurrence: FusedLSTM | StackedCells
        if input_feeding:
            self.recurrence = StackedCells(**sizes, feedback_size=embedding_size, dropout=dropout)
        else:
            self.recurrence = FusedLSTM(**sizes, dropout=dropout)
        self.readout = nn.Linear(2 * hidden_size, embedding_size, bias=False)  # W_c

    def forward(self, embedded: Tensor, memory: AttentionMemory) -> Tensor:
        if isinstance(self.recurrence, FusedLSTM):  # without input feeding: all positions at once
            hidden = self.recurrence(embedded, memory.initial_state)  # (B, T, D)
            output, _ = self.output(hidden.flatten(0, 1), memory)  # (B·T, E)
            return output.view_as(embedded)  # (B, T, E)
        # With input feeding: each position needs the attentional vector of the one before.
        state, outputs = self.start(memory), []
        lstm, attentional = state.lstm, state.attentional
        for projected in self.recurrence.project_inputs(embedded).unbind(1):  # T × (B, 4 D)
            lstm = self.recurrence(projected, attentional, lstm)  # h_t
            attentional, _ = self.output(lstm.top, memory)  # h̃_t, (B, E)
            outputs.append(attentional)
        return torch.stack(outputs, 1)  # (B, T, E)

    def start(self, memory: AttentionMemory) -> LuongState:
        attentional = None
        if isinstance(self.recurrence, StackedCells):  # with input feeding, h̃_0 = 0
            attentional = memory.values.new_zeros(memory.num_sentences, self.readout.out_features)  # (A, E)
        return LuongState(memory.initial_state, attentional)

    def step(self, embedded: Tensor, state: LuongState, memory: AttentionMemory) -> tuple[Tensor, Tensor, LuongState]:
        if isinstance(self.recurrence, FusedLSTM):
            lstm = self.recurrence.step(embedded, state.lstm)
        else:
            lstm = self.recurrence(self.recurrence.project_inputs(embedded), state.attentional, state.lstm)
        output, weights = self.output(lstm.top, memory)  # (A·K, E), (A·K, S)
        return output, weights, LuongState(lstm, None if state.attentional is None else output)

    def output(self, hidden: Tensor, memory: AttentionMemory) -> tuple[Tensor, Tensor]:
        """The attentional vectors h̃_t (A·K, E) and the weights a_t (A·K, S) of states h_t (A·K, D)."""
        context, weights = self.attend(hidden, memory)  # (A·K, D), (A·K, S)
        return torch.tanh(self.readout(torch.cat([context, hidden], dim=-1))), weights  # (A·K, E), (A·K, S)


class LuongLSTM(AttentionSeq2Seq[LuongState]):
    """The encoder-decoder of Luong et al. (2015); `LuongDecoder` has the equations.

    Args: those of RecurrentSeq2Seq (`vocabulary` holds the ones that only its `Vocabulary` needs), and
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
        **vocabulary: Any,
    ) -> None:
        sizes: dict[str, Any] = {
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "dropout": dropout,
        }
        super().__init__(**sizes, **vocabulary)
        if (score.query_size, score.value_size) != (hidden_size, hidden_size):
            raise UserError(
                f"the score compares {score.query_size} with {score.value_size} numbers: "
                f"its query_size and value_size must be hidden_size={hidden_size}"
            )
        self.decoder = LuongDecoder(**sizes, score=score, input_feeding=input_feeding)
