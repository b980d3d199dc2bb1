"""Keys and values of the target so far, which the Transformer's decoder writes once and never moves.

The K hypotheses of a sentence keep what they have read in one row of the storage, side by side: at every step each
appends one position, and `bias` says which positions are a hypothesis's own past. So when a beam goes on from another
hypothesis, only its row of the bias is copied, not its keys and values; and the K queries of a sentence are one
attention over one row, like K positions of a target.

Shapes: A sentences, K hypotheses of each, P positions written, H heads, d numbers of a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

STEPS = 16
"""For so many steps there is room at first; after that, what is there is doubled."""


class Storage:
    """Keys and values (A, layers, 2, H, room, d), of which `used` positions are written."""

    def __init__(self, tensor: Tensor, used: int) -> None:
        self.tensor = tensor
        self.used = used

    @property
    def room(self) -> int:
        return self.tensor.size(4)

    def copy(self, used: int, room: int) -> Storage:
        """The first `used` positions, in a new place with `room` for more."""
        tensor = self.tensor.new_empty((*self.tensor.shape[:4], room, self.tensor.size(5)))
        tensor[..., :used, :] = self.tensor[..., :used, :]
        return Storage(tensor, used)


@dataclass(frozen=True)
class KeyValueCache:
    """The target so far.

    Every cache is a value: what is written behind one is not seen by those before it. Storage is shared by a cache and
    the one that follows it; where two follow the same, the second gets a copy.

    Attributes:
        storage: of keys and values, perhaps with positions that later caches wrote.
        written: P, the positions that are this cache's.
        length: how many tokens each hypothesis has read.
        bias: (A, K, P), 0 where a position is the hypothesis's own past, -inf elsewhere; None while there is one
            hypothesis of each sentence, K = 1, whose past is all.
    """

    storage: Storage
    written: int
    length: int
    bias: Tensor | None

    @classmethod
    def before_the_first(cls, keys: Tensor, num_layers: int) -> Self:
        """With nothing written, for sentences whose source has keys like these (A, H, S, d)."""
        sentences, heads, _, size = keys.shape
        return cls(Storage(keys.new_empty((sentences, num_layers, 2, heads, 0, size)), 0), 0, 0, None)

    def advance(self, width: int) -> Self:
        """The cache after one more token of each of K = `width` hypotheses; `write` fills in what it reads."""
        end = self.written + width
        storage = self.storage
        if storage.used != self.written or storage.room < end:
            room = storage.room if storage.room >= end else max(2 * storage.room, end + STEPS * width)
            storage = storage.copy(self.written, room)
        storage.used = end
        bias = self.bias
        if bias is not None:
            own = bias.new_full((width, width), -math.inf).fill_diagonal_(0.0)  # (K, K)
            bias = torch.cat([bias, own.expand(bias.size(0), -1, -1)], dim=2)  # (A, K, P)
        return replace(self, storage=storage, written=end, length=self.length + 1, bias=bias)

    def write(self, layer: int, newest: Tensor) -> tuple[Tensor, Tensor]:
        """Puts a layer's keys and values (A, 2, H, K, d) at the newest positions; returns all, twice (A, H, P, d)."""
        stored = self.storage.tensor[:, layer]  # (A, 2, H, room, d)
        stored[:, :, :, self.written - newest.size(3) : self.written] = newest
        return stored[:, 0, :, : self.written], stored[:, 1, :, : self.written]

    def select(self, rows: Tensor) -> Self:
        """The same for `rows`, (A',) or (A', K'): row a·K + k is hypothesis k of sentence a.

        Rows that stay with their sentence cost a row of the bias each; only where sentences leave, or change places,
        are keys and values moved. The K' rows of one sentence must come from one sentence.
        """
        rows = rows.view(rows.size(0), -1)  # (A', K')
        width = 1 if self.bias is None else self.bias.size(1)
        sentences = rows.div(width, rounding_mode="floor")  # (A', K')
        places = torch.arange(self.storage.tensor.size(0), device=rows.device).unsqueeze(1)  # (A, 1)
        storage = self.storage
        if not torch.equal(sentences, places.expand(-1, rows.size(1))):
            assert torch.equal(sentences, sentences[:, :1].expand_as(sentences)), "rows of one sentence are mixed"
            storage = Storage(storage.tensor.index_select(0, sentences[:, 0]), self.written)
        bias = self.bias
        if bias is not None:
            bias = bias.flatten(0, 1)[rows]  # (A', K', P)
        elif rows.size(1) > 1:
            bias = storage.tensor.new_zeros((*rows.shape, self.written))  # (A', K', P)
        return replace(self, storage=storage, bias=bias)
