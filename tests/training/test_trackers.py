"""Trackers get the numbers of the history, know a resumed run again, and never end a run."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.cli import main
from nmt.cli.shell.configuration import conf_folder
from nmt.errors import UserError
from nmt.run.history import read_history
from nmt.training.history import History
from nmt.training.trackers import MLflow, TensorBoard, Tracker, Tracking, Trackio, WandB, flatten

Calls = list[tuple[str, Any]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replaces the packages of all trackers by records of their calls."""
    received: Calls = []

    def note(name: str, result: object = None) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            received.append((name, arguments[0] if arguments else options))
            return result

        return call

    run = SimpleNamespace(id="abc", name="tiny", log=note("log"), finish=note("finish"))
    for package in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, package, SimpleNamespace(init=note("init", run)))
    mlflow_run = SimpleNamespace(info=SimpleNamespace(run_id="def"))
    names = ("set_tracking_uri", "set_experiment", "log_params", "log_metrics", "end_run")
    mlflow = SimpleNamespace(start_run=note("start_run", mlflow_run), **{name: note(name) for name in names})
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    return received


def track(tracker: Tracker, folder: Path, *, last_step: int, warnings: list[str] | None = None) -> None:
    """Writes three records of a run, which continues if `last_step` is not 0."""
    folder.mkdir(exist_ok=True)
    warn = (lambda line: pytest.fail(line)) if warnings is None else warnings.append
    tracking = Tracking(tracker, folder, {"seed": 1, "model": {"dropout": 0.5}}, warn=warn)
    history = History(folder / "history.jsonl", tracking=tracking)
    history.start(num_records=0, last_step=last_step)
    history.record({"kind": "train", "step": last_step + 1, "loss": 2.5, "learning_rate": 0.5, "pairs": 7})
    history.record({"kind": "validation", "step": last_step + 1, "bleu": 20.0})
    history.record({"kind": "validation", "step": last_step + 1, "bleu": 21.0, "averaged": 5})
    history.close()


def test_tensorboard_receives_the_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for last_step in (0, 1):
        track(TensorBoard(), tmp_path / "run", last_step=last_step)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/loss", "train/learning_rate", "validation/bleu", "averaged/bleu"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 2.5), (2, 2.5)]


def test_weights_and_biases_continues_the_run_that_it_knows(tmp_path: Path, calls: Calls) -> None:
    run = tmp_path / "tiny"
    for last_step in (0, 4):
        track(WandB(project="p", mode="offline"), run, last_step=last_step)
    starts = [value for name, value in calls if name == "init"]
    assert [(start["id"], start["resume"]) for start in starts] == [(None, None), ("abc", "allow")]
    assert starts[0]["config"] == {"seed": 1, "model": {"dropout": 0.5}}
    assert {key: starts[0][key] for key in ("project", "mode", "name", "dir")} == {
        "project": "p",
        "mode": "offline",
        "name": "tiny",
        "dir": str(run),
    }
    logs = [value for name, value in calls if name == "log"]
    assert (
        logs
        == [{"train/loss": 2.5, "train/learning_rate": 0.5}, {"validation/bleu": 20.0}, {"averaged/bleu": 21.0}] * 2
    )
    assert [name for name, _ in calls].count("finish") == 2


def test_trackio_continues_the_run_of_that_name(tmp_path: Path, calls: Calls) -> None:
    for last_step in (0, 4):
        track(Trackio(project="p"), tmp_path / "tiny", last_step=last_step)
    starts = [value for name, value in calls if name == "init"]
    assert [(start["name"], start["resume"]) for start in starts] == [("tiny", "never"), ("tiny", "allow")]


def test_mlflow_gets_flat_settings_once(tmp_path: Path, calls: Calls) -> None:
    for last_step in (0, 4):
        track(MLflow(experiment="e", uri="sqlite:///a.db"), tmp_path / "tiny", last_step=last_step)
    assert [value for name, value in calls if name == "log_params"] == [{"seed": "1", "model.dropout": "0.5"}]
    assert [value for name, value in calls if name == "start_run"] == [
        {"run_id": None, "run_name": "tiny"},
        {"run_id": "def", "run_name": "tiny"},
    ]
    assert ("set_tracking_uri", "sqlite:///a.db") in calls and ("set_experiment", "e") in calls


def test_another_tracker_begins_a_run_of_its_own(tmp_path: Path, calls: Calls) -> None:
    track(WandB(project="p", mode="offline"), tmp_path / "tiny", last_step=0)
    track(MLflow(experiment="e", uri=None), tmp_path / "tiny", last_step=4)
    assert ("start_run", {"run_id": None, "run_name": "tiny"}) in calls
    (tmp_path / "tiny" / "tracker.json").write_text("[]")
    track(MLflow(experiment="e", uri=None), tmp_path / "tiny", last_step=4)
    assert calls.count(("start_run", {"run_id": None, "run_name": "tiny"})) == 2


class Failing:
    """A tracker whose server vanishes at one of the calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.called: list[str] = []

    def _call(self, name: str) -> None:
        self.called.append(name)
        if name == self.name:
            raise ConnectionError("no route to host\nwith details")

    def start(self, folder: Path, settings: Mapping[str, Any], *, run_id: str | None, last_step: int) -> None:
        self._call("start")

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        self._call("record")

    def close(self) -> None:
        self._call("close")


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("start", ["start"]),
        ("record", ["start", "record"]),
        ("close", ["start", "record", "record", "record", "close"]),
    ],
)
def test_a_tracker_that_fails_is_reported_once_and_not_used_again(name: str, called: list[str], tmp_path: Path) -> None:
    tracker, warnings = Failing(name), []  # type: ignore[var-annotated]
    track(tracker, tmp_path / "run", last_step=0, warnings=warnings)
    assert tracker.called == called
    assert warnings == ["warning: Failing failed and gets no more records (ConnectionError: no route to host)"]
    assert len((tmp_path / "run" / "history.jsonl").read_text().splitlines()) == 3


def test_settings_become_flat() -> None:
    assert flatten({"a": {"b": {"c": None}, "d": [1, 2]}, "e": "x"}) == {"a.b.c": "null", "a.d": "[1, 2]", "e": "x"}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="tracker=wandb needs a package that is not installed: pip install wandb"):
        WandB(project="p", mode="offline")


def test_a_wrong_mode_ends_in_one_line_before_training(
    tmp_path: Path, tiny_training: list[str], calls: Calls, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in tiny_training if not word.startswith("tracker=")]
    words = ["train", *words, "data=grammar", f"run={tmp_path / 'run'}", "tracker=wandb", "tracker.mode=ofline"]
    assert main(words) == 2
    line = "nmt train: tracker.mode=ofline must be one of online, offline, shared\n"
    assert capsys.readouterr().err == line
    assert calls == []


def test_a_run_is_tracked_and_resumed_with_another_tracker(
    tmp_path: Path, corpus_folder: Path, tiny_training: list[str], tiny_models: dict[str, list[str]], calls: Calls
) -> None:
    run = tmp_path / "run"
    words = [*tiny_models["lstm"], *(word for word in tiny_training if not word.startswith("tracker="))]
    words = ["train", *words, "data=files", f"data.path={corpus_folder}", f"run={run}", "trainer.log_every=1"]
    assert main([*words, "tracker=wandb", "tracker.mode=offline", "trainer.max_steps=2"]) == 0
    logged = [value["train/loss"] for name, value in calls if name == "log" and "train/loss" in value]
    assert logged == [each.loss for each in read_history(run / "history.jsonl").train] != []
    assert main([*words, "tracker=trackio", "trainer.max_steps=3", "resume=true"]) == 0
    assert json.loads((run / "tracker.json").read_text()) == {"tracker": "Trackio", "id": "tiny"}
    assert main([*words, "tracker=mlflow", "trainer.max_steps=4", "resume=true"]) == 0
    assert json.loads((run / "tracker.json").read_text()) == {"tracker": "MLflow", "id": "def"}
    assert main([*words, "trainer.max_steps=5", "resume=true"]) == 0  # by default
    assert list((run / "tensorboard").iterdir())
    assert {path.stem for path in (conf_folder() / "tracker").iterdir()} == {
        *("wandb", "trackio", "mlflow", "tensorboard"),
    }
