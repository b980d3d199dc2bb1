"""Dropout of a recurrent cell's hidden-to-hidden weights (DropConnect).

Merity et al. (2018), https://arxiv.org/abs/1708.02182, §2; DropConnect: Wan et al. (2013),
https://proceedings.mlr.press/v28/wan13.html

Shapes: D hidden size, F size of a decoder's feedback vector; G gates of the cell: 4 of an LSTM, 3 of a GRU.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nmt.checks import check_probabilities
from nmt.models.autocast import to_autocast_format
from nmt.models.dropout import Dropout
from nmt.models.recurrent.cells import keeps_own_format

HIDDEN_WEIGHTS = re.compile(r"(^|\.)(weight_hh(_l\d+)?|gates_from_feedback\.weight)$")
"""Names of the parameters that hold a hidden-to-hidden matrix U (G·D, D): of torch's modules, and of `StackedCells`,
where it is part of [W_f, U] (G·D, F + D)."""


class WeightDropout(nn.Module):
    """Calls a module with some of its hidden-to-hidden weights dropped: U becomes M ⊙ U / (1 - p).

    All positions and all sentences of a call share the mask M, so torch's fused kernels can still be used: only their
    weights differ.

    Args:
        recurrent_dropout: p.
        num_gates: G, of the module's cells.
    """

    def __init__(self, recurrent_dropout: float, *, num_gates: int) -> None:
        super().__init__()
        check_probabilities(recurrent_dropout=recurrent_dropout)
        self.dropout = Dropout(recurrent_dropout)
        self.num_gates = num_gates

    def forward(self, module: nn.Module, *inputs: Any) -> Any:
        """The outputs of `module`, called with `inputs`. Outside training, its weights are used as they are."""
        if not self.training or self.dropout.p == 0.0:
            return module(*inputs)
        weights = {name: self.drop(weight) for name, weight in module.named_parameters() if HIDDEN_WEIGHTS.search(name)}
        return functional_call(module, weights, inputs)

    def drop(self, weight: Tensor) -> Tensor:
        """Drops elements of U, the last D columns of a weight (G·D, F + D) or (G·D, D)."""
        hidden_size = len(weight) // self.num_gates  # D
        other, hidden = weight[:, :-hidden_size], weight[:, -hidden_size:]  # W_f (G·D, F) and U (G·D, D)
        dropped = torch.cat([other, self.dropout(hidden)], dim=1)  # (G·D, F + D)
        # Autocast keeps its copy of a parameter, but would convert this tensor again in every step of a loop.
        return dropped if keeps_own_format(dropped.device) else to_autocast_format(dropped)
