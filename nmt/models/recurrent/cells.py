"""Two ways to run a decoder's LSTM: cells in a loop, and torch's fused LSTM over all positions at once.

An LSTM cell (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000) computes, from an input x_t:

    [input_gate; forget_gate; candidate; output_gate] = W x_t + U h_{t-1} + b        4 D numbers
    c_t = σ(forget_gate) ⊙ c_{t-1} + σ(input_gate) ⊙ tanh(candidate)
    h_t = σ(output_gate) ⊙ tanh(c_t)

Shapes: B batch, T target positions, E input size, D hidden size, L layers; N rows of one step (B, or A·K hypotheses).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.models.dropout import Dropout
from nmt.models.seq2seq import State


@dataclass(frozen=True)
class LSTMState(State):
    """The hidden and the cell states of L layers, each (N, L, D)."""

    hidden: Tensor
    cell: Tensor

    @property
    def top(self) -> Tensor:
        """The hidden state (N, D) of the top layer."""
        return self.hidden[:, -1]


class StackedCells(nn.Module):
    """L LSTM cells, one above the other, for decoders whose next input depends on the output of the step before.

    The input of the lowest cell is x_t = [y_t; f_t]: the embedded token and a feedback vector (a context, or an
    attentional vector). Its product W x_t = W_y y_t + W_f f_t is computed in two parts. All y_t are known before the
    loop, so `project_inputs` computes all W_y y_t in one large product, which is faster than T small ones. One product
    remains inside the loop: [W_f, U] [f_t; h_{t-1}].

    Args:
        input_size: of y_t.
        feedback_size: of f_t.
        hidden_size: D.
        num_layers: L.
        dropout: probability of dropping an element between two layers while training.
    """

    def __init__(
        self, *, input_size: int, feedback_size: int, hidden_size: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, feedback_size=feedback_size, hidden_size=hidden_size, num_layers=num_layers)
        self.gates_from_input = nn.Linear(input_size, 4 * hidden_size)  # W_y, b
        self.gates_from_feedback = nn.Linear(feedback_size + hidden_size, 4 * hidden_size, bias=False)  # [W_f, U]
        self.upper = nn.ModuleList(nn.LSTMCell(hidden_size, hidden_size) for _ in range(num_layers - 1))
        self.dropout = Dropout(dropout)

    def project_inputs(self, inputs: Tensor) -> Tensor:
        """W_y y_t + b, (…, 4 D), of embedded tokens (…, input_size): the first argument of `forward`."""
        return self.gates_from_input(inputs)

    def forward(self, projected_inputs: Tensor, feedback: Tensor, state: LSTMState) -> LSTMState:
        """One step, from projected inputs (N, 4 D) and feedback (N, feedback_size)."""
        hidden, cell = state.hidden.unbind(1), state.cell.unbind(1)  # 2 × L × (N, D)
        # The lowest cell: the equations above, with W x_t and U h_{t-1} from both linear layers.
        gates = projected_inputs + self.gates_from_feedback(torch.cat([feedback, hidden[0]], dim=-1))  # (N, 4 D)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=-1)  # 4 × (N, D)
        new_cell = torch.sigmoid(forget_gate) * cell[0] + torch.sigmoid(input_gate) * torch.tanh(candidate)
        new_hidden = torch.sigmoid(output_gate) * torch.tanh(new_cell)
        # The cells above it: each gets the hidden state of the one below.
        new_hiddens, new_cells = [new_hidden], [new_cell]
        for layer, upper in enumerate(self.upper, start=1):
            new_hidden, new_cell = upper(self.dropout(new_hidden), (hidden[layer], cell[layer]))  # 2 × (N, D)
            new_hiddens.append(new_hidden)
            new_cells.append(new_cell)
        return LSTMState(torch.stack(new_hiddens, 1), torch.stack(new_cells, 1))  # 2 × (N, L, D)


class FusedLSTM(nn.Module):
    """L LSTM layers for decoders without feedback: all positions of the target run in one call of torch's fused kernel.

    `forward` computes what a loop over `step` computes, but faster: the kernel multiplies all inputs by W in one
    product and spends no time in Python between positions.

    Args:
        input_size: E.
        hidden_size: D.
        num_layers: L.
        dropout: probability of dropping an element between two layers while training.
    """

    def __init__(self, *, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )

    def forward(self, inputs: Tensor, state: LSTMState) -> Tensor:
        """Runs inputs (B, T, E) from a state of B rows; returns the top layer's hidden states (B, T, D)."""
        hidden, cell = state.hidden.transpose(0, 1), state.cell.transpose(0, 1)  # 2 × (L, B, D), as torch wants them
        outputs, _ = run_fused_lstm(self.lstm, inputs, (hidden.contiguous(), cell.contiguous()))  # (B, T, D)
        return outputs

    def step(self, inputs: Tensor, state: LSTMState) -> LSTMState:
        """Runs one position (N, E), layer by layer.

        A call of `nn.LSTM` would first rearrange its weights, which takes three times as long as a step with few rows.
        """
        below, hiddens, cells = inputs, [], []
        for layer, weights in enumerate(self.lstm.all_weights):
            below, cell = torch.lstm_cell(below, (state.hidden[:, layer], state.cell[:, layer]), *weights)  # 2 × (N, D)
            hiddens.append(below)
            cells.append(cell)
        return LSTMState(torch.stack(hiddens, 1), torch.stack(cells, 1))  # 2 × (N, L, D)


def run_fused_lstm(
    lstm: nn.Module, inputs: Tensor, initial_state: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Runs a torch LSTM over inputs (B, S, E), on a GPU always in float32 (with TF32 products).

    Under autocast, torch gives cuDNN float16 whatever format was requested, and small gradients would underflow in it.
    TF32 has the range of bfloat16 and more digits.

    Args:
        lstm: an `nn.LSTM` with batch_first.
        inputs: (B, S, E).
        initial_state: hidden and cell states (L, B, D); None for zeros.

    Returns:
        outputs (B, S, D), and the last hidden and cell states, each (L, B, D).
    """
    if inputs.device.type != "cuda":
        return lstm(inputs, initial_state)
    if initial_state is not None:
        hidden, cell = initial_state
        initial_state = hidden.float(), cell.float()
    with torch.autocast("cuda", enabled=False):
        return lstm(inputs.float(), initial_state)
