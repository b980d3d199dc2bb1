"""A run tried out: what a batch takes, what is found wrong with gradients and losses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt import device
from nmt.data.batch import make_batch
from nmt.training import dry_run
from nmt.training.dry_run import DryRun, first_rows, free_memory, peak_memory
from nmt.training.schedule import InverseSquareRoot
from nmt.training.settings import TrainerSettings

Rehearse = Callable[..., DryRun]


SETTINGS: dict[str, Any] = {
    "max_steps": 1,
    "max_epochs": None,
    "max_minutes": None,
    "accumulate": 1,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "precision": "fp32",
    "log_every": 1,
    "validate_every": 1,
    "save_every": None,
    "save_minutes": None,
    "skip_nonfinite": 0,
    "patience": None,
    "average_checkpoints": 1,
}


@pytest.fixture
def rehearse(bench: Any) -> Rehearse:
    def make(*, name: str = "LuongLSTM", rate: float = 0.01, batch_tokens: int = 128, **options: Any) -> DryRun:
        model = bench.make_model(name, dropout=0.1, seed=1)
        return DryRun(
            settings=TrainerSettings(**SETTINGS),
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=1.0),
            schedule=InverseSquareRoot(learning_rate=rate, warmup_steps=1000),
            pairs=bench.make_loader(batch_tokens=batch_tokens),
            **options,
        )

    return make


def ticking(seconds: float) -> Callable[[], float]:
    """A clock on which every look takes so long."""
    time = 0.0

    def look() -> float:
        nonlocal time
        time += seconds
        return time

    return look


def test_the_largest_batch_is_the_largest(rehearse: Rehearse) -> None:
    trial = rehearse()
    batches = list(trial.pairs.epoch(0, start=0))
    sizes = [batch.source.numel() + batch.target_input.numel() for batch in batches]
    largest = trial.largest()
    assert largest.source.numel() + largest.target_input.numel() == max(sizes)
    assert len(set(sizes)) > 1


def test_first_rows() -> None:
    batch = make_batch([[5], [6, 7], [8]], [[9, 9, 9], [5], [6, 7]], pad_id=0, bos_id=2, eos_id=3)
    part = first_rows(batch, 2)
    assert part.source.tolist() == [[5, 3, 0], [6, 7, 3]]
    assert part.target_output.tolist() == [[9, 9, 9, 3], [5, 3, 0, 0]]
    assert part.num_tokens == 6


@pytest.mark.parametrize("name", ["LuongLSTM", "Transformer"])
def test_memory_is_foreseen_from_a_part_and_leaves_the_weights_alone(rehearse: Rehearse, name: str) -> None:
    trial = rehearse(name=name, batch_tokens=2048)
    before = [parameter.detach().clone() for parameter in trial.model.parameters()]
    memory = trial.memory()
    assert memory.activations == pytest.approx(trial._activations(trial.largest()), rel=0.1)
    numbers = trial.model.num_parameters()
    assert memory.weights == 4 * numbers
    assert memory.optimizer == 8 * numbers + 4 * len(before)  # Adam's two means, and how many steps it has made
    assert memory.rows == 40
    for parameter, old in zip(trial.model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, old, rtol=0, atol=0)


def test_what_is_kept_is_counted_once(rehearse: Rehearse) -> None:
    """A linear layer keeps its input, (8, 4) numbers; a product of it with itself keeps it twice, in one place."""
    trial = rehearse()

    def loss(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.ones(8, 4, requires_grad=True) * 1.0
        product = hidden * hidden
        return product.sum(), product

    trial.updater.loss = loss  # type: ignore[method-assign]
    assert trial._activations(trial.largest()) == 8 * 4 * 4


def test_too_little_memory_is_told_before_it_is_used(rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = rehearse()
    monkeypatch.setattr(dry_run, "free_memory", lambda device: 100_000)
    with pytest.raises(ValueError, match=r"MB are free: (lower loader.batch_tokens|take a smaller model)"):
        trial.memory()
    assert not trial.optimizer.state  # no step was made


def test_a_batch_is_learned_by_heart_within_the_time(rehearse: Rehearse) -> None:
    # The clock is looked at twice a step.
    learned = rehearse(clock=ticking(0.5)).learn(seconds=60.0)
    assert 55 <= learned.steps <= 61
    assert learned.last < 0.8 * learned.first
    assert learned.lowest <= learned.last
    assert rehearse(clock=ticking(0.0)).learn(seconds=60.0).steps == dry_run.NUM_STEPS
    assert rehearse(clock=ticking(100.0)).learn(seconds=60.0).steps == 10  # however slow: fewer tell nothing


def test_the_rate_rises_to_the_highest(rehearse: Rehearse) -> None:
    trial = rehearse(rate=0.02, clock=ticking(0.0))
    rates: list[float] = []
    step = trial.step
    trial.step = lambda batch, rate: rates.append(rate) or step(batch, rate=rate)  # type: ignore[method-assign, func-returns-value]
    trial.learn(seconds=60.0)
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(0.001)
    assert rates[len(rates) // 2 :] == [0.02] * (len(rates) - len(rates) // 2)


@pytest.mark.parametrize(("rate", "said"), [(100.0, "rises from"), (1e38, "is not finite after")])
def test_a_rate_that_leads_astray(rehearse: Rehearse, rate: float, said: str) -> None:
    with pytest.raises(ValueError, match=rf"{said}.*lower schedule.learning_rate={rate:g}".replace("+", r"\+")):
        rehearse(rate=rate, clock=ticking(0.0)).learn(seconds=60.0)


def test_speed_is_that_of_whole_batches(rehearse: Rehearse) -> None:
    trial = rehearse(clock=ticking(1.0))
    first, second = (batch.num_tokens for _, batch in zip(range(2), trial.pairs.epoch(0, start=0), strict=False))
    speed = trial.speed(seconds=2.0)  # a look before, one behind each of two batches, and one at the end
    assert speed.tokens_per_second == pytest.approx((first + second) / 3.0)
    assert speed.seconds_per_batch == pytest.approx(1.5)


def test_a_parameter_without_a_gradient_is_named(rehearse: Rehearse) -> None:
    trial = rehearse()
    trial.model.forgotten = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="the parameter forgotten of the model gets no gradient"):
        trial.memory()


def test_a_gradient_that_is_not_finite_is_named(rehearse: Rehearse) -> None:
    """And no other, though clipping by a norm that is not finite spoils them all."""
    trial = rehearse()
    trial.model.get_parameter("vocabulary.output.bias").register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(ValueError, match=r"the gradient of the parameter vocabulary\.output\.bias is not finite"):
        trial.memory()


def test_free_memory_is_within_the_containers_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    free = free_memory(torch.device("cpu"))
    assert free > 10_000_000
    (tmp_path / "memory.current").write_text("4000000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(torch.device("cpu")) > 10_000_000
    (tmp_path / "memory.max").write_text("5000000\n")
    assert free_memory(torch.device("cpu")) == 1_000_000


def test_the_peak_is_in_bytes() -> None:
    held = torch.ones(30_000_000, dtype=torch.uint8)
    assert peak_memory(torch.device("cpu")) > held.nbytes
