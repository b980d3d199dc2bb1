"""Programs that show how a run trains: TensorBoard, Weights & Biases, trackio and MLflow.

Everything that they get is in history.jsonl, too. So a tracker that fails, because its server cannot be reached or its
disk is full, is reported once and not used again; training goes on.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import msgspec

from nmt.errors import UserError
from nmt.files import write_json

FILE = "tracker.json"
"""The file in a run folder that says under which id a tracker knows the run, so that a resumed run goes on there."""


class Tracker(Protocol):
    """One such program."""

    def start(self, folder: Path, settings: Mapping[str, Any], *, run_id: str | None, last_step: int) -> str | None:
        """Begins a run, or continues it.

        Args:
            folder: of the run; its name is the name of the run.
            settings: the configuration, whose values may be mappings.
            run_id: the result of this method when the run began; None for a new run.
            last_step: step of the checkpoint from which the run continues; 0 for a new run.

        Returns:
            by what the program knows the run; None if that is its folder.
        """
        ...

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        """Adds the numbers of a step, with names such as train/loss."""
        ...

    def close(self) -> None:
        """Ends the run."""
        ...


class TensorBoard:
    """Writes event files into the folder tensorboard/ of the run."""

    def start(self, folder: Path, settings: Mapping[str, Any], *, run_id: str | None, last_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # it takes a second to import

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1 if last_step else None)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


WANDB_MODES = ("online", "offline", "shared")


class WandB:
    """Weights & Biases.

    Args:
        project: to which the run belongs.
        mode: one of WANDB_MODES.

    Raises:
        UserError: there is no such mode, or the package is not installed.
    """

    def __init__(self, *, project: str, mode: str) -> None:
        if mode not in WANDB_MODES:
            raise UserError(f"mode={mode} must be one of {', '.join(WANDB_MODES)}")
        self.module = import_tracker("wandb")
        self.arguments = {"project": project, "mode": mode}

    def start(self, folder: Path, settings: Mapping[str, Any], *, run_id: str | None, last_step: int) -> str:
        self._run = self.module.init(
            **self.arguments,
            name=folder.name,
            dir=str(folder),
            config=dict(settings),
            id=run_id,
            resume=None if run_id is None else "allow",
        )
        return str(self._run.id)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """trackio, which knows a run by its name.

    Args:
        project: to which the run belongs.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, *, project: str) -> None:
        self.module = import_tracker("trackio")
        self.project = project

    def start(self, folder: Path, settings: Mapping[str, Any], *, run_id: str | None, last_step: int) -> str:
        name = run_id or folder.name
        resume = "never" if run_id is None else "allow"
        self._run = self.module.init(project=self.project, name=name, config=dict(settings), resume=resume)
        return str(self._run.name)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """MLflow.

    Args:
        experiment: to which the run belongs.
        uri: where the records go; None: where MLflow puts them.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, *, experiment: str, uri: str | None) -> None:
        self.module = import_tracker("mlflow")
        self.experiment = experiment
        self.uri = uri

    def start(self, folder: Path, settings: Mapping[str, Any], *, run_id: str | None, last_step: int) -> str:
        if self.uri is not None:
            self.module.set_tracking_uri(self.uri)
        self.module.set_experiment(self.experiment)
        run = self.module.start_run(run_id=run_id, run_name=folder.name)
        if run_id is None:  # a parameter cannot be changed
            self.module.log_params(flatten(settings))
        return str(run.info.run_id)

    def record(self, step: int, numbers: Mapping[str, float]) -> None:
        self.module.log_metrics(dict(numbers), step=step)

    def close(self) -> None:
        self.module.end_run()


class Tracking:
    """A run in a tracker that may fail.

    Args:
        tracker: the program.
        folder: of the run.
        settings: the configuration of the run.
        warn: called with a line that says why the tracker is not used any more.
    """

    def __init__(
        self, tracker: Tracker, folder: Path, settings: Mapping[str, Any], *, warn: Callable[[str], None]
    ) -> None:
        self.tracker: Tracker | None = tracker
        self.folder = folder
        self.settings = settings
        self.warn = warn

    def start(self, *, last_step: int) -> None:
        """Begins the run; or continues it, if the same tracker knows it."""

        def start(tracker: Tracker) -> None:
            path, name = self.folder / FILE, type(tracker).__name__
            run_id = read_id(path, name) if last_step else None
            run_id = tracker.start(self.folder, self.settings, run_id=run_id, last_step=last_step)
            if run_id is not None:
                write_json(path, {"tracker": name, "id": run_id})

        self._try(start)

    def record(self, record: Mapping[str, Any]) -> None:
        """Adds the numbers of a record of the history. The mean of the last checkpoints has a kind of its own."""
        kind = "averaged" if record.get("averaged") is not None else record["kind"]
        numbers = {f"{kind}/{name}": value for name, value in record.items() if isinstance(value, float)}
        self._try(lambda tracker: tracker.record(record["step"], numbers))

    def close(self) -> None:
        """Ends the run."""
        self._try(lambda tracker: tracker.close())

    def _try(self, action: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            action(self.tracker)
        except Exception as error:  # whatever a foreign program raises: training must go on
            reason = next(iter(str(error).splitlines()), "")
            name = type(self.tracker).__name__
            self.tracker = None
            self.warn(f"warning: {name} failed and gets no more records ({type(error).__name__}: {reason})")


def read_id(path: Path, tracker: str) -> str | None:
    """The id under which a tracker knows the run; None if the file is missing, damaged or of another tracker."""
    try:
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return None
    return known.get("id") if known.get("tracker") == tracker else None


def import_tracker(name: str) -> ModuleType:
    """Imports the package of a tracker. Raises UserError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"tracker={name} needs a package that is not installed: pip install {name}") from None


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level, with keys such as model.dropout; lists as JSON."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat
