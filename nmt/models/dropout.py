"""Dropout with masks that are cheap to draw on a CPU.

Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html

In two variants, one random draw decides for several elements. Both are from Gal and Ghahramani (2016),
https://arxiv.org/abs/1512.05287:

- variational dropout (§4.1): all positions of a sentence have the same mask;
- word dropout (§4.2): the whole vector of a piece is dropped. Here each position has a draw of its own, as in Sennrich
  et al. (2016), https://aclanthology.org/W16-2323/; in the original all occurrences of a piece share one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_probabilities


class Dropout(nn.Module):
    """In training mode, zeroes each element with probability `p` and scales the others by 1 / (1 - p).

    On a GPU this is `F.dropout`. On a CPU, `F.dropout` draws one random number per element, which took 42 ms for two
    million elements on one machine; `dropout_mask` took 3 ms there. Its price is that `p` is rounded to a multiple of
    1/256. The scale follows the rounded value, so the expected output still equals the input; in bf16 the scale itself
    is rounded, by at most 0.4%.

    Args:
        p: from 0 to below 1.
        shared_dim: the dimension along which all elements share one draw; None: each element has its own. For vectors
            (B, T, D), 1 gives variational dropout and -1 gives word dropout.
    """

    def __init__(self, p: float, *, shared_dim: int | None = None) -> None:
        super().__init__()
        check_probabilities(dropout=p)
        self.p = p
        self.shared_dim = shared_dim

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return inputs
        mask_shape = list(inputs.shape)
        if self.shared_dim is not None:
            mask_shape[self.shared_dim] = 1
        if inputs.device.type == "cpu":
            return inputs * dropout_mask(torch.Size(mask_shape), self.p, inputs.dtype)
        if self.shared_dim is None:
            return F.dropout(inputs, self.p)
        return inputs * F.dropout(inputs.new_ones(mask_shape), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}" + ("" if self.shared_dim is None else f", shared_dim={self.shared_dim}")


def dropout_mask(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """A CPU tensor of zeros (with probability p, rounded to a multiple of 1/256) and of 1 / (1 - p).

    The formula, with one random byte per element: mask = (byte >= 256 p) / (1 - p). One draw of a 64-bit number gives
    the bytes of eight elements.
    """
    count = shape.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(torch.iinfo(torch.int64).min, None)
    dropped_values = min(round(p * 256), 255)  # how many of a byte's 256 values mean "drop"
    # Compared in place, the ones and zeros stay bytes: converting bytes is several times faster than converting bools.
    kept = words.view(torch.uint8)[:count].ge_(dropped_values)  # (count,), 1 = keep
    return kept.to(dtype).mul_(256 / (256 - dropped_values)).view(shape)
