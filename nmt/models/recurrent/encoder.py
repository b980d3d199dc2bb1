"""The bidirectional encoder of all recurrent models.

Bahdanau, Cho, Bengio (2015), https://arxiv.org/abs/1409.0473, §3.2 and appendix A.2.1

Shapes: B batch, S source positions, E embedding size, D hidden size, L layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.errors import UserError
from nmt.models.dropout import Dropout
from nmt.models.recurrent.cells import Cell, run_layers


class BidirectionalEncoder(nn.Module):
    """h_j = [→h_j; ←h_j]: one network reads the sentence forwards, another backwards, in each of L layers.

    This computes the same as `nn.LSTM(bidirectional=True)` on packed sequences. Packing would make the host wait for
    the sentence lengths. Instead, the backward network runs forwards over reversed sentences, each reversed within its
    own length. So padding follows the words in both directions and cannot influence their outputs.

    Args:
        cell: the kind of cell of both networks.
        input_size: E.
        hidden_size: D, half for each direction.
        num_layers: L.
        dropout: applied to the vectors (B, S, D) between two layers.

    Raises:
        UserError: a size is not a positive integer, or hidden_size is odd.
    """

    def __init__(self, *, cell: Cell, input_size: int, hidden_size: int, num_layers: int, dropout: Dropout) -> None:
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if hidden_size % 2:
            raise UserError(f"hidden_size={hidden_size} must be even: each direction of the encoder has half of it")
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.forwards = nn.ModuleList(cell.make_layers(size, hidden_size // 2, 1, 0.0) for size in sizes)
        self.backwards = nn.ModuleList(cell.make_layers(size, hidden_size // 2, 1, 0.0) for size in sizes)
        self.dropout = dropout

    def forward(self, inputs: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes embedded sentences (B, S, E) with their mask (B, S).

        Returns:
            outputs (B, S, D) of the top layer; summary (B, D), the output of each direction after its last word.
        """
        reverse = reversed_positions(source_mask)  # (B, S)
        outputs = inputs
        for layer, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if layer > 0:
                outputs = self.dropout(outputs)
            left_to_right = run_layers(forwards, outputs)  # (B, S, D/2)
            right_to_left = run_layers(backwards, reorder(outputs, reverse))  # (B, S, D/2), last word first
            outputs = torch.cat([left_to_right, reorder(right_to_left, reverse)], dim=-1)  # (B, S, D)
        # At the last real position both directions have read all of the sentence, the backward one from its end.
        last = (source_mask.sum(1) - 1).view(-1, 1, 1).expand(-1, 1, left_to_right.size(-1))  # (B, 1, D/2)
        summary = torch.cat([left_to_right.gather(1, last), right_to_left.gather(1, last)], dim=-1)  # (B, 1, D)
        return outputs, summary.squeeze(1)


def reversed_positions(source_mask: Tensor) -> Tensor:
    """The indices (B, S) that reverse each sentence of a mask (B, S) and leave its padding at the end."""
    lengths = source_mask.sum(1, keepdim=True)  # (B, 1)
    positions = torch.arange(source_mask.size(1), device=source_mask.device).unsqueeze(0)  # (1, S)
    return torch.where(source_mask, lengths - 1 - positions, positions)  # (B, S)


def reorder(inputs: Tensor, positions: Tensor) -> Tensor:
    """The vectors of inputs (B, S, D) in the order of positions (B, S)."""
    return inputs.gather(1, positions.unsqueeze(-1).expand(-1, -1, inputs.size(-1)))  # (B, S, D)
