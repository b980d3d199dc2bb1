"""Consistency training: the fused divergence equals the formula, and the loss is the mean of both passes plus it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import nmt.training.loss
from nmt import models
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.consistency import ConsistentObjective, linear_divergence, make_objective
from nmt.training.loss import Objective

N, E, V = 7, 4, 6


@pytest.fixture(params=[1, 3, 100], ids=lambda rows: f"{rows}-rows")
def chunk_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one row, of three rows with a smaller last chunk, and of all rows."""
    monkeypatch.setitem(nmt.training.loss.MAX_CHUNK_LOGITS, "cpu", request.param * V)


@pytest.fixture
def model(description: dict[str, Any]) -> Seq2Seq:
    """Each architecture, without dropout."""
    return build(description, models)


@pytest.fixture
def dropout_model(description: dict[str, Any]) -> Seq2Seq:
    """Each architecture, with dropout."""
    return build({**description, "arguments": description["arguments"] | {"dropout": 0.3}}, models)


def random_inputs() -> tuple[Tensor, Tensor, nn.Linear]:
    torch.manual_seed(1)
    output = nn.Linear(E, V).double()
    first, second = (torch.randn(N, E, dtype=torch.float64, requires_grad=True) for _ in range(2))
    return first, second, output


def plain_divergence(first: Tensor, second: Tensor, output: nn.Linear) -> Tensor:
    log_p, log_q = output(first).log_softmax(-1), output(second).log_softmax(-1)
    return sum(
        F.kl_div(one, other, reduction="sum", log_target=True) for one, other in ((log_p, log_q), (log_q, log_p))
    )  # type: ignore[return-value]


@pytest.mark.usefixtures("chunk_size")
def test_divergence_and_gradients_equal_the_plain_formula() -> None:
    first, second, output = random_inputs()
    inputs = [first, second, output.weight, output.bias]
    found, expected = linear_divergence(first, second, output), plain_divergence(first, second, output)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(found * 0.3, inputs), torch.autograd.grad(expected * 0.3, inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-12)


def test_the_divergence_equals_one_computed_by_hand() -> None:
    output = nn.Linear(1, 2)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[0.0], [math.log(3.0)]]))
        output.bias.zero_()
    divergence = linear_divergence(torch.ones(1, 1), torch.zeros(1, 1), output)  # p = 1/4, 3/4 and q = 1/2, 1/2
    assert divergence.item() == pytest.approx((3 / 4 - 1 / 2) * math.log(3))


def test_equal_passes_have_no_divergence() -> None:
    first, _, output = random_inputs()
    assert linear_divergence(first, first, output).item() == pytest.approx(0.0, abs=1e-12)


def test_without_dropout_the_loss_is_the_usual_one(model: Seq2Seq, batch: Batch) -> None:
    model.train()
    expected = Objective(model, label_smoothing=0.1)(*batch.tensors)
    found = ConsistentObjective(model, label_smoothing=0.1, consistency=5.0)(*batch.tensors)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_with_dropout_the_loss_is_that_of_both_passes_and_their_divergence(
    dropout_model: Seq2Seq, batch: Batch
) -> None:
    dropout_model.train()
    torch.manual_seed(3)
    found, _ = ConsistentObjective(dropout_model, label_smoothing=0.1, consistency=5.0)(*batch.tensors)
    torch.manual_seed(3)
    twice = [torch.cat([tensor, tensor]) for tensor in (batch.source, batch.source_mask, batch.target_input)]
    logits = dropout_model(*twice)  # (2 B, T, V)
    first, second = (half[batch.target_mask] for half in logits.chunk(2))
    target = batch.target_output[batch.target_mask]
    cross_entropies = [F.cross_entropy(half, target, reduction="sum", label_smoothing=0.1) for half in (first, second)]
    divergence = plain_divergence(first, second, nn.Identity())  # type: ignore[arg-type]
    assert divergence.item() > 0.01
    torch.testing.assert_close(found, sum(cross_entropies) / 2 + 5 / 4 * divergence, rtol=1e-4, atol=1e-4)


def test_outside_training_there_is_one_pass(dropout_model: Seq2Seq, batch: Batch) -> None:
    dropout_model.eval()
    expected = Objective(dropout_model, label_smoothing=0.1)(*batch.tensors)
    found = ConsistentObjective(dropout_model, label_smoothing=0.1, consistency=5.0)(*batch.tensors)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_a_weight_of_zero_needs_one_pass_only(model: Seq2Seq) -> None:
    assert type(make_objective(model, label_smoothing=0.1, consistency=0.0)) is Objective
