"""The LSTM encoder-decoder with Bahdanau's attention.

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473

Shapes: B batch, S source positions, T target positions, E embedding size, D hidden size; A·K hypotheses in a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nmt.models.attention import AdditiveScore
from nmt.models.recurrent.attentional import AttentionDecoder, AttentionMemory, AttentionSeq2Seq
from nmt.models.recurrent.cells import LSTMState, StackedCells


class BahdanauDecoder(AttentionDecoder[LSTMState]):
    """Attention before the recurrence: the previous state is the query, and the context enters the next state.

    α_ij = softmax_j(v_aᵀ tanh(W_a s_{i-1} + U_a h_j))     Eq. 6 and A.1.2
    c_i  = Σ_j α_ij h_j                                    Eq. 5
    s_i  = f(s_{i-1}, y_{i-1}, c_i)                        §3.1, f is an LSTM here
    p(y_i) = g(y_{i-1}, s_i, c_i)                          Eq. 4, g is one tanh layer and the softmax
    """

    def __init__(
        self, *, embedding_size: int, hidden_size: int, num_layers: int, attention_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.score = AdditiveScore(query_size=hidden_size, value_size=hidden_size, attention_size=attention_size)
        self.recurrence = StackedCells(
            input_size=embedding_size,
            feedback_size=hidden_size,  # the context
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        self.readout = nn.Linear(hidden_size + embedding_size + hidden_size, embedding_size)  # the layer of g

    def forward(self, embedded: Tensor, memory: AttentionMemory, record: list[Tensor] | None) -> Tensor:
        state, hidden, contexts, weights = self.start(memory), [], [], []
        for projected in self.recurrence.project_inputs(embedded).unbind(1):  # T × (B, 4 D)
            context, step_weights = self.attend(state.top, memory)  # c_i, (B, D), and α_i, (B, S)
            state = self.recurrence(projected, context, state)  # s_i
            hidden.append(state.top)
            contexts.append(context)
            weights.append(step_weights)
        if record is not None:
            record.append(torch.stack(weights, 1).unsqueeze(1))  # (B, 1, T, S)
        # The readout layer is outside the loop: one product for all positions is faster.
        return self.output(torch.stack(hidden, 1), embedded, torch.stack(contexts, 1))  # (B, T, E)

    def start(self, memory: AttentionMemory) -> LSTMState:
        return memory.initial_state

    def step(self, embedded: Tensor, state: LSTMState, memory: AttentionMemory) -> tuple[Tensor, LSTMState]:
        context, _ = self.attend(state.top, memory)  # (A·K, D)
        state = self.recurrence(self.recurrence.project_inputs(embedded), context, state)
        return self.output(state.top, embedded, context), state  # (A·K, E)

    def output(self, hidden: Tensor, embedded: Tensor, context: Tensor) -> Tensor:
        """Decoder outputs (…, E), the tanh layer of g(y_{i-1}, s_i, c_i), from (…, D), (…, E) and (…, D)."""
        return torch.tanh(self.readout(torch.cat([hidden, embedded, context], dim=-1)))  # (…, E)


class BahdanauLSTM(AttentionSeq2Seq[LSTMState]):
    """The encoder-decoder of Bahdanau et al. (2015); `BahdanauDecoder` has the equations.

    Args: those of AttentionSeq2Seq (`others` holds the ones that the decoder does not need), and
        attention_size: size of the score's hidden layer.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        attention_size: int,
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
        self.decoder = BahdanauDecoder(**sizes, attention_size=attention_size)
