"""Losses and gradients that are not finite: updates are skipped and reported, and too many end the run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch

import nmt.training.pending_updates
from nmt.errors import Failure
from nmt.models import Seq2Seq
from nmt.training.checkpoint import read_progress
from nmt.training.schedule import Plateau
from nmt.training.update import PendingUpdate, Updater

if TYPE_CHECKING:
    from tests.training.conftest import Bench

NAN = float("nan")

TINY_RATE = 1e-12
"""With this rate, an update leaves the weights as they are, up to rounding."""


def constant_rate(rate: float = 0.1) -> Plateau:
    return Plateau(learning_rate=rate, warmup_steps=0, factor=0.5, patience=1000)


def model_with_bad_gradients(bench: Bench, bad: float, updates: list[int]) -> Seq2Seq:
    """A model whose gradient is multiplied by `bad` in some of its updates, counted from 1."""
    model: Seq2Seq = bench.make_model("LuongRNN", dropout=0.0, seed=1)
    num_updates = 0

    def spoil(gradient: torch.Tensor) -> torch.Tensor:
        nonlocal num_updates
        num_updates += 1
        return gradient * bad if num_updates in updates else gradient

    bias: torch.Tensor = model.vocabulary.output.bias
    bias.register_hook(spoil)  # type: ignore[no-untyped-call]
    return model


@pytest.fixture(params=["before the next update", "after the next update"])
def time_of_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result of an update is read before the next one starts, as on a CPU, or after it, as on a GPU."""
    monkeypatch.setitem(nmt.training.pending_updates.MAX_PENDING_UPDATES, "cpu", int(request.param.startswith("after")))


@pytest.mark.usefixtures("time_of_reading")
@pytest.mark.parametrize("bad", [NAN, float("inf")])
def test_a_nonfinite_gradient_ends_the_run(bench: Bench, bad: float) -> None:
    model = model_with_bad_gradients(bench, bad, [5])
    message = r"step 5, learning rate 1\.00e-01: .* the gradient norm is (nan|inf); the batch"
    with pytest.raises(Failure, match=message):
        bench.fit(model=model, max_steps=9, schedule=constant_rate())
    assert read_progress(bench.run.last).step == 3
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())  # the update was not applied
    assert bench.fit(max_steps=4).step == 4  # and the last checkpoint is intact


@pytest.mark.usefixtures("time_of_reading")
def test_the_batch_of_a_nonfinite_update_is_saved(bench: Bench) -> None:
    good = bench.make_batch(("one", "eins"), ("two three", "zwei drei"))
    bad = bench.make_batch(("four five six seven", "vier fünf sechs sieben"))
    model, loader = model_with_bad_gradients(bench, NAN, [2]), bench.fixed_loader(good, bad)
    with pytest.raises(Failure, match=r"nonfinite-step-00000002\.json"):
        bench.fit(model=model, loader=loader, max_steps=9, schedule=constant_rate())
    saved = json.loads((bench.run.path / "nonfinite-step-00000002.json").read_text())
    assert (saved["step"], saved["epoch"], saved["learning_rate"], saved["gradient_norm"]) == (2, 0, 0.1, "nan")
    assert saved["parameters"] == ["vocabulary.output.bias"]
    source, target = bad.source.size(1), bad.target_input.size(1)
    assert saved["batches"] == [{"sentences": 1, "source_positions": source, "target_positions": target}]
    (pair,) = saved["sentences"]
    assert pair.pop("line") == 1
    texts = {side: text.replace(" ", "").replace("▁", " ") for side, text in pair.items()}
    assert texts == {"source": " four five six seven</s>", "target": " vier fünf sechs sieben</s>"}


def test_the_loss_of_a_nonfinite_update_is_that_of_a_target_token(bench: Bench) -> None:
    model, batches = model_with_bad_gradients(bench, NAN, [3]), [bench.make_batch(("one two", "eins zwei"))] * 3
    with pytest.raises(Failure) as caught:
        bench.fit(
            model=model,
            loader=bench.fixed_loader(*batches),
            max_steps=9,
            log_every=1,
            schedule=constant_rate(TINY_RATE),
        )
    [_, before] = bench.records("train")
    [shown] = re.findall(r"the loss is (\S+), ", str(caught.value))
    saved = json.loads((bench.run.path / "nonfinite-step-00000003.json").read_text())
    assert [float(shown), float(saved["loss"])] == pytest.approx([before["loss"]] * 2, rel=1e-4)


@pytest.mark.usefixtures("time_of_reading")
def test_up_to_skip_nonfinite_updates_in_a_row_are_skipped(bench: Bench, new_bench: Callable[[str], Bench]) -> None:
    other = new_bench("other")
    settings: dict[str, Any] = {"skip_nonfinite": 2, "log_every": 1, "validate_every": 100}
    model = model_with_bad_gradients(bench, NAN, [1, 3, 4, 6, 7])
    assert bench.fit(model=model, max_steps=8, schedule=constant_rate(), **settings).step == 8
    assert [record["step"] for record in bench.records("train")] == [2, 5, 8]
    assert "the update is skipped (2 in a row)" in bench.log.read_text()
    model = model_with_bad_gradients(other, NAN, [3, 4, 5])
    with pytest.raises(Failure, match="step 5,"):
        other.fit(model=model, max_steps=8, schedule=constant_rate(), **settings)


def test_a_skipped_update_changes_no_weight(bench: Bench) -> None:
    model = model_with_bad_gradients(bench, float("inf"), [1, 2])
    before = [parameter.detach().clone() for parameter in model.parameters()]
    bench.fit(model=model, max_steps=2, skip_nonfinite=2)
    assert all(map(torch.equal, model.parameters(), before))


@pytest.mark.parametrize("fused", [True, False])
def test_reading_results_late_changes_nothing(
    bench: Bench, new_bench: Callable[[str], Bench], fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the weights, nor the records, nor the reports of skipped updates, nor the point of resuming."""
    late = new_bench("late")
    settings: dict[str, Any] = {"skip_nonfinite": 2, "log_every": 2, "validate_every": 5, "save_every": 3}
    for each, max_pending in ((bench, 0), (late, 1)):
        monkeypatch.setitem(nmt.training.pending_updates.MAX_PENDING_UPDATES, "cpu", max_pending)
        # Stopped after step 7 and resumed. The steps are counted by a hook of the optimizer, which a fused optimizer
        # calls for skipped updates too.
        for stop_at, bad in ((7 if fused else 4, [1, 3, 4]), (None, [1, 4])):
            model, adam = model_with_bad_gradients(each, NAN, bad), partial(torch.optim.Adam, fused=fused)
            each.fit(model=model, max_steps=12, stop_at=stop_at, optimizer=adam, **settings)
    weights, late_weights = bench.weights(), late.weights()
    assert all(torch.equal(late_weights[name], tensor) for name, tensor in weights.items())
    clock = {"seconds", "tokens_per_second"}
    records, late_records = (
        [{key: record[key] for key in record.keys() - clock} for record in each.records("train")]
        for each in (bench, late)
    )
    assert late_records == records
    reports, late_reports = (
        re.findall(r"step (\d+), .*skipped \((\d) in a row\)", each.log.read_text()) for each in (bench, late)
    )
    assert reports == late_reports == [("1", "1"), ("3", "1"), ("4", "2"), ("8", "1"), ("11", "1")]


def test_on_a_gpu_a_result_is_read_after_the_next_update_starts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        nmt.training.pending_updates.MAX_PENDING_UPDATES,
        "cpu",
        nmt.training.pending_updates.MAX_PENDING_UPDATES["cuda"],
    )
    calls: list[str] = []
    update, result = Updater.update, PendingUpdate.result

    def recording_update(self: Updater, *arguments: Any, **options: Any) -> PendingUpdate:
        calls.append("update")
        return update(self, *arguments, **options)

    def recording_result(self: PendingUpdate) -> Any:
        calls.append("result")
        return result(self)

    monkeypatch.setattr(Updater, "update", recording_update)
    monkeypatch.setattr(PendingUpdate, "result", recording_result)
    bench.fit(max_steps=3, log_every=3, validate_every=100)
    assert calls == ["update", "update", "result", "update", "result", "result"]


@pytest.mark.usefixtures("time_of_reading")
def test_nothing_is_saved_of_the_step_that_ends_the_run(bench: Bench) -> None:
    model = model_with_bad_gradients(bench, NAN, [3])
    with pytest.raises(Failure, match="step 3,"):
        bench.fit(model=model, max_steps=6, validate_every=3)
    assert not bench.run.best.exists()
    assert not bench.records("validation")


def test_a_nonfinite_validation_loss_ends_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bench.make_model("LuongRNN", dropout=0.0, seed=1)
    decoder_outputs = model.decoder_outputs

    def nan_in_validation(*tensors: torch.Tensor, **options: Any) -> torch.Tensor:
        return decoder_outputs(*tensors, **options) * (1.0 if model.training else NAN)

    monkeypatch.setattr(model, "decoder_outputs", nan_in_validation)
    with pytest.raises(Failure, match="step 3: the validation loss is nan"):
        bench.fit(model=model, max_steps=9)
    assert not bench.run.best.exists()
