"""A resumed run equals one that was never interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from nmt.run.weights import read_weights
from nmt.training.checkpoint import read_progress
from nmt.training.loss_meter import LossMeter
from nmt.training.schedule import Cosine, Plateau

if TYPE_CHECKING:
    from tests.training.conftest import Bench, Scripted

SETTINGS: dict[str, Any] = {
    "max_steps": 11,
    "dropout": 0.3,
    "accumulate": 2,
    "average_checkpoints": 2,
    "log_every": 3,
    "validate_every": 4,
}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def records_without_clock(bench: Bench) -> list[dict[str, Any]]:
    clock = ("seconds", "tokens_per_second")
    records = [json.loads(line) for line in bench.run.history.read_text().splitlines()]
    return [{key: value for key, value in record.items() if key not in clock} for record in records]


def fit(bench: Bench, **changes: Any) -> None:
    bench.fit(
        **SETTINGS | changes,
        loader=bench.make_loader(batch_tokens=64, subword_alpha=0.2),
        schedule=Plateau(learning_rate=0.01, warmup_steps=3, factor=0.5, patience=1),
    )


@pytest.mark.parametrize("name", ["LuongRNN", "Transformer"])
@pytest.mark.parametrize("stops", [[4], [5], [6], [3, 7, 8], [0]], ids=str)
def test_a_resumed_run_equals_the_uninterrupted_one(
    new_bench: Callable[[str], Bench], name: str, stops: list[int]
) -> None:
    """Interrupted at a validation (4, 8), at a record (3, 6), between them (5, 7), and before the first step."""
    uninterrupted, resumed = new_bench("uninterrupted"), new_bench("resumed")
    fit(uninterrupted, name=name)
    for number, stop_at in enumerate([*stops, 99]):
        fit(resumed, name=name, seed=number + 1, stop_at=stop_at)  # other initial weights make no difference
    records = records_without_clock(uninterrupted)
    assert records_without_clock(resumed) == records
    losses = [record["loss"] for record in records if record["kind"] != "end"]
    assert len(set(losses)) == len(losses)
    assert {record["epoch"] for record in records if record["kind"] == "train"} >= {0, 1}
    for path in (uninterrupted.run.step_path(11), uninterrupted.run.best, uninterrupted.run.last):
        same_path = resumed.run.path / path.relative_to(uninterrupted.run.path)
        assert same(read_weights(path), read_weights(same_path)), path.name
    progress, other = read_progress(uninterrupted.run.last), read_progress(resumed.run.last)
    progress.seconds = other.seconds = 0.0
    progress.loss_meter = other.loss_meter = LossMeter()
    assert progress == other


def test_a_schedule_goes_on_as_it_was_if_epochs_have_different_numbers_of_batches(
    new_bench: Callable[[str], Bench],
) -> None:
    rates = []
    for bench, stops in (new_bench("uninterrupted"), [99]), (new_bench("resumed"), [7, 99]):
        loader = bench.make_loader(batch_tokens=32)
        loader.sampler.probabilities = np.full(len(loader), 0.3)  # as fractional weights of pairs
        assert len({len(loader.sampler.epoch(epoch)) for epoch in range(2)}) == 2
        for stop_at in stops:
            schedule = Cosine(learning_rate=0.01, warmup_steps=0, final_fraction=0.0)
            settings: dict[str, Any] = {"max_epochs": 2, "log_every": 1, "validate_every": 99}
            bench.fit(validate=None, loader=loader, schedule=schedule, stop_at=stop_at, **settings)
        rates.append([record["learning_rate"] for record in bench.records("train")])
    assert rates[0] == rates[1]


def test_a_run_interrupted_at_its_last_batch_is_validated_on_resume(bench: Bench) -> None:
    loader = bench.fixed_loader(*[bench.make_batch(("one", "eins"))] * 4)
    settings: dict[str, Any] = {"loader": loader, "max_epochs": 1, "validate_every": 3}
    bench.fit(**settings, stop_at=4)
    assert [record["step"] for record in bench.records("validation")] == [3]
    assert bench.fit(**settings).step == 4
    assert [record["step"] for record in bench.records("validation")] == [3, 4]


def test_a_run_that_dies_behind_its_last_validation_ends_once(
    new_bench: Callable[[str], Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, died = new_bench("undisturbed"), new_bench("died")
    fit(undisturbed)
    with monkeypatch.context() as patch:
        patch.setattr("nmt.training.trainer.validate_average", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(died)
    fit(died)
    assert records_without_clock(died) == records_without_clock(undisturbed)


def test_a_finished_run_continues_with_a_higher_limit(bench: Bench, scripted: type[Scripted]) -> None:
    bench.fit(max_steps=3, validate=scripted([5]))
    progress = bench.fit(max_steps=6, validate=scripted([4]))
    assert progress.best is not None
    assert (progress.step, progress.best.bleu, bench.run.best_step()) == (6, 5, 3)
    assert [record["step"] for record in bench.records("validation")] == [3, 6]


def test_a_checkpoint_of_another_model_is_refused(bench: Bench) -> None:
    bench.fit(max_steps=3)
    with pytest.raises(ValueError, match="is of another model"):
        bench.fit(max_steps=6, name="Transformer")
