"""What the recurrent encoder-decoders are made of: the encoder, two ways to run a decoder, and what all models share.

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473

Shapes: B batch, S source positions, T target positions, V target vocabulary, E embedding size, D hidden size, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.errors import UserError
from nmt.models.dropout import Dropout
from nmt.models.embedding import Vocabulary
from nmt.models.seq2seq import Rows, Seq2Seq


def reverse_positions(source_mask: Tensor) -> Tensor:
    """For a mask (B, S): the indices (B, S) that turn each sentence round and leave its padding at the end."""
    lengths = source_mask.sum(1, keepdim=True)  # (B, 1)
    positions = torch.arange(source_mask.size(1), device=source_mask.device).unsqueeze(0)  # (1, S)
    return torch.where(source_mask, lengths - 1 - positions, positions)  # (B, S)


def rearrange(inputs: Tensor, positions: Tensor) -> Tensor:
    """The rows of inputs (B, S, D) in the order of positions (B, S)."""
    return inputs.gather(1, positions.unsqueeze(-1).expand(-1, -1, inputs.size(-1)))


def run_fused(lstm: nn.Module, inputs: Tensor, first: tuple[Tensor, Tensor] | None = None) -> Any:
    """Runs `lstm` in torch's fused kernel.

    On a GPU in float32 (its products in TF32, which has bf16's range and more digits): under autocast torch gives cuDNN
    float16 whatever format was asked for, and small gradients would be lost in it.
    """
    if inputs.device.type != "cuda":
        return lstm(inputs, first)
    with torch.autocast("cuda", enabled=False):
        return lstm(inputs.float(), None if first is None else (first[0].float(), first[1].float()))


class BidirectionalEncoder(nn.Module):
    """h_j = [→h_j; ←h_j], the two directions side by side (Bahdanau et al., 2015, §3.2 and A.2.1), in L layers.

    The backward direction is a forward LSTM over sentences turned round within their own lengths. So padding stays
    behind the words in both directions, where it changes nothing, and torch's fused LSTM needs no packing, which would
    have the host wait for the lengths.
    """

    def __init__(self, *, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if hidden_size % 2:
            raise UserError(f"hidden_size={hidden_size} must be even: each direction of the encoder has half of it")
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(size, hidden_size // 2, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, hidden_size // 2, batch_first=True) for size in sizes)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Reads inputs (B, S, E).

        Returns:
            outputs (B, S, D) of the top layer, and the summary (B, D): each direction's output after its last word.
        """
        backward_order = reverse_positions(source_mask)  # (B, S)
        last = (source_mask.sum(1) - 1).view(-1, 1, 1)  # (B, 1, 1)
        outputs, summary = inputs, inputs
        for layer, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if layer > 0:
                outputs = self.dropout(outputs)
            left_to_right, _ = run_fused(forwards, outputs)  # (B, S, D/2)
            right_to_left, _ = run_fused(backwards, rearrange(outputs, backward_order))  # (B, S, D/2), last word first
            index = last.expand(-1, 1, left_to_right.size(-1))  # (B, 1, D/2)
            summary = torch.cat([left_to_right.gather(1, index), right_to_left.gather(1, index)], dim=-1).squeeze(1)
            outputs = torch.cat([left_to_right, rearrange(right_to_left, backward_order)], dim=-1)  # (B, S, D)
        return outputs, summary


@dataclass(frozen=True)
class LSTMState(Rows):
    """The hidden and the cell state of L layers, each (B, L, D)."""

    hidden: Tensor
    cell: Tensor

    @property
    def top(self) -> Tensor:
        """The hidden state (B, D) of the top layer."""
        return self.hidden[:, -1]


class StackedCells(nn.Module):
    """L LSTM cells, one above the other, run one step at a time because each step's input needs the step before.

    What is known before the loop (the embedded target) is projected to the gates for all steps in one product; inside
    the loop remain what is fed back (a context or an attentional vector) and the recurrence, as one product more.
    """

    def __init__(
        self, *, input_size: int, feedback_size: int, hidden_size: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        check_sizes(input_size=input_size, feedback_size=feedback_size, hidden_size=hidden_size, num_layers=num_layers)
        self.input_gates = nn.Linear(input_size, 4 * hidden_size)
        self.feedback_gates = nn.Linear(feedback_size + hidden_size, 4 * hidden_size, bias=False)
        self.upper = nn.ModuleList(nn.LSTMCell(hidden_size, hidden_size) for _ in range(num_layers - 1))
        self.dropout = Dropout(dropout)

    def prepare(self, inputs: Tensor) -> Tensor:
        """The share (…, 4 D) of the gates that inputs (…, input_size) bring."""
        gates: Tensor = self.input_gates(inputs)
        return gates

    def forward(self, prepared: Tensor, feedback: Tensor, state: LSTMState) -> LSTMState:
        """One step from prepared (B, 4 D) and feedback (B, feedback_size)."""
        hidden, cell = state.hidden.unbind(1), state.cell.unbind(1)  # L × (B, D)
        gates = prepared + self.feedback_gates(torch.cat([feedback, hidden[0]], dim=-1))  # (B, 4 D)
        write, forget, candidate, read = gates.chunk(4, dim=-1)
        new_cell = torch.sigmoid(forget) * cell[0] + torch.sigmoid(write) * torch.tanh(candidate)  # (B, D)
        hiddens, cells = [torch.sigmoid(read) * torch.tanh(new_cell)], [new_cell]
        for layer, upper in enumerate(self.upper, start=1):
            above, above_cell = upper(self.dropout(hiddens[-1]), (hidden[layer], cell[layer]))
            hiddens.append(above)
            cells.append(above_cell)
        return LSTMState(torch.stack(hiddens, 1), torch.stack(cells, 1))


class RecurrentSeq2Seq(Seq2Seq):
    """What the three share: the vocabulary, the encoder, and the decoder's first state.

    Args:
        source_vocab_size: pieces of the source language.
        target_vocab_size: V.
        shared_vocab: both languages use one set of pieces.
        tie_output: the output layer's weights are the target embedding's.
        embedding_size: E, also of the vector from which the output layer predicts.
        hidden_size: D, of the decoder's LSTM and of the encoder's outputs (half for each direction).
        num_layers: L, of the encoder and of the decoder.
        dropout: probability of dropping a number of the embeddings, between layers and before the output layer.
    """

    def __init__(
        self,
        *,
        source_vocab_size: int,
        target_vocab_size: int,
        shared_vocab: bool,
        tie_output: bool,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.vocabulary = Vocabulary(
            source_vocab_size=source_vocab_size,
            target_vocab_size=target_vocab_size,
            shared_vocab=shared_vocab,
            tie_output=tie_output,
            embedding_size=embedding_size,
        )
        self.encoder = BidirectionalEncoder(
            input_size=embedding_size, hidden_size=hidden_size, num_layers=num_layers, dropout=dropout
        )
        self.bridge = nn.Linear(hidden_size, 2 * num_layers * hidden_size)
        self.num_layers = num_layers
        self.dropout = Dropout(dropout)

    @property
    def max_length(self) -> int | None:
        return None

    def read(self, source: Tensor, source_mask: Tensor) -> tuple[Tensor, LSTMState]:
        """The encoder's outputs (B, S, D), and the decoder's first state, s_0 = tanh(W_s ←h_1) (Bahdanau, A.2.2).

        The state is made from the last output of both directions, not only the backward one: without attention it is
        all that the decoder ever learns of the source.
        """
        outputs, summary = self.encoder(self.dropout(self.vocabulary.source(source)), source_mask)
        hidden, cell = self.bridge(summary).unflatten(-1, (2, self.num_layers, -1)).unbind(1)  # 2 × (B, L, D)
        return outputs, LSTMState(torch.tanh(hidden), cell)

    def embed(self, target: Tensor) -> Tensor:
        """Target ids (…) to embeddings (…, E)."""
        embedded: Tensor = self.dropout(self.vocabulary.target(target))
        return embedded

    def drop(self, readout: Tensor) -> Tensor:
        """What the output layer sees of decoder_outputs (…, E)."""
        dropped: Tensor = self.dropout(readout)
        return dropped

    def predict(self, readout: Tensor) -> Tensor:
        """Readouts (B, E) to logits (B, V)."""
        logits: Tensor = self.vocabulary.output(self.drop(readout))
        return logits


class FusedDecoder(nn.Module):
    """A decoder's LSTM that gets nothing back from the attention, so that the whole target runs in one fused call."""

    def __init__(self, *, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )

    def forward(self, inputs: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """Runs inputs (B, T, E) from `state`; returns the top outputs (B, T, D) and the last state."""
        first = (state.hidden.transpose(0, 1).contiguous(), state.cell.transpose(0, 1).contiguous())  # (L, B, D)
        outputs, (hidden, cell) = run_fused(self.lstm, inputs, first)
        return outputs, LSTMState(hidden.transpose(0, 1), cell.transpose(0, 1))

    def step(self, inputs: Tensor, state: LSTMState) -> LSTMState:
        """Runs one position (B, E). In few rows `nn.LSTM` would take longer to arrange its weights than to multiply."""
        below, hiddens, cells = inputs, [], []
        for layer, weights in enumerate(self.lstm.all_weights):
            below, cell = torch.lstm_cell(below, (state.hidden[:, layer], state.cell[:, layer]), *weights)
            hiddens.append(below)
            cells.append(cell)
        return LSTMState(torch.stack(hiddens, 1), torch.stack(cells, 1))
