"""Sparse and linear attention against the rules and equations of the papers, position by position."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.data.counter_rng import random_bits
from nmt.models.attention import attention_with_weights
from nmt.models.attention.linear import (
    CHUNK_POSITIONS,
    causal_linear_attention,
    features,
    linear_attention,
    linear_attention_weights,
)
from nmt.models.attention.sparse import SparseAttention, random_numbers
from nmt.models.dropout import Dropout
from tests.models.conftest import Variant

PATTERNS = {
    "window": SparseAttention(window=3, num_global=0, num_random=0),
    "global": SparseAttention(window=2, num_global=3, num_random=0),
    "random": SparseAttention(window=2, num_global=0, num_random=2),
    "all": SparseAttention(window=4, num_global=1, num_random=3),
}
NO_DROPOUT = Dropout(0.0)


def heads(batch: int, length: int, *, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Random queries, keys and values (B, 2, S, 5) in float64."""
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = torch.randn(3, batch, 2, length, 5, dtype=torch.float64, generator=generator)
    return queries, keys, values


def mask_of(lengths: list[int]) -> Tensor:
    """A mask (B, S) of sentences with these lengths."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("lengths", [[1], [2, 1], [7, 12, 3], [24]], ids=str)
def test_blocks_compute_the_formula_with_the_mask_of_the_pattern(pattern: SparseAttention, lengths: list[int]) -> None:
    mask = mask_of(lengths)
    queries, keys, values = heads(*mask.shape)
    inputs = [each.requires_grad_() for each in (queries, keys, values)]
    output = pattern(queries, keys, values, mask, NO_DROPOUT)
    expected, weights = attention_with_weights(*inputs, mask=pattern.visible(mask), causal=False)
    real = mask[:, None, :, None].expand_as(output)
    torch.testing.assert_close(output[real], expected[real])
    assert (weights[~pattern.visible(mask).expand_as(weights)] == 0).all()
    for gradient, expected_gradient in zip(
        torch.autograd.grad(output[real].square().sum(), inputs),
        torch.autograd.grad(expected[real].square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected_gradient)


def test_a_window_sees_its_distance_and_global_positions_see_all() -> None:
    mask = mask_of([9, 6])
    near = SparseAttention(window=2, num_global=0, num_random=0).visible(mask)
    with_global = SparseAttention(window=2, num_global=1, num_random=0).visible(mask)
    for sentence, length in enumerate([9, 6]):
        for p in range(length):
            for q in range(9):
                assert near[sentence, 0, p, q] == (abs(p - q) <= 2 and q < length)
                assert with_global[sentence, 0, p, q] == ((abs(p - q) <= 2 or 0 in (p, q)) and q < length)


def test_random_blocks_are_whole_and_a_sentence_has_the_same_alone() -> None:
    pattern = SparseAttention(window=4, num_global=0, num_random=2)
    alone, together = pattern.visible(mask_of([38])), pattern.visible(mask_of([80, 38]))
    assert alone[0, 0].equal(together[1, 0, :38, :38]) and not together[1, 0, :38, 38:].any()
    far_blocks = set()
    for block in range(20):
        row = together[0, 0, 4 * block]  # (S,)
        distant = [q for q in range(80) if row[q] and abs(q - 4 * block) > 4]
        blocks = {q // 4 for q in distant}
        assert len(blocks) <= 2 + 1  # the window ends in the middle of a block
        far_blocks |= blocks
    assert len(far_blocks) > 10  # not always the same


def test_random_blocks_are_those_of_a_random_generator() -> None:
    """Not a regular pattern, in which information would travel in steps of one length only."""
    numbers = random_numbers(torch.arange(1, 129).view(64, 2))
    assert numbers.flatten().tolist() == (random_bits(np.uint64(0), np.arange(128, dtype=np.uint64)) >> 32).tolist()
    pattern = SparseAttention(window=1, num_global=0, num_random=2)
    visible = pattern.visible(mask_of([64]))[0, 0].long()
    distances = {(q - p) % 64 for p, q in visible.nonzero().tolist() if abs(q - p) > 1}
    assert len(distances) > 32  # of 61


def elu_plus_one(x: float) -> float:
    return x + 1 if x > 0 else math.exp(x)


@pytest.mark.parametrize("causal", [False, True])
def test_linear_attention_by_hand(causal: bool) -> None:
    """Loops over Eqs. 5 and 7 for one head, with numbers."""
    queries, keys, values = heads(1, 6)
    mask = torch.tensor([[True] * 5 + [False]])
    weights = torch.zeros(6, 6, dtype=torch.float64)
    expected = torch.zeros(6, 5, dtype=torch.float64)
    for i in range(6):
        seen = [j for j in range(6) if (j <= i if causal else j < 5)]
        similarity = {
            j: sum(
                elu_plus_one(q) * elu_plus_one(k)
                for q, k in zip(queries[0, 0, i].tolist(), keys[0, 0, j].tolist(), strict=True)
            )
            for j in seen
        }
        for j in seen:
            weights[i, j] = similarity[j] / sum(similarity.values())
            expected[i] += weights[i, j] * values[0, 0, j]
    query_features, key_features = features(queries), features(keys)
    if causal:
        output = causal_linear_attention(query_features, key_features, values)
    else:
        output = linear_attention(query_features, key_features, values, mask[:, None])
    torch.testing.assert_close(output[0, 0], expected)
    found = linear_attention_weights(
        query_features, key_features, mask=None if causal else mask[:, None], causal=causal
    )
    torch.testing.assert_close(found[0, 0], weights)


@pytest.mark.parametrize("length", [1, CHUNK_POSITIONS - 1, CHUNK_POSITIONS, 2 * CHUNK_POSITIONS + 5])
def test_chunks_change_nothing(length: int) -> None:
    queries, keys, values = heads(2, length)
    queries, keys = features(queries), features(keys)
    weights = linear_attention_weights(queries, keys, mask=None, causal=True)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, length, dtype=torch.float64))
    torch.testing.assert_close(causal_linear_attention(queries, keys, values), weights @ values)


def test_a_large_later_key_takes_no_digits_from_earlier_positions() -> None:
    """The sums over earlier chunks are not a difference with the sum over all."""
    queries, keys, values = (each.float() for each in heads(1, 3 * CHUNK_POSITIONS))
    keys[:, :, :CHUNK_POSITIONS] -= 12.0
    expected = causal_linear_attention(features(queries), features(keys), values)
    keys[:, :, -1] += 1000.0
    found = causal_linear_attention(features(queries), features(keys), values)
    assert torch.equal(found[:, :, :-1], expected[:, :, :-1])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 0.005)])
def test_features_of_very_negative_numbers_stay_positive(dtype: torch.dtype, tolerance: float) -> None:
    vectors = torch.tensor([-3.0, -7.0, -20.0, -80.0], dtype=dtype)
    expected = [elu_plus_one(-3.0), elu_plus_one(-7.0), elu_plus_one(-20.0), elu_plus_one(-80.0)]
    torch.testing.assert_close(features(vectors).double(), torch.tensor(expected).double(), rtol=tolerance, atol=0.0)
    queries, values = features(torch.full((1, 1, 2, 5), -20.0, dtype=dtype)), torch.ones(1, 1, 2, 5, dtype=dtype)
    torch.testing.assert_close(linear_attention(queries, queries, values, None), values)


def test_weights_under_autocast_sum_to_one() -> None:
    queries, keys, _ = heads(1, 40)
    with torch.autocast("cpu", torch.bfloat16):
        weights = linear_attention_weights(features(queries.float()), features(keys.float()), mask=None, causal=True)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 40))


@torch.no_grad()
def test_the_sums_of_a_long_target_go_on_growing_in_bfloat16() -> None:
    """A bfloat16 sum of 1,000 equal numbers would end at 256 times the number: 257 would be rounded to 256."""
    model = Variant("transformer-linear", 2, shared_vocab=False, tie_output=False).build().bfloat16()
    memory = model.encode(torch.tensor([[5, 2]]), torch.tensor([[True, True]]))
    attention: Any = model.get_submodule("decoder.layers.0.self_attention")
    token, outputs, sums = torch.randn(1, 1, 8).bfloat16(), [], [model.start(memory).sums[0]]
    for _ in range(1000):
        outputs.append(attention.step(token, sums[-1], sums))
    torch.testing.assert_close(sums[1000], 1000 * sums[1])
    torch.testing.assert_close(outputs[999], outputs[0])
