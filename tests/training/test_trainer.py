"""The training loop: its updates, its checkpoints, and the limits that end a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.models import Seq2Seq
from nmt.run.weights import read_weights
from nmt.training.checkpoint import Progress, read_progress, save_checkpoint
from nmt.training.schedule import Cosine, InverseSquareRoot, Plateau

if TYPE_CHECKING:
    from tests.training.conftest import Bench, Scripted

SGD = torch.optim.SGD
CONSTANT_RATE: dict[str, Any] = {"learning_rate": 0.1, "warmup_steps": 0, "factor": 0.5, "patience": 1000}
TWO_PAIRS = [("one", "eins"), ("two three", "zwei drei")]
ONE_PAIR = [("four five six seven", "vier fünf sechs sieben")]


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=1e-6)


# An update


def test_two_accumulated_batches_equal_one_batch_of_both(bench: Bench, new_bench: Callable[[str], Bench]) -> None:
    one_batch = bench.fixed_loader(bench.make_batch(*TWO_PAIRS, *ONE_PAIR))
    two_batches = bench.fixed_loader(bench.make_batch(*TWO_PAIRS), bench.make_batch(*ONE_PAIR))
    other = new_bench("other")
    for each, loader, accumulate in ((bench, one_batch, 1), (other, two_batches, 2)):
        schedule = Plateau(**CONSTANT_RATE)
        each.fit(loader=loader, accumulate=accumulate, max_steps=3, log_every=1, optimizer=SGD, schedule=schedule)
    assert other.records("train")[0]["loss"] == pytest.approx(bench.records("train")[0]["loss"], rel=1e-5)
    assert [record["epoch"] for record in other.records("train")] == [0, 1, 2]
    assert_close(bench.weights(), other.weights())


def test_the_last_group_of_an_epoch_may_be_smaller(bench: Bench) -> None:
    batch = bench.make_batch(*TWO_PAIRS)
    progress = bench.fit(loader=bench.fixed_loader(*[batch] * 5), accumulate=2, max_epochs=2, log_every=1)
    assert progress.step == 6
    assert [record["epoch"] for record in bench.records("train")] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("clip_norm", [None, 0.01, 1000.0])
def test_an_update_equals_one_computed_by_hand(bench: Bench, clip_norm: float | None) -> None:
    batch = bench.make_batch(*TWO_PAIRS)
    model = bench.make_model("LuongRNN", dropout=0.0, seed=1)
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    logits = model(batch.source, batch.source_mask, batch.target_input)[batch.target_mask]
    target = batch.target_output[batch.target_mask]
    loss = torch.nn.functional.cross_entropy(logits, target, reduction="sum", label_smoothing=0.1)
    nll = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    gradients = dict(zip(before, torch.autograd.grad(loss / batch.num_tokens, list(model.parameters())), strict=True))
    norm = float(torch.cat([gradient.flatten() for gradient in gradients.values()]).norm())
    scale = 1.0 if clip_norm is None else min(1.0, clip_norm / norm)
    assert 0.01 < norm < 1000

    bench.fit(
        loader=bench.fixed_loader(batch),
        max_steps=1,
        log_every=1,
        clip_norm=clip_norm,
        optimizer=SGD,
        schedule=Plateau(**CONSTANT_RATE | {"learning_rate": 0.5}),
    )
    expected = {name: tensor - 0.5 * scale * gradients[name] for name, tensor in before.items()}
    assert_close(expected, bench.weights())
    (record,) = bench.records("train")
    assert record["loss"] == pytest.approx(nll.item() / batch.num_tokens)
    assert record["gradient_norm"] == pytest.approx(norm, rel=1e-4)
    assert record["learning_rate"] == 0.5


def test_the_learning_rate_follows_the_schedule(bench: Bench) -> None:
    schedule = InverseSquareRoot(learning_rate=0.4, warmup_steps=4)
    bench.fit(max_steps=6, log_every=1, schedule=schedule)
    rates = [record["learning_rate"] for record in bench.records("train")]
    assert rates == [schedule.rate(step, fraction_done=0.5) for step in range(1, 7)]


@pytest.mark.parametrize("limits", [{"max_steps": 8}, {"max_epochs": 2}])
def test_a_cosine_schedule_ends_with_the_run(bench: Bench, limits: dict[str, Any]) -> None:
    schedule = Cosine(learning_rate=0.4, warmup_steps=0, final_fraction=0.25)
    bench.fit(**limits, log_every=1, schedule=schedule)
    rates = [record["learning_rate"] for record in bench.records("train")]
    steps = len(rates)
    expected = [0.1 + 0.15 * (1 + math.cos(math.pi * step / steps)) for step in range(1, steps + 1)]
    assert rates == pytest.approx(expected)


def test_the_schedule_observes_every_validation(bench: Bench, scripted: type[Scripted]) -> None:
    schedule = Plateau(learning_rate=0.4, warmup_steps=0, factor=0.5, patience=1)
    bench.fit(max_steps=8, validate_every=2, log_every=1, validate=scripted([5, 4, 6, 6]), schedule=schedule)
    rates = [record["learning_rate"] for record in bench.records("train")]
    assert rates == pytest.approx([0.4] * 4 + [0.2] * 4)
    assert schedule.rate(9, fraction_done=0.5) == pytest.approx(0.1)


def test_dropout_is_on_in_training_and_off_in_validation(bench: Bench) -> None:
    model = bench.make_model("LuongRNN", dropout=0.5, seed=1)
    modes: list[bool] = []
    encoder: torch.nn.Module = model.get_submodule("encoder")
    encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    bleu_modes: list[bool] = []

    def validate(model: Seq2Seq) -> float:
        bleu_modes.append(model.training)
        return 1.0

    bench.fit(model=model, max_steps=4, validate_every=3, validate=validate)
    assert modes == [True] * 3 + [False] * 2 + [True] + [False] * 2  # two validation batches
    assert bleu_modes == [False, False]
    assert bench.model.training is False


def test_the_validation_loss_is_per_token_and_not_smoothed(bench: Bench) -> None:
    bench.fit(max_steps=1)
    total, num_tokens = 0.0, 0
    for batch in list(bench.make_loader().epoch(0, start=0))[:2]:
        logits = bench.model(batch.source, batch.source_mask, batch.target_input).detach()
        nll = torch.nn.functional.cross_entropy(
            logits[batch.target_mask], batch.target_output[batch.target_mask], reduction="sum"
        )
        total, num_tokens = total + float(nll), num_tokens + batch.num_tokens
    assert bench.records("validation")[0]["loss"] == pytest.approx(total / num_tokens, rel=1e-5)


@pytest.mark.parametrize(
    ("precision", "instructions", "dtype"),
    [
        ("bf16", "avx2", torch.bfloat16),
        ("fp32", "avx512_bf16", torch.float32),
        ("auto", "avx2", torch.float32),
        ("auto", "avx2 avx512f avx512_bf16", torch.bfloat16),
        ("auto", "avx2 avx512f amx_bf16 amx_tile", torch.bfloat16),
    ],
)
def test_precision_sets_the_number_format_of_the_forward_pass(
    bench: Bench, precision: str, instructions: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {instructions} avx512bw\n")
    monkeypatch.setattr("nmt.device.CPUINFO", tmp_path / "cpuinfo")
    model = bench.make_model("Transformer", dropout=0.0, seed=1)
    dtypes: set[torch.dtype] = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    bench.fit(model=model, max_steps=1, precision=precision)
    assert dtypes == {dtype}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


# Checkpoints between validations


def saved_steps(bench: Bench, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> set[int]:
    """The steps after which `fit` writes the last checkpoint."""
    steps = set()
    save = save_checkpoint

    def record_step(path: Path, progress: Progress, *others: Any) -> None:
        steps.add(progress.step)
        save(path, progress, *others)

    monkeypatch.setattr("nmt.training.trainer.save_checkpoint", record_step)
    bench.fit(validate_every=100, **settings)
    return steps


def test_checkpoints_are_written_every_save_every_steps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved_steps(bench, monkeypatch, max_steps=8, save_every=3) == {3, 6, 8}


def test_checkpoints_are_written_every_save_minutes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 10.0
        return now

    monkeypatch.setattr(time, "monotonic", clock)
    # A step reads the clock three times, which is half a minute here.
    assert saved_steps(bench, monkeypatch, max_steps=8, save_minutes=1.0) == {2, 4, 6, 8}


def test_without_both_only_validations_write_checkpoints(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved_steps(bench, monkeypatch, max_steps=8) == {8}


# The ends of a run


def test_max_steps_ends_a_run_with_a_validation(bench: Bench, scripted: type[Scripted]) -> None:
    validate = scripted([1, 2, 3])
    progress = bench.fit(max_steps=7, validate=validate)
    assert progress.step == 7
    assert [record["step"] for record in bench.records("validation")] == [3, 6, 7]
    assert bench.reason().endswith("max_steps=7")
    assert all(torch.equal(validate.weights[-1][name], tensor) for name, tensor in bench.weights().items())


def test_the_last_step_is_not_validated_twice(bench: Bench) -> None:
    bench.fit(max_steps=6)
    assert [record["step"] for record in bench.records("validation")] == [3, 6]


def test_max_epochs_ends_a_run_after_full_epochs(bench: Bench) -> None:
    progress = bench.fit(max_epochs=2, validate_every=1000)
    sampler = bench.make_loader().sampler
    assert progress.step == len(sampler.epoch(0)) + len(sampler.epoch(1)) > 2
    assert (progress.epoch, progress.position) == (2, 0)
    assert bench.reason().endswith("max_epochs=2")
    assert len(bench.records("validation")) == 1


def test_max_minutes_includes_validation(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0

    def validate(model: Seq2Seq) -> float:
        nonlocal now
        now += 50.0
        return 1.0

    monkeypatch.setattr(time, "monotonic", lambda: now)
    bench.fit(max_minutes=2.0, validate_every=1, log_every=1000, validate=validate)
    assert [record["seconds"] for record in bench.records("validation")] == [50, 100, 150]
    assert bench.reason().endswith("2 min 30 s: max_minutes=2")


def test_minutes_add_up_over_resumed_sessions(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def validate(model: Seq2Seq) -> float:
        nonlocal now
        now += 60.0
        return 1.0

    monkeypatch.setattr(time, "monotonic", lambda: now)
    bench.fit(max_minutes=3, validate_every=1, log_every=1000, validate=validate, stop_at=2)
    now = 1e6
    progress = bench.fit(max_minutes=3, validate_every=1, log_every=1000, validate=validate)
    assert (progress.step, progress.seconds) == (3, 180.0)


def test_patience_counts_validations_without_a_better_score(bench: Bench, scripted: type[Scripted]) -> None:
    progress = bench.fit(patience=2, validate_every=1, log_every=1000, validate=scripted([1, 3, 2, 4, 3.9, 3, 9]))
    assert progress.best is not None
    assert (progress.step, progress.best.bleu, progress.validations_since_best) == (6, 4, 2)
    assert bench.reason().endswith("no better BLEU in patience=2 validations")


def test_an_interrupt_ends_a_run_with_a_checkpoint(bench: Bench) -> None:
    progress = bench.fit(max_steps=9, stop_at=4)
    assert progress.step == read_progress(bench.run.last).step == 4
    assert bench.reason().endswith("interrupted; continue with resume=true")
    assert bench.run.best_step() == 3


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_run_interrupted_before_its_first_validation_can_translate(bench: Bench, steps: int) -> None:
    bench.fit(max_steps=9, stop_at=steps)
    assert bench.records("validation") == []
    assert bench.run.best_step() == steps
    saved = read_weights(bench.run.best)
    assert all(torch.equal(saved[name], tensor) for name, tensor in bench.weights().items() if name in saved)
