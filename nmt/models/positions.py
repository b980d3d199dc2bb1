"""Positions: how a Transformer knows the order of its inputs, which attention alone does not see.

Each kind overrides one of three methods of `Positions`:

    add        a vector for each position is added to its embedding           sinusoidal, learned
    rotation   queries and keys are rotated by angles that grow with position   rotary
    bias       a number that depends on the distance is added to each score      relative, ALiBi

Rotations and biases act on self-attention only: between source and target there is no distance.

Vaswani et al. (2017), https://arxiv.org/abs/1706.03762      sinusoidal
Gehring et al. (2017), https://arxiv.org/abs/1705.03122      learned
Su et al. (2021), https://arxiv.org/abs/2104.09864           rotary
Raffel et al. (2020), https://arxiv.org/abs/1910.10683       relative, the bias of T5
Press et al. (2022), https://arxiv.org/abs/2108.12409        ALiBi

Shapes: B batch, T queries, S key positions, D model size, H heads, d = D / H.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_sizes
from nmt.errors import UserError


class Order(NamedTuple):
    """What self-attention learns about the order of its inputs; the same for all layers of a stack.

    Attributes:
        rotation: (2, T, d/2), the cosines and sines by which `rotate` turns queries and keys; None: they stay.
        bias: (H, T, S), added to the scores; None: nothing is added.
    """

    rotation: Tensor | None = None
    bias: Tensor | None = None


UNORDERED = Order()
"""For attention that sees no order, such as cross-attention."""


class Positions(nn.Module):
    """How one stack of layers knows the order of its inputs. These methods do nothing; a subclass overrides one.

    Args:
        arguments: all arguments of the subclass. Among them are the model_size of the Transformer, its num_heads, or
            both.

    Attributes:
        max_length: the maximum number of positions; None without a limit.
        has_bias: whether `bias` returns anything; if not, a decoding step need not know the distances.
    """

    max_length: int | None = None
    has_bias = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    def another(self) -> Self:
        """Positions of the same kind and sizes, with parameters of their own."""
        return type(self)(**self.arguments)

    def check_fit(self, **sizes: int) -> None:
        """Raises UserError if the positions were made for a Transformer of other sizes."""
        for name, size in sizes.items():
            own = self.arguments.get(name, size)
            if own != size:
                raise UserError(f"the positions have {name}={own}, but the model has {name}={size}")

    def add(self, embedded: Tensor, start: int, length: int) -> Tensor:
        """Embeddings (…, length, D) with the vectors of the positions `start` … `start + length - 1`.

        A decoding step passes embeddings (N, D) of N hypotheses that are all at one position, so its length is 1.
        """
        return embedded

    def rotation(self, start: int, length: int, like: Tensor) -> Tensor | None:
        """Cosines and sines (2, length, d/2) of these positions for `rotate`, on the device of `like`."""
        return None

    def bias(self, distances: Tensor, *, causal: bool) -> Tensor | None:
        """What is added to the scores (H, T, S) of queries and keys.

        Args:
            distances: (T, S), the position of each query minus that of each key.
            causal: queries attend to no later position; at negative distances, the bias is then meaningless.
        """
        return None

    def order(self, hidden: Tensor, *, causal: bool) -> Order:
        """The order of a whole sequence (B, T, D), for the self-attention of every layer."""
        length = hidden.size(1)
        order = Order(rotation=self.rotation(0, length, hidden))
        if self.has_bias:
            positions = torch.arange(length, device=hidden.device)  # (T,)
            order = order._replace(bias=self.bias(positions.unsqueeze(1) - positions, causal=causal))
        return order


class TablePositions(Positions):
    """Adds a row of a table to the embedding at each position. Subclasses make `table` (max_length, D)."""

    table: Tensor

    def __init__(self, *, model_size: int, max_length: int) -> None:
        super().__init__(model_size=model_size, max_length=max_length)
        check_sizes(model_size=model_size, max_length=max_length)
        self.max_length = max_length

    def add(self, embedded: Tensor, start: int, length: int) -> Tensor:
        end = start + length
        assert end <= self.table.size(0), f"position {end} is past the limit of {self.table.size(0)}"
        return embedded + self.table[start:end]


class SinusoidalPositions(TablePositions):
    """Adds sines and cosines of pos / 10000^(2i/D) to the embedding at position `pos` (Vaswani et al., 2017, §3.5).

    Sines fill the first half of the dimensions and cosines the second. The paper interleaves them, which differs only
    in the order of dimensions, and the first projection learns any order.

    Raises:
        UserError: a size is not a positive integer, or model_size is odd.
    """

    def __init__(self, *, model_size: int, max_length: int) -> None:
        super().__init__(model_size=model_size, max_length=max_length)
        if model_size % 2:
            raise UserError(f"model_size={model_size} must be even: each frequency has a sine and a cosine")
        table = torch.empty(max_length, model_size)
        if not table.is_meta:  # on `meta` only shapes count, and computing there would import torch's compiler
            frequencies = torch.exp(-math.log(10_000) * torch.arange(0, model_size, 2) / model_size)  # (D/2,)
            angles = torch.arange(max_length).unsqueeze(1) * frequencies  # (max_length, D/2)
            torch.cat([angles.sin(), angles.cos()], dim=1, out=table)  # (max_length, D)
        self.register_buffer("table", table, persistent=False)


class LearnedPositions(TablePositions):
    """Adds a learned vector to the embedding at each position (Gehring et al., 2017, §3.1), also BERT's choice.

    A vector is only trained if some sentence of the corpus is long enough.

    Raises:
        UserError: a size is not a positive integer.
    """

    def __init__(self, *, model_size: int, max_length: int) -> None:
        super().__init__(model_size=model_size, max_length=max_length)
        self.table = nn.Parameter(torch.empty(max_length, model_size))
        nn.init.normal_(self.table, std=model_size**-0.5)


class RotaryPositions(Positions):
    """Rotates queries and keys by angles that grow with their positions (Su et al., 2021, §3.2.2, Eq. 14 to 16).

    A head's d numbers are d/2 pairs, each a point in the plane. At position m, pair i is rotated by m · base^(-2i/d).
    The dot product of a query at m with a key at n then depends on m and n only through m - n. As with the sines, pairs
    are number i of the first half and number i of the second, while the paper pairs neighbours.

    Args:
        model_size: D.
        num_heads: H.
        base: the largest wavelength is about 2π · base positions.

    Raises:
        UserError: a size is not a positive integer, the numbers of a head cannot be paired, or base is not above 1.
    """

    def __init__(self, *, model_size: int, num_heads: int, base: float) -> None:
        super().__init__(model_size=model_size, num_heads=num_heads, base=base)
        check_sizes(model_size=model_size, num_heads=num_heads)
        if model_size % (2 * num_heads):
            raise UserError(
                f"model_size={model_size} must be a multiple of 2 · num_heads={num_heads}: a head's numbers are "
                "rotated in pairs"
            )
        if not 1 < base < math.inf:
            raise UserError(f"base={base} must be a number above 1")
        self.head_size = model_size // num_heads
        self.base = base

    def rotation(self, start: int, length: int, like: Tensor) -> Tensor:
        # In float32 even if the model is in bfloat16, which has no exact numbers above 256.
        dtype = torch.promote_types(like.dtype, torch.float32)
        exponents = torch.arange(0, self.head_size, 2, device=like.device, dtype=dtype) / self.head_size  # (d/2,)
        positions = torch.arange(start, start + length, device=like.device, dtype=dtype).unsqueeze(1)  # (length, 1)
        angles = positions * self.base**-exponents  # (length, d/2)
        return torch.stack([angles.cos(), angles.sin()])  # (2, length, d/2)


class RelativePositions(Positions):
    """Adds a learned number to each score, one per head and bucket of distances (Raffel et al., 2020, §2.1).

    Small distances have a bucket each. Larger ones share buckets whose width grows with the logarithm of the distance,
    up to max_distance, from where on all share the last. An encoder uses half of the buckets for each direction, and a
    decoder, which only looks back, all of them for the past. T5 shares the numbers between the layers of a stack.

    This is the simplest form of relative positions. Those of Shaw et al. (2018, https://arxiv.org/abs/1803.02155) add
    vectors to keys and values, which needs a (T, S, d) tensor or products of its own. A bias is what fused kernels
    accept, and it leaves the keys of a cache as they are.

    Args:
        num_heads: H.
        num_buckets: for both directions together.
        max_distance: from here on, all distances share a bucket.

    Raises:
        UserError: a size is not a positive integer, num_buckets is no multiple of 4, or max_distance does not exceed
            the distances that have a bucket of their own.
    """

    has_bias = True

    def __init__(self, *, num_heads: int, num_buckets: int, max_distance: int) -> None:
        super().__init__(num_heads=num_heads, num_buckets=num_buckets, max_distance=max_distance)
        check_sizes(num_heads=num_heads, num_buckets=num_buckets, max_distance=max_distance)
        if num_buckets % 4:
            raise UserError(f"num_buckets={num_buckets} must be a multiple of 4: two directions, each with two halves")
        if max_distance <= num_buckets // 2:
            raise UserError(f"max_distance={max_distance} must be more than num_buckets / 2 = {num_buckets // 2}")
        self.table = nn.Parameter(torch.zeros(num_buckets, num_heads))
        self.register_buffer("causal_starts", bucket_starts(num_buckets, max_distance), persistent=False)
        self.register_buffer("direction_starts", bucket_starts(num_buckets // 2, max_distance), persistent=False)

    def bias(self, distances: Tensor, *, causal: bool) -> Tensor:
        if causal:
            buckets = torch.bucketize(distances, self.get_buffer("causal_starts"), right=True)  # (T, S)
        else:
            buckets = torch.bucketize(distances.abs(), self.get_buffer("direction_starts"), right=True)  # (T, S)
            buckets = buckets + (distances < 0) * (self.table.size(0) // 2)  # later keys have the second half
        return F.embedding(buckets, self.table).permute(2, 0, 1)  # (H, T, S)


def bucket_starts(num_buckets: int, max_distance: int) -> Tensor:
    """The smallest distance of each bucket but the first (num_buckets - 1,), in the code of T5.

    With 8 buckets up to distance 16: 1, 2, 3, 4, then 4 · (16/4)^(i/4) rounded up: 6, 8, 12.
    """
    num_exact = num_buckets // 2
    num_wide = num_buckets - num_exact
    growth = max_distance / num_exact
    wide = [math.ceil(num_exact * growth ** (number / num_wide) - 1e-9) for number in range(num_wide)]
    return torch.tensor([*range(1, num_exact), *wide])


class ALiBiPositions(Positions):
    """Subtracts m_h · distance from each score of head h, without parameters (Press et al., 2022, §3).

    The slopes m_h are 2^(-8/H), 2^(-16/H), …, 2^(-8): some heads see a few neighbours, others the whole sentence. The
    paper's models only look back. An encoder uses the distance in both directions, |i - j|.

    Args:
        num_heads: H.

    Raises:
        UserError: num_heads is not a positive integer.
    """

    has_bias = True

    def __init__(self, *, num_heads: int) -> None:
        super().__init__(num_heads=num_heads)
        check_sizes(num_heads=num_heads)
        self.num_heads = num_heads

    def bias(self, distances: Tensor, *, causal: bool) -> Tensor:
        numbers = torch.arange(1, self.num_heads + 1, device=distances.device)  # (H,)
        slopes = torch.exp2(numbers * (-8 / self.num_heads)).view(-1, 1, 1)  # (H, 1, 1)
        return -slopes * distances.abs()  # (H, T, S)


def rotate(vectors: Tensor, rotation: Tensor) -> Tensor:
    """Rotates the pairs of queries or keys (…, T, d) by the cosines and sines (2, T, d/2) of `Positions.rotation`."""
    cosines, sines = rotation  # 2 × (T, d/2)
    first, second = vectors.chunk(2, dim=-1)  # 2 × (…, T, d/2)
    rotated = torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)  # (…, T, d)
    return rotated.to(vectors.dtype)
