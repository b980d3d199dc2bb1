"""Two ways to run a decoder's cells: in a loop, or fused over all positions at once.

Shapes: B batch, T target positions, E input size, D hidden size, L layers; N rows of one step (B, or A·K hypotheses);
G gates of the cell: 4 of an LSTM, 3 of a GRU.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.models.dropout import Dropout
from nmt.models.recurrent.cells import Cell, RecurrentState, run_layers


class StackedCells(nn.Module):
    """L cells, one above the other, for decoders whose next input depends on the output of the step before.

    The input of the lowest cell is x_t = [y_t; f_t]: the embedded token and a feedback vector (a context, or an
    attentional vector). Its product W x_t = W_y y_t + W_f f_t is computed in two parts. All y_t are known before the
    loop, so `project_inputs` computes all W_y y_t in one large product, which is faster than T small ones. Inside the
    loop remains [W_f, U] [f_t; h_{t-1}].

    Args:
        cell: the kind of cell.
        input_size: of y_t.
        feedback_size: of f_t.
        hidden_size: D.
        num_layers: L.
        dropout: probability of dropping an element between two layers while training.
    """

    def __init__(
        self, *, cell: Cell, input_size: int, feedback_size: int, hidden_size: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, feedback_size=feedback_size, hidden_size=hidden_size, num_layers=num_layers)
        self.cell = cell
        gates_size = cell.num_gates * hidden_size  # G · D
        self.gates_from_input = nn.Linear(input_size, gates_size)  # W_y, b
        self.gates_from_feedback = nn.Linear(feedback_size + hidden_size, gates_size, bias=False)  # [W_f, U]
        self.upper = nn.ModuleList(cell.make_cell(hidden_size, hidden_size) for _ in range(num_layers - 1))
        self.dropout = Dropout(dropout)

    def project_inputs(self, inputs: Tensor) -> Tensor:
        """W_y y_t + b, (…, G·D), of embedded tokens (…, input_size): the first argument of `forward`."""
        return self.gates_from_input(inputs)

    def forward(self, projected_inputs: Tensor, feedback: Tensor, state: RecurrentState) -> RecurrentState:
        """One step, from projected inputs (N, G·D) and feedback (N, feedback_size)."""
        old = state.layers
        new = [self.cell.step_with_feedback(projected_inputs, feedback, old[0], self.gates_from_feedback)]
        # The cells above it: each gets the hidden state of the one below.
        for layer, upper in enumerate(self.upper, start=1):
            weights: Any = upper.weight_ih, upper.weight_hh, upper.bias_ih, upper.bias_hh
            new.append(self.cell.step(self.dropout(new[-1][0]), old[layer], weights))
        return RecurrentState.stack(new)


class FusedCells(nn.Module):
    """L layers for decoders without feedback: all positions of the target run in one call of torch's fused kernel.

    `forward` computes what a loop over `step` computes, but faster: the kernel multiplies all inputs by W in one
    product and spends no time in Python between positions.

    Args:
        cell: the kind of cell.
        input_size: E.
        hidden_size: D.
        num_layers: L.
        dropout: probability of dropping an element between two layers while training.
    """

    def __init__(self, *, cell: Cell, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.cell = cell
        self.layers = cell.make_layers(input_size, hidden_size, num_layers, dropout if num_layers > 1 else 0.0)

    def forward(self, inputs: Tensor, state: RecurrentState) -> Tensor:
        """Runs inputs (B, T, E) from a state of B rows; returns the top layer's hidden states (B, T, D)."""
        parts = tuple(part.transpose(0, 1).contiguous() for part in state.parts)  # (L, B, D) each, as torch wants them
        return run_layers(self.layers, inputs, parts)  # (B, T, D)

    def step(self, inputs: Tensor, state: RecurrentState) -> RecurrentState:
        """Runs one position (N, E), layer by layer.

        A call of `self.layers` would first rearrange its weights, which takes three times as long as a step with few
        rows.
        """
        below, new = inputs, []
        for old, weights in zip(state.layers, self.layers.all_weights, strict=True):
            new.append(self.cell.step(below, old, weights))
            below = new[-1][0]  # (N, D)
        return RecurrentState.stack(new)
