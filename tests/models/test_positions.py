"""Positions compared with loops over positions, straight from the papers' equations."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nmt.models import ALiBiPositions, LearnedPositions, RelativePositions, RotaryPositions
from nmt.models.attention import MultiHeadAttention, attention_with_weights, fused_attention
from nmt.models.positions import Order, Positions, rotate

SIZE, HEADS, LENGTH = 12, 3, 40
HEAD_SIZE = SIZE // HEADS
MASK = torch.arange(LENGTH) < torch.tensor([[LENGTH], [7]])  # (2, LENGTH)


def t5_bucket(distance: int, *, causal: bool, num_buckets: int, max_distance: int) -> int:
    """`_relative_position_bucket` of T5's published code, for one pair; `distance` is query minus key."""
    bucket = 0
    if causal:
        distance = max(distance, 0)
    else:
        num_buckets //= 2
        bucket = num_buckets * (distance < 0)
        distance = abs(distance)
    num_exact = num_buckets // 2
    if distance < num_exact:
        return bucket + distance
    growth = math.log(distance / num_exact) / math.log(max_distance / num_exact)
    return bucket + min(num_exact + int(growth * (num_buckets - num_exact) + 1e-9), num_buckets - 1)


def rotary_score(query: Tensor, key: Tensor, m: int, n: int, base: float) -> Tensor:
    """Re[Σ_i q_i k_i* e^{i(m-n)θ_i}] with pairs as complex numbers (Su et al., 2021, Eq. 12 for each pair)."""
    half = len(query) // 2
    score = torch.zeros((), dtype=query.dtype)
    for i in range(half):
        q, k = torch.complex(query[i], query[half + i]), torch.complex(key[i], key[half + i])
        angle = (m - n) * base ** (-2 * i / len(query))
        score = score + (q * k.conj() * complex(math.cos(angle), math.sin(angle))).real
    return score


def learned_bias() -> RelativePositions:
    positions = RelativePositions(num_heads=HEADS, num_buckets=8, max_distance=20)
    torch.nn.init.normal_(positions.table)
    return positions


def expected_score(positions: Positions, query: Tensor, key: Tensor, head: int, m: int, n: int, causal: bool) -> Tensor:
    """The score of a query at position m and a key at n, each (d,), before the softmax."""
    if isinstance(positions, RotaryPositions):
        return rotary_score(query, key, m, n, positions.base) / math.sqrt(len(query))
    score = query @ key / math.sqrt(len(query))
    if isinstance(positions, ALiBiPositions):
        return score - 2 ** (-8 * (head + 1) / HEADS) * abs(m - n)
    assert isinstance(positions, RelativePositions)
    return score + positions.table[t5_bucket(m - n, causal=causal, num_buckets=8, max_distance=20), head]


KINDS: dict[str, Callable[[], Positions]] = {
    "rotary": lambda: RotaryPositions(model_size=SIZE, num_heads=HEADS, base=50.0),
    "relative": learned_bias,
    "alibi": lambda: ALiBiPositions(num_heads=HEADS),
}


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_self_attention_follows_the_paper(kind: str, causal: bool) -> None:
    """By the fused kernel and by the formula, with padding in the encoder."""
    torch.manual_seed(1)
    positions = KINDS[kind]().double()
    attention = MultiHeadAttention(
        model_size=SIZE, num_heads=HEADS, num_key_value_heads=HEADS, dropout=0.0, attention_dropout=0.0
    ).double()
    inputs = torch.randn(2, LENGTH, SIZE, dtype=torch.float64)
    queries = attention.split_heads(attention.query_projection(inputs))
    keys, values = attention.keys_values(inputs)
    heads = torch.zeros_like(queries)
    for row, real in enumerate(MASK.sum(1).tolist()):
        for head in range(HEADS):
            for m in range(LENGTH if causal else real):
                seen = range(m + 1) if causal else range(real)
                pairs = [(queries[row, head, m], keys[row, head, n], head, m, n, causal) for n in seen]
                weights = torch.stack([expected_score(positions, *pair) for pair in pairs]).softmax(0)
                heads[row, head, m] = weights @ values[row, head, seen]
    expected = attention.output_projection(heads.transpose(1, 2).flatten(2))
    order = positions.order(inputs, causal=causal)
    mask = None if causal else MASK[:, None, None, :]
    is_compared = MASK if not causal else torch.ones_like(MASK)
    record: list[Tensor] = []
    for options in ({}, {"record": record}):
        output = attention(inputs, mask=mask, causal=causal, order=order, **options)
        # Not to the last digits: slopes are float32.
        torch.testing.assert_close(output[is_compared], expected[is_compared], rtol=0.0, atol=1e-6)
    assert (attention(inputs, mask=mask, causal=causal) - output)[is_compared].abs().max() > 0.01


def test_distances_have_the_buckets_of_t5() -> None:
    for num_buckets, max_distance in ((32, 128), (8, 16), (4, 6)):
        positions = RelativePositions(num_heads=1, num_buckets=num_buckets, max_distance=max_distance)
        positions.table.data = torch.arange(float(num_buckets)).unsqueeze(1)  # the bias is the bucket
        distances = torch.arange(-200, 201).unsqueeze(0)
        for causal in (False, True):
            expected = [
                t5_bucket(d, causal=causal, num_buckets=num_buckets, max_distance=max_distance)
                for d in distances[0].tolist()
            ]
            found = positions.bias(distances, causal=causal)[0, 0]
            start = 200 if causal else 0  # negative distances do not occur
            assert found[start:].tolist() == expected[start:]


def test_alibi_has_the_slopes_of_the_paper() -> None:
    """§3: for 8 heads 1/2, 1/4, …, 1/256."""
    bias = ALiBiPositions(num_heads=8).bias(torch.tensor([[3, 0, -2]]), causal=False)
    slopes = torch.tensor([1 / 2**number for number in range(1, 9)])
    assert torch.equal(bias, -slopes.view(8, 1, 1) * torch.tensor([3.0, 0.0, 2.0]))


def test_rotary_scores_depend_on_the_distance_only_and_lengths_stay() -> None:
    positions = RotaryPositions(model_size=8, num_heads=1, base=10_000.0)
    query, key = torch.randn(2, 1, 8, dtype=torch.float64)

    def at(vector: Tensor, position: int) -> Tensor:
        return rotate(vector, positions.rotation(position, 1, vector))[0]

    for m, n in ((0, 5), (3, 8), (700, 705)):
        assert float(at(query, m) @ at(key, n)) == pytest.approx(float(at(query, 0) @ at(key, 5)), abs=1e-10)
        assert float(at(query, m).norm()) == pytest.approx(float(query.norm()))


def test_rotations_and_biases_stay_exact_in_bfloat16() -> None:
    """bfloat16 cannot tell 256 from 257."""
    hidden = torch.zeros(1, 300, 16, dtype=torch.bfloat16)
    rotary = RotaryPositions(model_size=16, num_heads=2, base=10_000.0).bfloat16()
    rotation = rotary.order(hidden, causal=True).rotation
    assert rotation is not None
    assert rotation[0, 299, 0].item() == pytest.approx(math.cos(299), abs=1e-4)
    assert rotate(hidden.view(1, 300, 2, 8).transpose(1, 2), rotation).dtype == torch.bfloat16
    bias = ALiBiPositions(num_heads=2).bfloat16().order(hidden, causal=True).bias
    assert bias is not None
    assert bias[1, 299, 0].item() == -299 / 256


def test_learned_positions_are_added_and_end_at_the_maximum_length() -> None:
    positions = LearnedPositions(model_size=4, max_length=6)
    embedded = torch.randn(2, 3, 4)
    assert torch.equal(positions.add(embedded, 3, 3), embedded + positions.table[3:6])
    with pytest.raises(AssertionError, match="limit of 6"):
        positions.add(embedded, 4, 3)
    assert positions.order(embedded, causal=True) == Order(None, None)


@pytest.mark.parametrize("length", [5, 200])  # by the formula, and by the kernel in float32
def test_the_kernel_takes_a_bias_in_bfloat16(length: int) -> None:
    torch.manual_seed(1)
    queries, keys, values = torch.randn(3, 2, 2, length, 8)
    bias = ALiBiPositions(num_heads=2).order(torch.zeros(1, length, 16), causal=True).bias
    expected = attention_with_weights(queries, keys, values, mask=None, causal=True, bias=bias)[0]
    inputs = queries.bfloat16(), keys.bfloat16(), values.bfloat16()
    found = fused_attention(*inputs, mask=None, causal=True, bias=bias)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
