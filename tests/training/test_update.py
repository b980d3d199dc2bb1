"""One update: made without asking the device for a number, and left out by the device where it may not be made."""

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
from nmt.training import update
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.update import Updater

LUONG = pytest.mark.parametrize("description", ["lstm_luong"], indirect=True)


def make(description: dict[str, Any], *, dropout: float = 0.0, fused: bool = True, clip_norm: float = 1.0) -> Updater:
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
    """All that an update changes: weights, and the optimizer's means and counts."""
    kept = [value for state in updater.optimizer.state.values() for value in state.values()]
    return [tensor.detach().clone() for tensor in [*updater.model.parameters(), *kept]]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def spoil(updater: Updater, by: float) -> torch.utils.hooks.RemovableHandle:
    """Multiplies the gradient of one parameter, until the handle is removed."""
    return updater.model.vocabulary.output.bias.register_hook(lambda gradient: gradient * by)


@pytest.fixture
def shapes(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Batch]:
    """The batch as tensors that have shapes and no numbers: whoever asks for a number fails."""
    monkeypatch.setattr(update, "Reading", lambda numbers: numbers)  # the only one who may
    with FakeTensorMode() as mode:
        tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
        yield replace(batch, **{name: mode.from_tensor(tensor) for name, tensor in tensors.items()})


def test_an_update_asks_the_device_for_no_number(description: dict[str, Any], shapes: Batch) -> None:
    updater = make(description, dropout=0.1)
    outcome = updater.update([shapes, shapes], rate=0.1, step=1)
    assert outcome.reading.shape == (3 + len(list(updater.model.parameters())),)  # type: ignore[attr-defined]


@LUONG
def test_who_asks_for_a_number_would_be_caught(description: dict[str, Any], shapes: Batch) -> None:
    updater = make(description, fused=False)
    with pytest.raises(DataDependentOutputException):
        updater.update([shapes], rate=0.1, step=1)


@LUONG
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("by", [float("nan"), float("inf")])
def test_an_update_whose_gradient_is_not_finite_leaves_all_as_it_was(
    description: dict[str, Any], batch: Batch, fused: bool, by: float
) -> None:
    updater, other = make(description, fused=fused), make(description, fused=fused)
    for one in (updater, other):
        assert one.update([batch], rate=0.01, step=1).read().made
    before = state_of(updater)
    handle = spoil(updater, by)
    outcome = updater.update([batch], rate=0.01, step=2).read()
    assert not outcome.made
    assert [name for name, norm in outcome.norms.items() if not norm < float("inf")] == ["vocabulary.output.bias"]
    assert same(state_of(updater), before)
    handle.remove()
    for one in (updater, other):  # and what follows is as if it had never been tried
        assert one.update([batch], rate=0.01, step=3).read().made
    assert same(state_of(updater), state_of(other))
    assert not same(state_of(updater), before)


@dataclass(frozen=True)
class Two(Processes):
    """Stands in for two processes, both of which find what this one does."""

    def all_reduce(self, number: torch.Tensor) -> torch.Tensor:
        return 2 * number


@LUONG
@pytest.mark.parametrize("fused", [True, False])
def test_several_processes_leave_an_update_out_together(description: dict[str, Any], batch: Batch, fused: bool) -> None:
    updater = make(description, fused=fused)
    updater.processes = Two()
    before = state_of(updater)
    spoil(updater, float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).read().made
    assert same(state_of(updater)[: len(before)], before)


@LUONG
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_an_optimizer_whose_first_update_is_left_out(
    description: dict[str, Any], batch: Batch, kind: type[torch.optim.Optimizer]
) -> None:
    updater, other = make(description), make(description)
    options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    for one in (updater, other):
        one.optimizer = kind(one.model.parameters(), lr=0.01, fused=True, **options)  # type: ignore[call-arg]
    handle = spoil(updater, float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).read().made
    handle.remove()
    for one in (updater, other):
        for step in (2, 3):
            one.update([batch], rate=0.01, step=step)
    assert same(state_of(updater), state_of(other))


@LUONG
def test_norms_are_those_of_the_gradients(description: dict[str, Any], batch: Batch) -> None:
    updater = make(description, clip_norm=1e9)
    outcome = updater.update([batch], rate=0.0, step=1).read()
    gradients = {name: parameter.grad for name, parameter in updater.model.named_parameters()}
    assert outcome.norms == {name: pytest.approx(float(each.norm())) for name, each in gradients.items()}  # type: ignore[union-attr]
    assert outcome.norm == pytest.approx(sum(norm**2 for norm in outcome.norms.values()) ** 0.5)
    with torch.no_grad():
        _, nll = updater.loss(batch)
    assert outcome.nll == pytest.approx(float(nll))


@LUONG
def test_a_gradient_is_clipped_to_its_norm(description: dict[str, Any], batch: Batch) -> None:
    updater = make(description, clip_norm=0.01)
    assert updater.update([batch], rate=0.0, step=1).read().norm > 0.01
    left = torch.stack(
        [parameter.grad.norm() for parameter in updater.model.parameters() if parameter.grad is not None]
    )
    assert float(left.norm()) == pytest.approx(0.01, rel=1e-3)
