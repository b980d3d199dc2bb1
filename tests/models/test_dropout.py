"""Dropout masks follow their formula, are independent and reproducible, and are used in training only."""

import sys

import pytest
import torch

from nmt.models.dropout import Dropout, dropout_mask

COUNT = 800_000


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


def dropping(p: float) -> Dropout:
    """A dropout layer in training mode."""
    return Dropout(p).train()


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_a_fraction_p_is_dropped_and_the_mean_is_kept(p: float) -> None:
    output = dropping(p)(torch.ones(COUNT))
    used = round(p * 256) / 256
    deviation = (used * (1 - used) / COUNT) ** 0.5
    assert (output == 0).float().mean().item() == pytest.approx(used, abs=5 * deviation)
    assert output.double().mean().item() == pytest.approx(1.0, abs=5 * deviation / (1 - used))
    assert output[output != 0].unique().tolist() == pytest.approx([1 / (1 - used)])


@pytest.mark.parametrize(("p", "used"), [(0.001, 0.0), (0.003, 1 / 256), (0.3, 77 / 256), (0.9999, 255 / 256)])
def test_p_is_rounded_to_a_multiple_of_1_256(p: float, used: float) -> None:
    output = dropping(p)(torch.ones(COUNT))
    dropped = (output == 0).float().mean().item()
    assert dropped == pytest.approx(used, abs=5 * (used * (1 - used) / COUNT) ** 0.5)
    assert output.max().item() == pytest.approx(1 / (1 - used))


@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 256])
def test_neighbouring_elements_are_dropped_independently(distance: int) -> None:
    dropped = (dropping(0.25)(torch.ones(COUNT)) == 0).double() - 0.25
    correlation = (dropped[distance:] * dropped[:-distance]).mean() / (0.25 * 0.75)
    assert abs(correlation.item()) < 5 / COUNT**0.5


def test_every_byte_of_a_random_word_is_dropped_equally_often() -> None:
    dropped = (dropping(0.25)(torch.ones(COUNT)) == 0).double().view(-1, 8).mean(0)
    assert dropped.tolist() == pytest.approx([0.25] * 8, abs=5 * (0.25 * 0.75 * 8 / COUNT) ** 0.5)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (8,), (5, 7), (2, 3, 11), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_shape_and_number_format_do_not_change(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    inputs = torch.full(shape, 3.0, dtype=dtype)
    output = dropping(0.5)(inputs)
    assert output.shape == inputs.shape
    assert output.dtype == dtype
    assert set(output.flatten().tolist()) <= {0.0, 6.0}
    assert (inputs == 3.0).all()


def test_outside_training_the_inputs_are_returned() -> None:
    inputs = torch.randn(100)
    assert Dropout(0.5).eval()(inputs) is inputs
    assert dropping(0.0)(inputs) is inputs


def test_the_same_seed_gives_the_same_masks() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append([dropping(0.5)(torch.ones(100)) for _ in range(2)])
    assert torch.equal(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][1], draws[1][1])
    assert not torch.equal(draws[0][0], draws[0][1])
    assert not torch.equal(draws[0][0], draws[2][0])


def test_the_gradient_is_zero_where_elements_were_dropped() -> None:
    inputs = torch.randn(1000, requires_grad=True)
    output = dropping(0.5)(inputs)
    output.sum().backward()
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, (output != 0) * 2.0)


def test_masks_of_different_calls_do_not_share_memory() -> None:
    first = dropout_mask(torch.Size([64]), 0.5, torch.float32)
    kept = first.clone()
    dropout_mask(torch.Size([64]), 0.5, torch.float32)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0, float("nan")])
def test_p_is_a_probability_below_one(p: float) -> None:
    with pytest.raises(ValueError, match=f"dropout={p}"):
        Dropout(p)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.9999])
def test_masks_equal_the_formula_with_one_random_byte_per_element(p: float) -> None:
    torch.manual_seed(5)
    words = torch.empty(3, dtype=torch.int64).random_(-(2**63), None).tolist()  # for 21 elements, eight in a word
    random_bytes = [byte for word in words for byte in word.to_bytes(8, sys.byteorder, signed=True)]
    dropped = min(round(256 * p), 255)
    expected = [0.0 if byte < dropped else 256 / (256 - dropped) for byte in random_bytes[:21]]
    torch.manual_seed(5)
    assert dropout_mask(torch.Size([3, 7]), p, torch.float64).flatten().tolist() == expected
