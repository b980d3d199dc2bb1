"""The recurrent encoder-decoder without attention.

Sutskever, Vinyals, Le (2014), https://arxiv.org/abs/1409.3215

Shapes: B batch, S source positions, T target positions, E embedding size, D hidden size; A·K hypotheses in a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.models.recurrent.base import RecurrentDecoder, RecurrentSeq2Seq
from nmt.models.recurrent.cells import Cell, RecurrentState
from nmt.models.recurrent.decoder_cells import FusedCells
from nmt.models.seq2seq import Memory


@dataclass(frozen=True)
class VectorMemory(Memory):
    """The source as one fixed vector, which is all that a decoder without attention sees of it."""

    initial_state: RecurrentState


class PlainDecoder(RecurrentDecoder[VectorMemory, RecurrentState]):
    """h_t = f(y_{t-1}, h_{t-1}), where f is the cell, and the decoder output is tanh(W h_t + b).

    A step needs no output of the step before except the state, so one fused call runs all target positions.
    """

    def __init__(self, *, cell: Cell, embedding_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.recurrence = FusedCells(
            cell=cell, input_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
        )
        self.readout = nn.Linear(hidden_size, embedding_size)  # W, b

    def forward(self, embedded: Tensor, memory: VectorMemory, record: list[Tensor] | None) -> Tensor:
        hidden = self.recurrence(embedded, memory.initial_state)  # (B, T, D)
        return torch.tanh(self.readout(hidden))  # (B, T, E)

    def start(self, memory: VectorMemory) -> RecurrentState:
        return memory.initial_state

    def step(self, embedded: Tensor, state: RecurrentState, memory: VectorMemory) -> tuple[Tensor, RecurrentState]:
        state = self.recurrence.step(embedded, state)  # h_t
        return torch.tanh(self.readout(state.top)), state  # (A·K, E)


class PlainRNN(RecurrentSeq2Seq[VectorMemory, RecurrentState]):
    """No attention: the source becomes one fixed vector, the decoder's first state (Sutskever et al., 2014, §2).

    Args: those of RecurrentSeq2Seq; `others` holds the ones that the decoder does not need.
    """

    def __init__(
        self, *, cell: Cell, embedding_size: int, hidden_size: int, num_layers: int, dropout: float, **others: Any
    ) -> None:
        sizes: dict[str, Any] = {
            "cell": cell,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "dropout": dropout,
        }
        super().__init__(**sizes, **others)
        self.decoder = PlainDecoder(**sizes)

    def encode(self, source: Tensor, source_mask: Tensor) -> VectorMemory:
        _, initial_state = self.encode_source(source, source_mask)
        return VectorMemory(source_mask, initial_state)
