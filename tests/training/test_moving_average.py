"""The moving average of the weights: its formula, what is validated and kept, and exact resuming."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.errors import UserError
from nmt.run.weights import read_weights
from nmt.training.averaging import average_weights
from nmt.training.moving_average import MovingAverage, averaged_weights

if TYPE_CHECKING:
    from tests.training.conftest import Bench, Scripted

APPLIED, SKIPPED = torch.ones(()), torch.zeros(())


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def part_of(checkpoint: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint whose names begin with `prefix`, by the rest of the name."""
    return {name.removeprefix(prefix): tensor for name, tensor in checkpoint.items() if name.startswith(prefix)}


def test_the_average_equals_one_computed_by_hand(bench: Bench) -> None:
    """With β = 0.25: β_1 = 2/11, then β, as 3/12 = 0.25 and 4/13 > 0.25. The skipped update changes nothing."""
    model = bench.make_model("LuongRNN", dropout=0.0, seed=1)
    bias = model.vocabulary.output.bias.detach()
    bias.fill_(1.0)
    average = MovingAverage(model, decay=0.25)
    found = []
    for step, value, applied in ((1, 12.0, APPLIED), (2, 5.0, SKIPPED), (3, 2.0, APPLIED)):
        bias.fill_(value)
        average.update(step, applied=applied)
        found.append(average.weights["vocabulary.output.bias"].tolist())
    first, last = 2 / 11 * 1 + 9 / 11 * 12, 0.25 * (2 / 11 * 1 + 9 / 11 * 12) + 0.75 * 2  # 10 and 4
    assert found == [pytest.approx([value] * len(bias)) for value in (first, first, last)]


def test_the_model_has_the_average_only_inside(bench: Bench) -> None:
    model = bench.make_model("Transformer", dropout=0.0, seed=1)
    initial = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    average = MovingAverage(model, decay=0.9)
    for parameter in model.parameters():
        parameter.detach().add_(1.0)
    with pytest.raises(ZeroDivisionError), averaged_weights(average):
        assert same(dict(model.named_parameters()), initial)
        assert model.vocabulary.output.weight is model.vocabulary.target.weight  # still tied
        raise ZeroDivisionError
    assert all(torch.equal(parameter, initial[name] + 1.0) for name, parameter in model.named_parameters())


def test_the_average_is_validated_kept_and_averaged_again_and_the_weights_train_on(
    bench: Bench, new_bench: Callable[[str], Bench], scripted: type[Scripted]
) -> None:
    settings: dict[str, Any] = {"max_steps": 6, "average_checkpoints": 2, "dropout": 0.3}
    validate = scripted([1, 2, 3])
    bench.fit(**settings, ema_decay=0.7, validate=validate)
    without = new_bench("without")
    without.fit(**settings, validate=scripted([1, 2, 3]))
    assert same(bench.weights(), without.weights())  # training does not see the average

    checkpoint = read_weights(bench.run.last)
    average = part_of(checkpoint, "average.")
    assert same(part_of(checkpoint, "model."), bench.weights())
    assert not any(torch.equal(average[name], weights) for name, weights in bench.weights().items())
    assert all(torch.equal(validate.weights[1][name], tensor) for name, tensor in average.items())
    assert same(read_weights(bench.run.step_path(6)), average)
    # The last validation is of the mean of both validated averages, which scores best.
    mean = average_weights(bench.run.step_paths())
    assert same(read_weights(bench.run.best), mean)
    assert all(torch.equal(validate.weights[2][name], tensor) for name, tensor in mean.items())


@pytest.mark.parametrize("stops", [[3], [4], [1, 5]], ids=str)
def test_a_resumed_run_has_the_same_average(new_bench: Callable[[str], Bench], stops: list[int]) -> None:
    uninterrupted, resumed = new_bench("uninterrupted"), new_bench("resumed")
    settings: dict[str, Any] = {"max_steps": 7, "ema_decay": 0.9, "dropout": 0.3, "name": "Transformer"}
    uninterrupted.fit(**settings)
    for number, stop_at in enumerate([*stops, 99]):
        resumed.fit(**settings, seed=number + 1, stop_at=stop_at)
    for path in (uninterrupted.run.best, uninterrupted.run.last):
        same_path = resumed.run.path / path.relative_to(uninterrupted.run.path)
        assert same(read_weights(path), read_weights(same_path)), path.name


def test_without_validation_the_average_is_kept_also_when_interrupted(bench: Bench) -> None:
    for stop_at, max_steps in ((2, 9), (None, 3)):
        bench.fit(validate=None, max_steps=max_steps, stop_at=stop_at, ema_decay=0.9)
        assert same(read_weights(bench.run.best), part_of(read_weights(bench.run.last), "average."))


@pytest.mark.parametrize(("before", "after"), [(0.9, 0.0), (0.0, 0.9)])
def test_a_run_with_an_average_resumes_only_with_one(bench: Bench, before: float, after: float) -> None:
    bench.fit(max_steps=2, ema_decay=before)
    with pytest.raises(UserError, match="resume=true needs the same settings"):
        bench.fit(max_steps=4, ema_decay=after)


def test_a_skipped_update_leaves_the_average_alone(bench: Bench) -> None:
    model = bench.make_model("LuongRNN", dropout=0.0, seed=1)
    averages: list[dict[str, torch.Tensor]] = []

    def validate(model: Any) -> float:
        averages.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})
        return 1.0

    calls: list[int] = []

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * (float("nan") if len(calls) == 2 else 1.0)

    model.vocabulary.output.bias.register_hook(spoil)  # type: ignore[no-untyped-call]
    bench.fit(model=model, validate=validate, validate_every=1, max_steps=3, skip_nonfinite=1, ema_decay=0.9)
    assert same(averages[0], averages[1])
    assert not same(averages[1], averages[2])
