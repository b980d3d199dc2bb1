"""Dropout whose masks are cheap on a CPU.

Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_dropout


class Dropout(nn.Module):
    """Zeroes each number with probability `p` while training, and scales the others by 1 / (1 - p).

    torch's CPU dropout draws one random number an element: 42 ms for two million elements, measured on one machine,
    where these masks took 3. Here one 64-bit draw decides eight elements, a byte each; so `p` counts in steps of 1/256
    on a CPU, and the scale follows the probability that was really used.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        check_dropout(p)
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return inputs
        if inputs.device.type != "cpu" or torch.compiler.is_compiling():  # which fuses torch's with what is around it
            return F.dropout(inputs, self.p)
        return inputs * dropout_mask(inputs.shape, self.p, inputs.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def dropout_mask(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """A CPU tensor of zeros (with probability `p`, to the nearest 1/256) and of 1 / (1 - p)."""
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    dropped = min(round(p * 256), 255)  # of the 256 values of a byte
    # Compared in place, ones and zeros stay bytes: making numbers of them is several times faster than of truth values.
    kept = words.view(torch.uint8)[:count].ge_(dropped)
    return kept.to(dtype).mul_(256 / (256 - dropped)).view(shape)
