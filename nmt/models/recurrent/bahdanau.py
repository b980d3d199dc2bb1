"""The recurrent encoder-decoder with Bahdanau's attention.

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473

Shapes: B batch, S source positions, T target positions, E embedding size, D hidden size; A·K hypotheses in a step; G
gates of the cell.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nmt.models.attention import Score, Span
from nmt.models.recurrent.attentional import AttentionDecoder, AttentionMemory, AttentionSeq2Seq, AttentionState
from nmt.models.recurrent.cells import Cell
from nmt.models.recurrent.decoder_cells import StackedCells


class BahdanauDecoder(AttentionDecoder[AttentionState]):
    """Attention before the recurrence: the previous state is the query, and the context enters the next state.

    α_ij = softmax_j(score(s_{i-1}, h_j))                  Eq. 6; the paper's score is AdditiveScore (A.1.2)
    c_i  = Σ_j α_ij h_j                                    Eq. 5
    s_i  = f(s_{i-1}, y_{i-1}, c_i)                        §3.1, f is the cell; the paper's is a GRU
    p(y_i) = g(y_{i-1}, s_i, c_i)                          Eq. 4, g is one tanh layer and the softmax
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
        dropout: float,
    ) -> None:
        super().__init__()
        self.score = score
        self.span = span
        self.recurrence = StackedCells(
            cell=cell,
            input_size=embedding_size,
            feedback_size=hidden_size,  # the context
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        self.readout = nn.Linear(hidden_size + embedding_size + hidden_size, embedding_size)  # the layer of g

    def forward(self, embedded: Tensor, memory: AttentionMemory, record: list[Tensor] | None) -> Tensor:
        state, history = memory.initial_state, self.start_history(memory)
        hidden, contexts, weights = [], [], []
        for projected in self.recurrence.project_inputs(embedded).unbind(1):  # T × (B, G·D)
            context, step_weights = self.attend(state.top, memory, history)  # c_i, (B, D), and α_i, (B, S)
            state, history = self.recurrence(projected, context, state), history.after(step_weights)  # s_i
            hidden.append(state.top)
            contexts.append(context)
            weights.append(step_weights)
        if record is not None:
            record.append(self.by_heads(torch.stack(weights, 1)))  # (B, H, T, S)
        # The readout layer is outside the loop: one product for all positions is faster.
        return self.output(torch.stack(hidden, 1), embedded, torch.stack(contexts, 1))  # (B, T, E)

    def start(self, memory: AttentionMemory) -> AttentionState:
        return AttentionState(memory.initial_state, self.start_history(memory))

    def step(self, embedded: Tensor, state: AttentionState, memory: AttentionMemory) -> tuple[Tensor, AttentionState]:
        context, weights = self.attend(state.recurrent.top, memory, state.history)  # (A·K, D), (A·K, S)
        recurrent = self.recurrence(self.recurrence.project_inputs(embedded), context, state.recurrent)
        output = self.output(recurrent.top, embedded, context)  # (A·K, E)
        return output, AttentionState(recurrent, state.history.after(weights))

    def output(self, hidden: Tensor, embedded: Tensor, context: Tensor) -> Tensor:
        """Decoder outputs (…, E), the tanh layer of g(y_{i-1}, s_i, c_i), from (…, D), (…, E) and (…, D)."""
        return torch.tanh(self.readout(torch.cat([hidden, embedded, context], dim=-1)))  # (…, E)


class BahdanauRNN(AttentionSeq2Seq[AttentionState]):
    """The encoder-decoder of Bahdanau et al. (2015); `BahdanauDecoder` has the equations.

    Args: those of AttentionSeq2Seq; `others` holds the ones that the decoder does not need.
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
        self.decoder = BahdanauDecoder(**parts)
