"""The trainer's settings are checked."""

from typing import Any

import msgspec
import pytest

from nmt.errors import UserError
from nmt.training.limits import check_limits
from nmt.training.schedule import Cosine, InverseSquareRoot
from nmt.training.settings import TrainerSettings

VALID: dict[str, Any] = {
    "max_steps": 10,
    "max_epochs": None,
    "max_minutes": None,
    "accumulate": 1,
    "clip_norm": None,
    "label_smoothing": 0.0,
    "consistency": 0.0,
    "simcut": 0.0,
    "simcut_cutoff": 0.05,
    "ema_decay": 0.0,
    "alignment_weight": 0.0,
    "alignment_layer": None,
    "alignment_head": 0,
    "alignment_complete": False,
    "precision": "auto",
    "log_every": 1,
    "validate_every": 1,
    "save_every": None,
    "save_minutes": None,
    "skip_nonfinite": 0,
    "patience": None,
    "select": "bleu",
    "average_checkpoints": 1,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_steps": 0}, "max_steps=0 must be"),
        ({"max_steps": 1.5}, "max_steps=1.5 must be"),
        ({"max_epochs": -1}, "max_epochs=-1 must be"),
        ({"max_epochs": "two"}, "max_epochs=two must be"),
        ({"max_epochs": True}, "max_epochs=True must be"),
        ({"max_minutes": 0.0}, "max_minutes=0.0 must be above 0, or null"),
        ({"max_minutes": "ten"}, "max_minutes=ten must be above 0, or null"),
        ({"max_minutes": float("nan")}, "max_minutes=nan must be above 0, or null"),
        ({"clip_norm": 0}, "clip_norm=0 must be above 0, or null"),
        ({"clip_norm": [1]}, r"clip_norm=\[1\] must be above 0, or null"),
        ({"patience": 0}, "patience=0 must be"),
        ({"save_every": 0}, "save_every=0 must be"),
        ({"save_minutes": 0.0}, "save_minutes=0.0 must be above 0, or null"),
        ({"skip_nonfinite": -1}, "skip_nonfinite=-1 must be a whole number of at least 0"),
        (
            {"max_steps": None},
            "max_steps, max_epochs, max_minutes and patience are all null",
        ),
        ({"accumulate": 0}, "accumulate=0"),
        ({"log_every": 0}, "log_every=0"),
        ({"validate_every": 2.5}, "validate_every=2.5"),
        ({"average_checkpoints": 0}, "average_checkpoints=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1 must be"),
        ({"consistency": -1.0}, "consistency=-1.0 must be a number of at least 0"),
        ({"consistency": float("nan")}, "consistency=nan must be"),
        ({"simcut": -1.0}, "simcut=-1.0 must be a number of at least 0"),
        ({"simcut_cutoff": 1.0}, "simcut_cutoff=1.0 must be a probability"),
        ({"ema_decay": 1.0}, "ema_decay=1.0 must be a probability"),
        ({"consistency": 5.0, "simcut": 3.0}, r"consistency=5 \(R-Drop\) and simcut=3 both .*: set one of them to 0"),
        ({"alignment_weight": -0.1}, "alignment_weight=-0.1 must be a number of at least 0"),
        ({"alignment_layer": -1}, "alignment_layer=-1 must be a whole number of at least 0"),
        ({"alignment_head": 0.5}, "alignment_head=0.5 must be"),
        ({"precision": "fp16"}, "precision=fp16 is unknown: use auto, fp32 or bf16"),
    ],
)
def test_a_wrong_setting_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        TrainerSettings(**VALID | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [{"patience": 1}, {"max_epochs": 1}, {"max_minutes": 0.5}, {"max_minutes": 1}])
def test_one_limit_is_enough(limit: dict[str, Any]) -> None:
    TrainerSettings(**VALID | {"max_steps": None} | limit)


def test_a_schedule_that_decays_over_the_run_needs_a_limit() -> None:
    settings = TrainerSettings(**VALID | {"max_steps": None, "patience": 3})
    schedule = Cosine(learning_rate=0.4, warmup_steps=0, final_fraction=0.1)
    with pytest.raises(UserError, match=r"schedule=cosine needs a limit: set trainer\.max_steps"):
        check_limits(schedule, settings)
    check_limits(schedule, msgspec.structs.replace(settings, max_minutes=1.0))
    check_limits(InverseSquareRoot(learning_rate=0.4, warmup_steps=4), settings)
