"""Recurrent cells: the LSTM and the GRU, each with its equations, and the state that both carry from step to step.

A cell computes the next state of one layer from an input x_t and the state before. It has no parameters of its own: it
builds torch's modules, which have them, and knows how to call them.

Shapes: B batch, S positions, D hidden size, L layers; N rows of one step (B, or A·K hypotheses).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models.seq2seq import State

Parts = tuple[Tensor, ...]
"""The state of one layer, hidden state first: (h,) of a GRU, (h, c) of an LSTM, each (N, D)."""


@dataclass(frozen=True)
class RecurrentState(State):
    """The state of L layers, as the same parts: (h,) of GRUs, (h, c) of LSTMs, each (N, L, D)."""

    parts: tuple[Tensor, ...]

    @classmethod
    def stack(cls, layers: Iterable[Parts]) -> Self:
        """The state of L layers from the parts of each, lowest first."""
        return cls(tuple(torch.stack(part, 1) for part in zip(*layers, strict=True)))  # (N, L, D) each

    @property
    def layers(self) -> list[Parts]:
        """The parts of each layer, lowest first: L times (N, D) each."""
        return list(zip(*(part.unbind(1) for part in self.parts), strict=True))

    @property
    def top(self) -> Tensor:
        """The hidden state (N, D) of the top layer."""
        return self.parts[0][:, -1]


class Cell(ABC):
    """A kind of recurrent cell.

    Attributes:
        num_gates: how many vectors of D numbers W x_t and U h_{t-1} hold.
        num_parts: how many vectors of D numbers the state of a layer holds.
    """

    num_gates: ClassVar[int]
    num_parts: ClassVar[int]

    @abstractmethod
    def make_layers(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.LSTM | nn.GRU:
        """torch's module that runs `num_layers` layers over all positions (B, S, input_size) in one call."""

    @abstractmethod
    def make_cell(self, input_size: int, hidden_size: int) -> nn.LSTMCell | nn.GRUCell:
        """torch's module that runs one layer for one position."""

    @abstractmethod
    def step(self, inputs: Tensor, state: Parts, weights: Iterable[Tensor]) -> Parts:
        """One step of one layer from inputs (N, ·), by torch's kernel, with the weights [W, U, b, c] of a module."""

    @abstractmethod
    def step_with_feedback(
        self, projected_inputs: Tensor, feedback: Tensor, state: Parts, gates_from_feedback: nn.Linear
    ) -> Parts:
        """One step of one layer by the equations, whose input x_t = [y_t; f_t] has two parts.

        Args:
            projected_inputs: W_y y_t + b, (N, num_gates · D).
            feedback: f_t, (N, F).
            gates_from_feedback: holds [W_f, U], (num_gates · D, F + D).
        """


class LSTMCell(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000).

    [input_gate; forget_gate; candidate; output_gate] = W x_t + U h_{t-1} + b        4 D numbers
    c_t = σ(forget_gate) ⊙ c_{t-1} + σ(input_gate) ⊙ tanh(candidate)
    h_t = σ(output_gate) ⊙ tanh(c_t)
    """

    num_gates = 4
    num_parts = 2

    def make_layers(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.LSTM:
        return nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout)

    def make_cell(self, input_size: int, hidden_size: int) -> nn.LSTMCell:
        return nn.LSTMCell(input_size, hidden_size)

    def step(self, inputs: Tensor, state: Parts, weights: Iterable[Tensor]) -> Parts:
        return torch.lstm_cell(inputs, state, *weights)

    def step_with_feedback(
        self, projected_inputs: Tensor, feedback: Tensor, state: Parts, gates_from_feedback: nn.Linear
    ) -> Parts:
        hidden, cell = state
        gates = projected_inputs + gates_from_feedback(torch.cat([feedback, hidden], dim=-1))  # (N, 4 D)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=-1)  # 4 × (N, D)
        cell = torch.sigmoid(forget_gate) * cell + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output_gate) * torch.tanh(cell), cell


class GRUCell(Cell):
    """The gated recurrent unit (Cho et al., 2014, https://arxiv.org/abs/1406.1078, Eq. 5 to 8), as torch computes it.

    [reset; update; candidate] = W x_t + b,   [reset'; update'; candidate'] = U h_{t-1} + c        3 D numbers each
    r = σ(reset + reset'),   z = σ(update + update')
    h_t = z ⊙ h_{t-1} + (1 - z) ⊙ tanh(candidate + r ⊙ candidate')

    In the paper, and in Bahdanau et al. (2015, A.1.1), the reset gate comes before the product: the candidate is
    tanh(W x_t + U (r ⊙ h_{t-1})). torch and cuDNN apply it after the product, to U h_{t-1}. Then one product gives all
    three gates, and all positions can run in one fused call.
    """

    num_gates = 3
    num_parts = 1

    def make_layers(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> nn.GRU:
        return nn.GRU(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout)

    def make_cell(self, input_size: int, hidden_size: int) -> nn.GRUCell:
        return nn.GRUCell(input_size, hidden_size)

    def step(self, inputs: Tensor, state: Parts, weights: Iterable[Tensor]) -> Parts:
        return (torch.gru_cell(inputs, state[0], *weights),)

    def step_with_feedback(
        self, projected_inputs: Tensor, feedback: Tensor, state: Parts, gates_from_feedback: nn.Linear
    ) -> Parts:
        (hidden,) = state
        # Two products, because the reset gate applies to that of the hidden state only (here without the bias c).
        weight = gates_from_feedback.weight  # (3 D, F + D)
        from_inputs = projected_inputs + F.linear(feedback, weight[:, : feedback.size(-1)])  # (N, 3 D)
        from_hidden = F.linear(hidden, weight[:, feedback.size(-1) :])  # (N, 3 D)
        reset, update, candidate = from_inputs.chunk(3, dim=-1)  # 3 × (N, D)
        hidden_reset, hidden_update, hidden_candidate = from_hidden.chunk(3, dim=-1)  # 3 × (N, D)
        r, z = torch.sigmoid(reset + hidden_reset), torch.sigmoid(update + hidden_update)  # 2 × (N, D)
        return (z * hidden + (1 - z) * torch.tanh(candidate + r * hidden_candidate),)


def run_layers(layers: nn.Module, inputs: Tensor, initial_state: Parts | None = None) -> Tensor:
    """The outputs (B, S, D) of torch's LSTM or GRU for inputs (B, S, ·).

    Args:
        layers: of `Cell.make_layers`.
        inputs: (B, S, ·).
        initial_state: the parts of all layers, each (L, B, D); None for zeros.
    """
    own_format = keeps_own_format(inputs.device)
    if own_format:
        number_format = next(layers.parameters()).dtype
        inputs = inputs.to(number_format)
        initial_state = None if initial_state is None else tuple(part.to(number_format) for part in initial_state)
    # torch's LSTM takes a tuple of both parts, its GRU a tensor.
    state = initial_state[0] if initial_state is not None and len(initial_state) == 1 else initial_state
    with torch.autocast(inputs.device.type, enabled=False) if own_format else nullcontext():
        return layers(inputs, state)[0]


def keeps_own_format(device: torch.device) -> bool:
    """Whether `run_layers` computes in the number format of the weights on this device, whatever autocast asks for.

    In training, that is float32. Under autocast, torch gives cuDNN float16 whatever format was requested, and small
    gradients would underflow in it; TF32 products have the range of bfloat16 and more digits. On a CPU, oneDNN has an
    LSTM in bfloat16 only where the CPU has AVX512.
    """
    if device.type == "cpu":
        has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        return has_onednn and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return device.type == "cuda"
