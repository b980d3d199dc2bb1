"""Learning-rate schedules: warm-up, the three decays, and their state in a checkpoint."""

import json
import math
from typing import Any

import pytest

from nmt.training.schedule import Cosine, InverseSquareRoot, Plateau, Schedule

WARMUP: dict[str, Any] = {"learning_rate": 0.4, "warmup_steps": 4}


def every_schedule() -> list[Schedule]:
    return [
        InverseSquareRoot(**WARMUP),
        Cosine(**WARMUP, final_fraction=0.1),
        Plateau(**WARMUP, factor=0.5, patience=1),
    ]


@pytest.mark.parametrize("schedule", every_schedule(), ids=lambda schedule: type(schedule).__name__)
def test_the_warmup_is_linear(schedule: Schedule) -> None:
    assert [schedule.rate(step, fraction_done=0.0) for step in (1, 2, 3, 4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_inverse_square_root_decays_with_the_root_of_the_step() -> None:
    schedule = InverseSquareRoot(**WARMUP)
    assert schedule.rate(16, fraction_done=0.5) == pytest.approx(0.2)
    assert schedule.rate(64, fraction_done=0.5) == pytest.approx(0.1)
    assert schedule.rate(5, fraction_done=0.5) == pytest.approx(0.4 * math.sqrt(4 / 5))


def test_without_warmup_the_first_step_has_the_peak_rate() -> None:
    assert InverseSquareRoot(learning_rate=0.4, warmup_steps=0).rate(1, fraction_done=0.5) == pytest.approx(0.4)
    assert InverseSquareRoot(learning_rate=0.4, warmup_steps=0).rate(4, fraction_done=0.5) == pytest.approx(0.2)
    assert Plateau(learning_rate=0.4, warmup_steps=0, factor=0.5, patience=1).rate(
        1, fraction_done=0.5
    ) == pytest.approx(0.4)


def test_cosine_decays_to_its_final_fraction() -> None:
    schedule = Cosine(**WARMUP, final_fraction=0.1)
    assert schedule.rate(5, fraction_done=0.25) == pytest.approx(0.4 * (0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2))
    assert schedule.rate(6, fraction_done=0.5) == pytest.approx(0.4 * 0.55)
    assert schedule.rate(8, fraction_done=1.0) == pytest.approx(0.04)


def test_cosine_falls_at_the_end_of_the_warmup_by_the_share_of_the_warmup() -> None:
    schedule = Cosine(learning_rate=1.0, warmup_steps=1000, final_fraction=0.05)
    rates = [schedule.rate(step, fraction_done=step / 2000) for step in (999, 1000)]
    assert rates == pytest.approx([0.999, 0.525])


def test_plateau_reduces_the_rate_after_patience_validations() -> None:
    schedule = Plateau(learning_rate=0.4, warmup_steps=0, factor=0.5, patience=2)
    rates = []
    for score in (1.0, 1.0, 2.0, 1.5, 2.0, 1.0, 1.0, 3.0, 1.0):
        schedule.observe((score, -1.0))
        rates.append(schedule.rate(9, fraction_done=0.5))
    # 1.0 is the best so far, an equal score is not better, 2.0 is; then two validations without a better one, twice.
    assert rates == pytest.approx([0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.1, 0.1, 0.1])


def test_the_loss_breaks_a_tie_for_the_plateau() -> None:
    schedule = Plateau(learning_rate=0.4, warmup_steps=0, factor=0.5, patience=1)
    rates = []
    for loss in (3.0, 2.0, 2.5, 1.0):
        schedule.observe((0.0, -loss))
        rates.append(schedule.rate(9, fraction_done=0.5))
    assert rates == pytest.approx([0.4, 0.4, 0.2, 0.2])


def test_plateau_resumes_from_its_state() -> None:
    scores = [-1.0, -2.0, -2.0, -2.0, -0.5, -1.0]
    for cut in range(len(scores) + 1):
        first, second = (Plateau(**WARMUP, factor=0.5, patience=2) for _ in range(2))
        for score in scores[:cut]:
            first.observe((score, -score))
        second.restore(json.loads(json.dumps(first.state())))
        for score in scores[cut:]:
            second.observe((score, -score))
        expected = Plateau(**WARMUP, factor=0.5, patience=2)
        for score in scores:
            expected.observe((score, -score))
        assert second.state() == expected.state()


@pytest.mark.parametrize("schedule", every_schedule()[:2], ids=lambda schedule: type(schedule).__name__)
def test_other_schedules_have_no_state(schedule: Schedule) -> None:
    schedule.observe((1.0, -1.0))
    assert schedule.state() == {}
    schedule.restore({})


@pytest.mark.parametrize("saved", every_schedule(), ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("schedule", every_schedule(), ids=lambda schedule: type(schedule).__name__)
def test_the_state_of_another_schedule_is_refused(saved: Schedule, schedule: Schedule) -> None:
    if saved.state().keys() == schedule.state().keys():
        schedule.restore(saved.state())
    else:
        with pytest.raises(ValueError, match="started with another schedule"):
            schedule.restore(saved.state())


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (InverseSquareRoot, {"learning_rate": 0.0, "warmup_steps": 1}, "learning_rate=0.0 must be above 0"),
        (InverseSquareRoot, {"learning_rate": -1.0, "warmup_steps": 1}, "learning_rate=-1.0"),
        (InverseSquareRoot, {"learning_rate": 1.0, "warmup_steps": -1}, "warmup_steps=-1"),
        (InverseSquareRoot, {"learning_rate": 1.0, "warmup_steps": 1.5}, "warmup_steps=1.5"),
        (Cosine, {**WARMUP, "final_fraction": 1.1}, "final_fraction=1.1"),
        (Cosine, {**WARMUP, "final_fraction": -0.1}, "final_fraction=-0.1"),
        (Plateau, {**WARMUP, "factor": 1.0, "patience": 1}, "factor=1.0"),
        (Plateau, {**WARMUP, "factor": 0.0, "patience": 1}, "factor=0.0"),
        (Plateau, {**WARMUP, "factor": 0.5, "patience": 0}, "patience=0"),
    ],
)
def test_a_wrong_argument_is_refused(kind: type[Schedule], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
