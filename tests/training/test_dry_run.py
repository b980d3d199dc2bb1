"""The dry run: memory of the largest batch, errors in gradients and losses, and the speed of real batches."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.data.batch import Batch, make_batch
from nmt.errors import UserError
from nmt.training import dry_run
from nmt.training.dry_run import DryRun, first_pairs
from nmt.training.schedule import InverseSquareRoot
from nmt.training.settings import TrainerSettings

if TYPE_CHECKING:
    from tests.training.conftest import Bench

MakeDryRun = Callable[..., DryRun]

SETTINGS: dict[str, Any] = {
    "max_steps": 1,
    "max_epochs": None,
    "max_minutes": None,
    "accumulate": 1,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "consistency": 0.0,
    "simcut": 0.0,
    "simcut_cutoff": 0.05,
    "ema_decay": 0.0,
    "alignment_weight": 0.0,
    "alignment_layer": None,
    "alignment_head": 0,
    "alignment_complete": False,
    "precision": "fp32",
    "log_every": 1,
    "validate_every": 1,
    "save_every": None,
    "save_minutes": None,
    "skip_nonfinite": 0,
    "patience": None,
    "select": "bleu",
    "average_checkpoints": 1,
}


@pytest.fixture
def make_dry_run(bench: Bench) -> MakeDryRun:
    def make(*, name: str = "LuongRNN", rate: float = 0.01, batch_tokens: int = 128, **options: Any) -> DryRun:
        model = bench.make_model(name, dropout=0.1, seed=1)
        return DryRun(
            settings=TrainerSettings(**SETTINGS),
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=1.0),
            schedule=InverseSquareRoot(learning_rate=rate, warmup_steps=1000),
            train_loader=bench.make_loader(batch_tokens=batch_tokens),
            **options,
        )

    return make


def ticking_clock(seconds: float) -> Callable[[], float]:
    """A clock that advances by `seconds` whenever it is read."""
    time = 0.0

    def read_clock() -> float:
        nonlocal time
        time += seconds
        return time

    return read_clock


# Memory


def test_the_largest_batch_has_the_most_positions(make_dry_run: MakeDryRun) -> None:
    trial = make_dry_run()
    batches = list(trial.train_loader.epoch(0, start=0))
    sizes = [batch.source.numel() + batch.target_input.numel() for batch in batches]
    largest = trial.largest_batch()
    assert largest.source.numel() + largest.target_input.numel() == max(sizes)
    assert len(set(sizes)) > 1


def test_the_first_pairs_keep_the_padding_of_their_batch() -> None:
    batch = make_batch([[5], [6, 7], [8]], [[9, 9, 9], [5], [6, 7]], pad_id=0, bos_id=2, eos_id=3)
    pairs = first_pairs(batch, 2)
    assert pairs.source.tolist() == [[5, 3, 0], [6, 7, 3]]
    assert pairs.target_output.tolist() == [[9, 9, 9, 3], [5, 3, 0, 0]]
    assert pairs.num_tokens == 6


@pytest.mark.parametrize("name", ["LuongRNN", "Transformer"])
def test_memory_is_predicted_from_smaller_batches_and_the_weights_do_not_change(
    make_dry_run: MakeDryRun, name: str
) -> None:
    trial = make_dry_run(name=name, batch_tokens=2048)
    before = [parameter.detach().clone() for parameter in trial.model.parameters()]
    memory = trial.measure_memory()
    assert memory.activations == pytest.approx(trial.count_activations(trial.largest_batch()), rel=0.1)
    num_parameters = trial.model.num_parameters()
    assert memory.weights == 4 * num_parameters
    assert memory.optimizer == 8 * num_parameters + 4 * len(before)  # Adam's two moments, and a step counter for each
    assert memory.num_sentences == 40
    for parameter, old in zip(trial.model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, old, rtol=0, atol=0)


def test_a_tensor_that_is_kept_twice_counts_once(make_dry_run: MakeDryRun) -> None:
    """The product of a tensor (8, 4) with itself keeps this tensor twice, in one storage."""
    trial = make_dry_run()

    def loss(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.ones(8, 4, requires_grad=True) * 1.0
        product = hidden * hidden
        return product.sum(), product

    trial.updater.loss = loss  # type: ignore[method-assign]
    assert trial.count_activations(trial.largest_batch()) == 8 * 4 * 4


def test_too_little_memory_is_reported_before_an_update_is_made(
    make_dry_run: MakeDryRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_dry_run()
    monkeypatch.setattr(dry_run, "free_memory", lambda device: 100_000)
    with pytest.raises(UserError, match=r"MB are free: (lower loader.batch_tokens|use a smaller model)"):
        trial.measure_memory()
    assert not trial.optimizer.state  # no update was made


# Overfitting a few sentences


def test_overfitting_ends_in_time(make_dry_run: MakeDryRun) -> None:
    # Every update reads the clock twice.
    result = make_dry_run(clock=ticking_clock(0.5)).overfit(seconds=60.0)
    assert 55 <= result.steps <= 61
    assert result.last < 0.8 * result.first
    assert result.lowest <= result.last
    assert make_dry_run(clock=ticking_clock(0.0)).overfit(seconds=60.0).steps == dry_run.MAX_STEPS
    assert make_dry_run(clock=ticking_clock(100.0)).overfit(seconds=60.0).steps == dry_run.MIN_STEPS


def test_the_learning_rate_rises_to_the_highest(make_dry_run: MakeDryRun) -> None:
    trial = make_dry_run(rate=0.02, clock=ticking_clock(0.0))
    rates: list[float] = []
    update = trial.update

    def recorded_update(batch: Batch, *, rate: float) -> float:
        rates.append(rate)
        return update(batch, rate=rate)

    trial.update = recorded_update  # type: ignore[method-assign]
    trial.overfit(seconds=60.0)
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(0.001)
    assert rates[len(rates) // 2 :] == [0.02] * (len(rates) - len(rates) // 2)


@pytest.mark.parametrize(("rate", "message"), [(100.0, "rises from"), (1e38, "is not finite after")])
def test_a_learning_rate_that_makes_training_diverge_is_named(
    make_dry_run: MakeDryRun, rate: float, message: str
) -> None:
    with pytest.raises(UserError, match=f"{message}.*{re.escape(f'lower schedule.learning_rate={rate:g}')}"):
        make_dry_run(rate=rate, clock=ticking_clock(0.0)).overfit(seconds=60.0)


# Speed


def test_speed_is_measured_on_full_batches(make_dry_run: MakeDryRun) -> None:
    trial = make_dry_run(clock=ticking_clock(1.0))
    batches = trial.train_loader.epoch(0, start=0)
    num_tokens = next(batches).num_tokens + next(batches).num_tokens
    speed = trial.measure_speed(seconds=2.0)  # reads the clock at the start, after each of two batches and at the end
    assert speed.tokens_per_second == pytest.approx(num_tokens / 3.0)
    assert speed.seconds_per_batch == pytest.approx(1.5)


# Gradients


def test_a_parameter_without_a_gradient_is_named(make_dry_run: MakeDryRun) -> None:
    trial = make_dry_run()
    trial.model.unused = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(UserError, match="the model's parameter unused gets no gradient"):
        trial.measure_memory()


def test_only_the_parameter_whose_gradient_is_not_finite_is_named(make_dry_run: MakeDryRun) -> None:
    """Clipping by a norm that is not finite would make all gradients NaN, so the norms are taken before it."""
    trial = make_dry_run()
    bias: Any = trial.model.get_parameter("vocabulary.output.bias")
    bias.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(UserError, match=r"the gradient of the parameter vocabulary\.output\.bias is not finite"):
        trial.measure_memory()
