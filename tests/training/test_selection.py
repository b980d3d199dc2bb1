"""Which validation is the best: by BLEU, chrF or the loss, which breaks ties; and training without any validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch

from nmt.errors import UserError
from nmt.run.weights import read_weights
from nmt.training.checkpoint import read_progress
from nmt.training.schedule import Plateau
from nmt.training.selection import Measure, Validation

if TYPE_CHECKING:
    from tests.training.conftest import Bench, Scripted


@pytest.fixture
def script_losses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the validation losses the given ones."""

    def script(*losses: float) -> None:
        remaining = iter(losses)
        monkeypatch.setattr("nmt.training.validation.validation_loss", lambda *_, **__: next(remaining))

    return script


def validation(*, loss: float, bleu: float, chrf: float) -> Validation:
    return Validation(step=1, num_averaged=1, num_pairs=2, loss=loss, bleu=bleu, chrf=chrf)


def test_each_measure_has_its_own_order() -> None:
    first = validation(loss=3.0, bleu=30.0, chrf=50.0)
    second = validation(loss=2.0, bleu=29.0, chrf=50.0)
    assert first.rank("bleu") > second.rank("bleu")
    assert first.rank("chrf") < second.rank("chrf")  # a tie, which the loss breaks
    assert first.rank("loss") < second.rank("loss")
    assert [first.describe(measure) for measure in ("bleu", "chrf", "loss")] == [
        "BLEU 30.00",
        "chrF 50.00",
        "loss 3.000",
    ]


def test_scores_below_one_point_are_left_to_the_loss() -> None:
    lucky, learned = validation(loss=3.0, bleu=0.9, chrf=0.5), validation(loss=2.0, bleu=0.0, chrf=0.1)
    assert lucky.rank("bleu") < learned.rank("bleu")
    assert lucky.rank("chrf") < learned.rank("chrf")
    assert validation(loss=9.0, bleu=1.0, chrf=1.0).rank("bleu") > learned.rank("bleu")


def test_a_score_of_zero_does_not_end_a_run(bench: Bench, script_losses: Callable[..., None]) -> None:
    """BLEU is 0 at every validation: patience counts those without a lower loss."""
    script_losses(5, 4, 3, 3.5, 2, 2.5, 2.5, 9)
    progress = bench.fit(patience=2, validate_every=1, log_every=1000, validate=lambda model: 0.0)
    assert (progress.step, bench.run.best_step(), progress.validations_since_best) == (7, 5, 2)
    assert [record["best"] for record in bench.records("validation")] == [True, True, True, False, True, False, False]


def test_the_learning_rate_falls_by_the_same_measure(bench: Bench, script_losses: Callable[..., None]) -> None:
    script_losses(5, 4, 4.5, 3)
    schedule = Plateau(learning_rate=0.4, warmup_steps=0, factor=0.5, patience=1)
    bench.fit(max_steps=4, validate_every=1, log_every=1, validate=lambda model: 0.0, schedule=schedule)
    assert [record["learning_rate"] for record in bench.records("train")] == pytest.approx([0.4, 0.4, 0.4, 0.2])


@pytest.mark.parametrize(("select", "best"), [("bleu", 2), ("chrf", 1), ("loss", 3)])
def test_the_chosen_measure_selects_the_weights(
    bench: Bench, scripted: type[Scripted], script_losses: Callable[..., None], select: Measure, best: int
) -> None:
    script_losses(3, 3, 2, 4)
    validate = scripted([10, 40, 30, 20])  # chrF is 100 minus that
    progress = bench.fit(max_steps=4, validate_every=1, validate=validate, select=select)
    assert bench.run.best_step() == best
    assert progress.best is not None and progress.best.step == best
    saved = read_weights(bench.run.best)
    assert all(torch.equal(validate.weights[best - 1][name], tensor) for name, tensor in saved.items())
    records = bench.records("validation")
    assert {record["selected_by"] for record in records} == {select}
    assert [record["step"] for record in records if record["best"]][-1] == best
    assert (records[0]["bleu"], records[0]["chrf"], records[0]["pairs"]) == (10, 90, 16)


def test_a_run_resumes_with_the_same_measure(bench: Bench) -> None:
    bench.fit(max_steps=3)
    with pytest.raises(UserError, match=r"the run was started with trainer\.select=bleu"):
        bench.fit(max_steps=6, select="loss")
    assert read_progress(bench.run.last).step == 3


def test_without_validation_the_last_weights_are_the_best(bench: Bench) -> None:
    progress = bench.fit(max_steps=7, validate=None, patience=1, average_checkpoints=5)
    assert (progress.step, progress.best, bench.run.best_step()) == (7, None, 7)
    saved = read_weights(bench.run.best)
    assert all(torch.equal(bench.weights()[name], tensor) for name, tensor in saved.items())
    assert bench.records("validation") == []
    assert bench.run.step_paths() == []
    assert bench.reason().endswith("max_steps=7")


def test_an_interrupt_without_validation_keeps_the_last_weights(bench: Bench) -> None:
    bench.fit(max_steps=9, validate=None, stop_at=5)
    assert bench.run.best_step() == 5
    assert bench.fit(max_steps=9, validate=None).step == 9
    assert bench.run.best_step() == 9
