"""The key/value cache: keys and values of the target so far, written once and never moved.

The hypotheses of a sentence share one row of the buffer, side by side. Every step appends one position per hypothesis,
and a bias per hypothesis marks the positions of its own past. The row of one sentence, with beams of K = 2:

    step                        0        1            2           (reserved capacity)
    position                    0      1     2      3     4      5     6     7
                             +-----+-----+-----+-----+-----+-----+-----+-----+
    keys and values          | bos |  A  |  B  |  C  |  D  |     |     |     |
                             +-----+-----+-----+-----+-----+-----+-----+-----+
    bias of hypothesis "A C"    0     0   -inf    0   -inf  -inf  -inf  -inf
    bias of hypothesis "A D"    0     0   -inf  -inf    0   -inf  -inf  -inf

Step 0 has one hypothesis, `bos`; step 1 continues it with A and with B; at step 2 the best two hypotheses both continue
A. So when a hypothesis is continued or dropped, only rows of the bias are copied. The usual layout, one row of keys and
values per hypothesis, would copy all keys and values at every step. B's position stays in the buffer, unused. The price
is that queries are compared with positions of other hypotheses too, which the bias then removes.

The K queries of a sentence are one attention over one row, like K positions of a target.

Shapes: A sentences, K hypotheses of each, P positions that are read, H heads, G heads of keys and values (H, or fewer
that are shared by R = H / G heads each), d numbers per head, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models.attention import MIN_KEY_POSITIONS
from nmt.models.positions import Positions
from nmt.models.seq2seq import State

INITIAL_CAPACITY_STEPS = 16
"""Initial capacity of the buffer, in steps of the search; the buffer doubles when it is full."""


class Buffer:
    """Memory for keys (L, A, G, d, capacity) and values (L, A, G, capacity, d), filled from position 0 on.

    It is the only mutable part of the cache. `steps` has the step at which each position was written that is taken by
    any of the caches that use this buffer.
    """

    def __init__(self, keys: Tensor, values: Tensor, steps: list[int]) -> None:
        self.keys = keys
        self.values = values
        self.steps = steps

    @property
    def num_written(self) -> int:
        """The number of positions that are taken."""
        return len(self.steps)

    @property
    def capacity(self) -> int:
        """The number of positions there is memory for."""
        return self.values.size(3)

    def copy(self, num_written: int, capacity: int) -> Buffer:
        """A new buffer with the first `num_written` positions and memory for `capacity`."""
        num_layers, num_sentences, num_heads, _, head_size = self.values.shape
        keys = self.keys.new_empty((num_layers, num_sentences, num_heads, head_size, capacity))
        values = self.values.new_empty((num_layers, num_sentences, num_heads, capacity, head_size))
        keys[..., :num_written] = self.keys[..., :num_written]
        values[:, :, :, :num_written] = self.values[:, :, :, :num_written]
        # Up to MIN_KEY_POSITIONS, positions are read (and masked) before they are written. They must be finite: a
        # weight of 0 times NaN is NaN.
        keys[..., num_written:MIN_KEY_POSITIONS] = 0.0
        values[:, :, :, num_written:MIN_KEY_POSITIONS] = 0.0
        return Buffer(keys, values, self.steps[:num_written])

    def select(self, sentences: Tensor, num_written: int) -> Buffer:
        """A new buffer for the sentences with indices (A',), of whose positions the first `num_written` are taken."""
        keys = self.keys.index_select(1, sentences)  # (L, A', G, d, capacity)
        values = self.values.index_select(1, sentences)  # (L, A', G, capacity, d)
        return Buffer(keys, values, self.steps[:num_written])


class LayerCache(NamedTuple):
    """Views of one layer's buffer, for one step.

    Attributes:
        new_keys: (A, G, d, K), where this step writes its keys.
        new_values: (A, G, K, d), where this step writes its values.
        keys: (A·G, d, P), all keys that this step reads, including its own.
        values: (A·G, P, d), likewise.
    """

    new_keys: Tensor
    new_values: Tensor
    keys: Tensor
    values: Tensor

    def write(self, keys: Tensor, values: Tensor) -> None:
        """Stores the keys and values, each (A, G, K, d), of this step's tokens."""
        self.new_keys.copy_(keys.transpose(2, 3))  # (A, G, d, K)
        self.new_values.copy_(values)


@dataclass(frozen=True)
class KeyValueCache(State):
    """The Transformer's decoding state.

    A cache behaves like a value: later steps never change what it sees. It shares its buffer with the cache that
    follows it; if a second cache follows the same one, the second gets a copy of the buffer.

    Attributes:
        buffer: keys and values; it may also hold positions that later caches wrote.
        num_written: how many positions of the buffer belong to this cache.
        length: how many tokens each hypothesis has read.
        bias: (A, K, capacity), 0 at the positions of a hypothesis's own past and -inf elsewhere.
    """

    buffer: Buffer
    num_written: int
    length: int
    bias: Tensor

    @classmethod
    def empty(cls, values: Tensor, *, num_layers: int) -> Self:
        """The cache before the first token; A, G, d, device and type are those of the source's values (A, G, S, d)."""
        num_sentences, num_heads, _, head_size = values.shape
        keys = values.new_empty((num_layers, num_sentences, num_heads, head_size, 0))  # (L, A, G, d, 0)
        bias = values.new_empty((num_sentences, 1, 0))  # (A, 1, 0)
        return cls(Buffer(keys, keys.transpose(3, 4), []), num_written=0, length=0, bias=bias)

    def advance(self, num_hypotheses: int) -> Self:
        """The cache after one more token of each hypothesis, whose positions the layers still have to write."""
        end = self.num_written + num_hypotheses
        buffer, bias = self.buffer, self.bias
        # 1. Get a buffer with free positions behind ours. They are not free if another cache has followed this one.
        if buffer.num_written != self.num_written or buffer.capacity < end:
            capacity = buffer.capacity
            if capacity < end:
                capacity = max(2 * capacity, end + INITIAL_CAPACITY_STEPS * num_hypotheses, MIN_KEY_POSITIONS)
            buffer = buffer.copy(self.num_written, capacity)
            bias = F.pad(bias, (0, capacity - bias.size(2)), value=-math.inf)  # (A, K, capacity)
        # 2. Reserve one position per hypothesis.
        buffer.steps += [self.length] * num_hypotheses
        # 3. Let hypothesis k see the position num_written + k, in addition to its past.
        visible = bias.new_zeros((bias.size(0), num_hypotheses))  # (A, K)
        bias = bias.diagonal_scatter(visible, offset=self.num_written, dim1=1, dim2=2)  # (A, K, capacity)
        return replace(self, buffer=buffer, num_written=end, length=self.length + 1, bias=bias)

    @property
    def num_read(self) -> int:
        """P, how many positions of the buffer a step reads."""
        return max(self.num_written, MIN_KEY_POSITIONS)

    def head_bias(self, num_heads: int, positions: Positions) -> Tensor:
        """The bias (A·G, K·R, P) of each head, to which the bias of `positions` is added.

        The rows of a head of keys and values are those of its R heads of queries: row k·R + r is hypothesis k.
        """
        num_key_value_heads = self.buffer.keys.size(2)  # G
        num_sharing = num_heads // num_key_value_heads  # R
        bias = self.bias[:, None, :, None, : self.num_read]  # (A, 1, K, 1, P)
        if positions.has_bias:
            # Positions that are read before they are written may have any distance: the bias hides them.
            steps = self.buffer.steps[: self.num_written] + [0] * (self.num_read - self.num_written)
            # A blocking copy to a GPU would wait for all of its work.
            steps_on_device = torch.tensor([steps]).to(bias.device, non_blocking=True)  # (1, P), the same for all rows
            distances = self.length - 1 - steps_on_device  # (1, P)
            added = positions.bias(distances, causal=True)  # (H, 1, P)
            assert added is not None
            added = added.to(bias.dtype).reshape(num_key_value_heads, 1, num_sharing, -1)  # (G, 1, R, P)
            bias = bias + added  # (A, G, K, R, P)
        bias = bias.expand(-1, num_key_value_heads, -1, num_sharing, -1)  # (A, G, K, R, P)
        return bias.reshape(-1, self.bias.size(1) * num_sharing, self.num_read)  # (A·G, K·R, P)

    def layers(self) -> Iterator[LayerCache]:
        """Each layer's views of the buffer, for the step whose positions `advance` reserved."""
        new = slice(self.num_written - self.bias.size(1), self.num_written)  # K positions
        new_keys = self.buffer.keys[..., new]  # (L, A, G, d, K)
        new_values = self.buffer.values[:, :, :, new]  # (L, A, G, K, d)
        keys = self.buffer.keys[..., : self.num_read].flatten(1, 2)  # (L, A·G, d, P)
        values = self.buffer.values[:, :, :, : self.num_read].flatten(1, 2)  # (L, A·G, P, d)
        for layer in range(len(keys)):
            yield LayerCache(new_keys[layer], new_values[layer], keys[layer], values[layer])

    def select(self, hypotheses: Tensor, sentences: Tensor | None) -> Self:
        """The cache of the hypotheses that continue; arguments as `State.select`.

        A hypothesis costs one row of the bias. Keys and values are moved only if sentences leave or change their order.
        """
        num_sentences, _, capacity = self.bias.shape
        hypotheses = hypotheses.view(len(hypotheses), -1)  # (A', K')
        assert sentences is not None or len(hypotheses) == num_sentences, (
            f"{len(hypotheses)} of {num_sentences} sentences stay: `sentences` must hold their indices"
        )
        buffer = self.buffer if sentences is None else self.buffer.select(sentences, self.num_written)
        bias = self.bias.flatten(0, 1).index_select(0, hypotheses.flatten())  # (A'·K', capacity)
        return replace(self, buffer=buffer, bias=bias.view(*hypotheses.shape, capacity))  # (A', K', capacity)
