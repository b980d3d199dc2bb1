"""Keys and values of the target so far, which the Transformer's decoder writes once and never moves.

The K hypotheses of a sentence keep what they have read in one row of the storage, side by side: at every step each
appends one position, and `bias` says which positions are a hypothesis's own past. So when a beam goes on from another
hypothesis, only its row of the bias is copied, not its keys and values; and the K queries of a sentence are one
attention over one row, like K positions of a target.

Shapes: A sentences, K hypotheses of each, P positions looked at, H heads, d numbers of a head, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from torch import Tensor
from torch.nn import functional as F

from nmt.models.attention import FEWEST

STEPS = 16
"""For so many steps there is room at first; after that, what is there is doubled."""


class Storage:
    """Keys (L, A, H, d, room) and values (L, A, H, room, d), of which `used` positions are written."""

    def __init__(self, keys: Tensor, values: Tensor, used: int) -> None:
        self.keys = keys
        self.values = values
        self.used = used

    @property
    def room(self) -> int:
        return self.values.size(3)

    def copy(self, used: int, room: int) -> Storage:
        """The first `used` positions, in a new place with `room` for more."""
        keys = self.keys.new_empty((*self.keys.shape[:4], room))
        values = self.values.new_empty((*self.values.shape[:3], room, self.values.size(4)))
        keys[..., :used] = self.keys[..., :used]
        values[:, :, :, :used] = self.values[:, :, :, :used]
        keys[..., used:FEWEST] = 0.0  # read before they are written, and then to be any number, but a number
        values[:, :, :, used:FEWEST] = 0.0
        return Storage(keys, values, used)

    def select(self, sentences: Tensor, used: int) -> Storage:
        return Storage(self.keys.index_select(1, sentences), self.values.index_select(1, sentences), used)


class LayerCache(NamedTuple):
    """What one layer writes at a step, and what it reads: views of the storage.

    Attributes:
        new_keys: (A, H, d, K), the newest positions.
        new_values: (A, H, K, d).
        keys: (A·H, d, P), with them; P is at least `FEWEST`.
        values: (A·H, P, d).
    """

    new_keys: Tensor
    new_values: Tensor
    keys: Tensor
    values: Tensor

    def write(self, keys: Tensor, values: Tensor) -> None:
        """Puts what the layer made of the newest tokens, each (A, H, K, d), in its place."""
        self.new_keys.copy_(keys.transpose(2, 3))
        self.new_values.copy_(values)


@dataclass(frozen=True)
class KeyValueCache:
    """The target so far.

    Every cache is a value: what is written behind one is not seen by those before it. Storage is shared by a cache and
    the one that follows it; where two follow the same, the second gets a copy.

    Attributes:
        storage: of keys and values, perhaps with positions that later caches wrote.
        written: how many positions are this cache's.
        length: how many tokens each hypothesis has read.
        bias: (A, K, room), 0 where a position is the hypothesis's own past, -inf elsewhere.
    """

    storage: Storage
    written: int
    length: int
    bias: Tensor

    @classmethod
    def before_the_first(cls, values: Tensor, num_layers: int) -> Self:
        """With nothing written, for sentences whose source has values like these (A, H, S, d)."""
        sentences, heads, _, size = values.shape
        keys = values.new_empty((num_layers, sentences, heads, size, 0))
        return cls(Storage(keys, keys.transpose(3, 4), 0), 0, 0, values.new_empty((sentences, 1, 0)))

    def advance(self, width: int) -> Self:
        """The cache after one more token of each of K = `width` hypotheses; its layers fill in what they read."""
        end = self.written + width
        storage, bias = self.storage, self.bias
        if storage.used != self.written or storage.room < end:
            room = storage.room if storage.room >= end else max(2 * storage.room, end + STEPS * width, FEWEST)
            storage = storage.copy(self.written, room)
            bias = F.pad(bias, (0, room - bias.size(2)), value=-math.inf)
        storage.used = end
        own = bias.new_zeros((bias.size(0), width))  # (A, K)
        bias = bias.diagonal_scatter(own, offset=self.written, dim1=1, dim2=2)  # (A, K, room)
        return replace(self, storage=storage, written=end, length=self.length + 1, bias=bias)

    @property
    def read(self) -> int:
        """P, how many positions are looked at."""
        return max(self.written, FEWEST)

    def bias_of(self, heads: int) -> Tensor:
        """What is added to the scores of each of H = `heads` heads, (A·H, K, P)."""
        bias = self.bias[:, None, :, : self.read]  # (A, 1, K, P)
        return bias.expand(-1, heads, -1, -1).flatten(0, 1)

    def layers(self, width: int) -> Iterator[LayerCache]:
        """What each layer writes for K = `width` hypotheses, and reads."""
        keys, values = self.storage.keys, self.storage.values
        newest = slice(self.written - width, self.written)
        new = keys[..., newest], values[:, :, :, newest]
        read = keys[..., : self.read].flatten(1, 2), values[:, :, :, : self.read].flatten(1, 2)  # (L, A·H, d, P), …
        return (LayerCache(new[0][layer], new[1][layer], read[0][layer], read[1][layer]) for layer in range(len(keys)))

    def select(self, rows: Tensor, sentences: Tensor | None) -> Self:
        """The same for `rows`, (A',) or (A', K'): row a·K + k is hypothesis k of sentence a; see `State.select`.

        Each costs a row of the bias; only where sentences leave, or change places, are keys and values moved.
        """
        size = self.bias.size(0)
        assert sentences is not None or len(rows) == size, f"{len(rows)} of {size} sentences stay: name them"
        storage = self.storage if sentences is None else self.storage.select(sentences, self.written)
        rows = rows.view(rows.size(0), -1)  # (A', K')
        bias = self.bias.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, -1)  # (A', K', room)
        return replace(self, storage=storage, bias=bias)
