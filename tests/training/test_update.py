"""One update: it never makes the host wait for the device, and a non-finite gradient skips it."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from nmt import models
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.moving_average import MovingAverage
from nmt.training.update import Updater

LUONG = pytest.mark.parametrize("description", ["lstm_luong"], indirect=True)


def make_updater(
    description: dict[str, Any], *, dropout: float = 0.0, fused: bool = True, clip_norm: float = 1.0
) -> Updater:
    torch.manual_seed(1)
    arguments = description["arguments"] | {"dropout": dropout}
    model: Seq2Seq = build(description | {"arguments": arguments}, models)
    return Updater(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.AdamW(model.parameters(), fused=fused),
        autocast=nullcontext,
        clip_norm=clip_norm,
        processes=Processes(),
    )


def state_of(updater: Updater) -> list[torch.Tensor]:
    """Everything that an update changes: the weights, and the state of the optimizer."""
    optimizer_state = [value for state in updater.optimizer.state.values() for value in state.values()]
    return [tensor.detach().clone() for tensor in [*updater.model.parameters(), *optimizer_state]]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def spoil(updater: Updater, factor: float) -> torch.utils.hooks.RemovableHandle:
    """Multiplies the gradient of one parameter by `factor`, until the returned handle is removed."""
    return updater.model.vocabulary.output.bias.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]


@pytest.fixture
def fake_batch(batch: Batch) -> Iterator[Batch]:
    """A batch of fake tensors, which have shapes but no values: code that reads a value fails."""
    with FakeTensorMode() as mode:
        tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
        fake: dict[str, Any] = {name: mode.from_tensor(tensor) for name, tensor in tensors.items()}
        yield replace(batch, **fake)


def test_a_fused_update_reads_no_number_from_the_device(description: dict[str, Any], fake_batch: Batch) -> None:
    updater = make_updater(description, dropout=0.1)
    updater.moving_average = MovingAverage(updater.model, decay=0.9)
    pending = updater.update([fake_batch, fake_batch], rate=0.1, step=1)
    assert pending.numbers.shape == (3 + len(list(updater.model.parameters())),)


@LUONG
def test_an_update_that_reads_a_number_is_detected(description: dict[str, Any], fake_batch: Batch) -> None:
    updater = make_updater(description, fused=False)
    with pytest.raises(DataDependentOutputException):
        updater.update([fake_batch], rate=0.1, step=1)


@LUONG
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_nonfinite_gradient_changes_neither_weights_nor_optimizer(
    description: dict[str, Any], batch: Batch, fused: bool, factor: float
) -> None:
    updater, other = make_updater(description, fused=fused), make_updater(description, fused=fused)
    for one in (updater, other):
        assert one.update([batch], rate=0.01, step=1).result().applied
    before = state_of(updater)
    handle = spoil(updater, factor)
    result = updater.update([batch], rate=0.01, step=2).result()
    assert not result.applied
    assert [name for name, norm in result.gradient_norms.items() if not norm < float("inf")] == [
        "vocabulary.output.bias"
    ]
    assert same(state_of(updater), before)
    handle.remove()
    for one in (updater, other):  # later updates are the same as without the skipped one
        assert one.update([batch], rate=0.01, step=3).result().applied
    assert same(state_of(updater), state_of(other))
    assert not same(state_of(updater), before)


@dataclass(frozen=True)
class TwoEqualProcesses(Processes):
    """Stands in for two processes with the same gradients."""

    def all_reduce(self, number: torch.Tensor) -> torch.Tensor:
        return 2 * number


@LUONG
@pytest.mark.parametrize("fused", [True, False])
def test_several_processes_skip_an_update_together(description: dict[str, Any], batch: Batch, fused: bool) -> None:
    updater = make_updater(description, fused=fused)
    updater.processes = TwoEqualProcesses()
    before = state_of(updater)
    spoil(updater, float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).result().applied
    assert same(state_of(updater)[: len(before)], before)


@LUONG
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_the_first_update_may_be_skipped(
    description: dict[str, Any], batch: Batch, kind: type[torch.optim.Optimizer]
) -> None:
    updater, other = make_updater(description), make_updater(description)
    options: dict[str, Any] = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    for one in (updater, other):
        one.optimizer = kind(one.model.parameters(), lr=0.01, fused=True, **options)  # type: ignore[call-arg]
    handle = spoil(updater, float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).result().applied
    handle.remove()
    for one in (updater, other):
        for step in (2, 3):
            one.update([batch], rate=0.01, step=step)
    assert same(state_of(updater), state_of(other))


@LUONG
def test_the_result_holds_the_norms_of_the_gradients_and_the_nll(description: dict[str, Any], batch: Batch) -> None:
    updater = make_updater(description, clip_norm=1e9)
    result = updater.update([batch], rate=0.0, step=1).result()
    gradients = {name: parameter.grad for name, parameter in updater.model.named_parameters()}
    assert result.gradient_norms == {name: pytest.approx(float(each.norm())) for name, each in gradients.items()}  # type: ignore[union-attr]
    assert result.gradient_norm == pytest.approx(sum(norm**2 for norm in result.gradient_norms.values()) ** 0.5)
    with torch.no_grad():
        _, nll = updater.loss(batch)
    assert result.nll == pytest.approx(float(nll))


@LUONG
def test_a_gradient_is_clipped_to_the_given_norm(description: dict[str, Any], batch: Batch) -> None:
    updater = make_updater(description, clip_norm=0.01)
    assert updater.update([batch], rate=0.0, step=1).result().gradient_norm > 0.01
    norms = torch.stack(
        [parameter.grad.norm() for parameter in updater.model.parameters() if parameter.grad is not None]
    )
    assert float(norms.norm()) == pytest.approx(0.01, rel=1e-3)
