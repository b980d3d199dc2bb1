import math

import pytest
import torch
from torch.nn import functional as F

from nmt.training.loss import cross_entropy

B, T, V = 3, 5, 7


def some_logits(seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (3 * torch.randn(B, T, V, generator=torch.Generator().manual_seed(seed))).to(dtype).requires_grad_()


TARGET = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(2))
MASK = torch.arange(T) < torch.tensor([[5], [2], [3]])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_value_and_gradient_are_torch_s(label_smoothing: float) -> None:
    logits, same = some_logits(), some_logits()
    loss, likelihood = cross_entropy(logits, TARGET, MASK, label_smoothing=label_smoothing)
    expected = F.cross_entropy(same[MASK], TARGET[MASK], reduction="sum", label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(likelihood, F.cross_entropy(same[MASK], TARGET[MASK], reduction="sum"))
    (loss * 0.3).backward()
    (expected * 0.3).backward()
    torch.testing.assert_close(logits.grad, same.grad)


def test_the_gradient_is_the_value_s_slope() -> None:
    logits = some_logits()
    loss, _ = cross_entropy(logits, TARGET, MASK, label_smoothing=0.2)
    loss.backward()
    moved = torch.zeros(B, T, V)
    moved[0, 1, 3], moved[1, 0, 2] = 1e-2, -1e-2
    with torch.no_grad():
        up, down = (cross_entropy(logits + sign * moved, TARGET, MASK, label_smoothing=0.2)[0] for sign in (1, -1))
    assert float(up - down) / 2 == pytest.approx(float((logits.grad * moved).sum()), rel=1e-2)


def test_by_hand() -> None:
    logits = torch.tensor([[[math.log(1.0), math.log(3.0)]]])  # p = 1/4, 3/4
    loss, likelihood = cross_entropy(logits, torch.tensor([[1]]), torch.ones(1, 1).bool(), label_smoothing=0.2)
    assert float(likelihood) == pytest.approx(-math.log(3 / 4))
    assert float(loss) == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))


def test_what_is_masked_counts_nothing() -> None:
    logits = some_logits()
    first = cross_entropy(logits, TARGET, MASK, label_smoothing=0.1)
    other = torch.where(MASK.unsqueeze(-1), logits, torch.full_like(logits, 99.0))
    second = cross_entropy(other, TARGET.masked_fill(~MASK, 0), MASK, label_smoothing=0.1)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    first[0].backward()
    assert logits.grad is not None
    assert bool((logits.grad[~MASK] == 0).all())
    assert bool((logits.grad[MASK].abs().sum(-1) > 0).all())


def test_nothing_real_is_no_loss_and_moves_nothing() -> None:
    logits = some_logits()
    loss, likelihood = cross_entropy(logits, TARGET, torch.zeros_like(MASK), label_smoothing=0.1)
    assert loss.item() == likelihood.item() == 0
    loss.backward()
    assert logits.grad is not None and not bool(logits.grad.any())


def test_bf16_logits_are_summed_in_float32() -> None:
    logits = some_logits(dtype=torch.bfloat16)
    loss, likelihood = cross_entropy(logits, TARGET, MASK, label_smoothing=0.1)
    exact = logits.detach().float().requires_grad_()
    expected, expected_likelihood = cross_entropy(exact, TARGET, MASK, label_smoothing=0.1)
    assert loss.dtype == likelihood.dtype == torch.float32
    assert torch.equal(loss, expected) and torch.equal(likelihood, expected_likelihood)
    loss.backward()
    expected.backward()
    assert logits.grad is not None and logits.grad.dtype == torch.bfloat16
    assert torch.equal(logits.grad, exact.grad.bfloat16())


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[[1e4, -1e4, 0.0]]], requires_grad=True)
    loss, _ = cross_entropy(logits, torch.tensor([[1]]), torch.ones(1, 1).bool(), label_smoothing=0.1)
    loss.backward()
    assert bool(loss.isfinite()) and bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0, 2.0])
def test_smoothing_out_of_range(label_smoothing: float) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing=.* must be a probability from 0 to below 1"):
        cross_entropy(some_logits(), TARGET, MASK, label_smoothing=label_smoothing)
