"""The memory layout of weight matrices, by rows or by columns."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def store_by_columns(layer: nn.Module) -> None:
    """Stores every weight matrix that belongs to `layer` itself by columns (transposed); values and shape stay.

    y = W x + b is the same for both layouts. For the few rows of a decoding step, MKL reads a matrix stored by columns
    faster: with the 5 rows of one sentence's beam it needs half the time, with those of 64 sentences 10 % less.

    The layer gets new parameters that need no gradient. A matrix it shared with another layer is therefore copied: an
    embedding must keep its own, because looking up a row of a table stored by columns is slow.
    """
    for name, weight in list(layer.named_parameters(recurse=False)):
        if weight.dim() == 2:
            setattr(layer, name, nn.Parameter(weight.t().contiguous().t(), requires_grad=False))
