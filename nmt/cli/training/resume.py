"""How a run starts: as a new one, from the last checkpoint of its folder, or not at all because it is finished.

A run is what it learns from, what it learns and how it is judged: corpus, tokenizer, model, seed, search and so on. If
one of them changed, the best score, the averaged weights and the files of the folder would belong to another run. So a
resumed run keeps all settings but those in `CHANGEABLE_KEYS`. The corpus is compared by its text: it may have moved.
config.yaml holds the present settings, and changes.jsonl says which of them changed at which step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from nmt.cli.shell.errors import one_line
from nmt.cli.shell.run_config import read_config
from nmt.cli.training.settings import TrainSettings
from nmt.errors import UserError
from nmt.files import append, write_text
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.run.weights import read_step
from nmt.training.checkpoint import read_progress
from nmt.training.limits import reached_limit

CHANGEABLE_KEYS = frozenset(
    {
        # where and how fast
        *("run", "name", "resume", "device", "threads", "loader.num_workers", "trainer.precision"),
        # how long, and how often to record, validate and save
        *("trainer.max_steps", "trainer.max_epochs", "trainer.max_minutes", "trainer.patience", "trainer.log_every"),
        *("trainer.validate_every", "trainer.save_every", "trainer.save_minutes", "trainer.average_checkpoints"),
        # what messages advise after divergence or lack of memory
        *("schedule.learning_rate", "trainer.clip_norm", "trainer.skip_nonfinite"),
        *("loader.batch_tokens", "trainer.accumulate"),
    }
)
"""The settings that may change when a run is resumed."""

LANGUAGE_KEYS = frozenset({"data.source", "data.target"})

MAX_VALUE_LENGTH = 200
"""Characters of an old value that are shown; it comes from a file that anybody may have written."""

MAX_LINE_WIDTH = 2**31 - 1
"""Width at which YAML breaks a line at a space, in characters: never."""

MAX_SHOWN_CHANGES = 3
"""Maximum number of changed settings that a message lists."""


@dataclass(frozen=True)
class SettingChange:
    """A setting of a resumed run that differs from the one before; None stands for a key that did not exist."""

    key: str
    old: object
    new: object

    def __str__(self) -> str:
        """The change in words, "key=old, not new"; a class by its name only."""
        values = [str("null" if value is None else value)[:MAX_VALUE_LENGTH] for value in (self.old, self.new)]
        if self.key.endswith("._target_"):
            values = [value.rpartition(".")[2] for value in values]
        return one_line(f"{self.key.removesuffix('._target_')}={values[0]}, not {values[1]}")


@dataclass(frozen=True)
class Start:
    """How a run starts.

    Attributes:
        resume: whether it continues from the last checkpoint.
        changes: the settings that differ from those with which it was trained before.
        finished: if there is nothing to do, a line that says why.
    """

    resume: bool
    changes: list[SettingChange] = field(default_factory=list)
    finished: str | None = None


def find_start(settings: TrainSettings, config: dict[str, Any]) -> Start:
    """Decides how a run starts, from its folder and its settings; nothing is written.

    Args:
        config: the configuration from which the settings come.

    Raises:
        UserError: the folder is in use, or damaged, or a setting differs that a resumed run must keep, or the
            checkpoint was removed.
    """
    folder = RunFolder(settings.run)
    resume = settings.resume == "true" or (settings.resume == "auto" and folder.holds_run())
    RunFolder.check_available(settings.run, resume=resume)
    if not resume:
        return Start(resume=False)
    changes = compare_settings(folder, config)
    if _has_lost_checkpoint(folder):
        advice = f", and start with its weights by init={folder.path}" if folder.best.is_file() else ""
        raise UserError(
            f"{folder.last} is missing, so the run would start again and replace its weights and history: put the file "
            f"back, or name another folder with run=…{advice}"
        )
    finished = None
    if settings.resume == "auto" and folder.last.is_file() and not any(map(_names_corpus, changes)):
        progress = read_progress(folder.last)
        reason = reached_limit(settings.trainer, progress)
        if reason is not None and progress.averaged_step == progress.step > 0:
            finished = f"run={folder.path} is finished after step {progress.step} ({reason}): there is nothing to do"
    return Start(resume=True, changes=changes, finished=finished)


def _has_lost_checkpoint(folder: RunFolder) -> bool:
    """Whether the last checkpoint was removed, perhaps to make the folder smaller.

    A run that was killed before its first checkpoint has lost none. It has validated at most once and has no record
    behind that validation, because a checkpoint follows each validation.
    """
    if folder.last.is_file():
        return False
    try:
        history = read_history(folder.history)
    except UserError:  # it is missing or damaged, but training creates it before any weights
        return folder.best.is_file()
    best = read_step(folder.best)  # a run without a validation split records no validations
    validated = [record.step for record in history.validation] + ([] if best is None else [best])
    return history.end is not None or (bool(validated) and (history.steps or 0) > min(validated))


def compare_settings(folder: RunFolder, config: dict[str, Any]) -> list[SettingChange]:
    """The settings that have changed since the run was last trained and may change, by their keys.

    Raises:
        UserError: another setting has changed, or config.yaml in the folder is missing or damaged.
    """
    old = _flatten(read_config(folder.path / "config.yaml"))
    new = _flatten(config)
    keys = sorted((old.keys() | new.keys()) - {"run", "resume"})
    changes = [SettingChange(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
    refused = [change for change in changes if not _may_change(change)]
    if refused:
        refused.sort(key=lambda change: not change.key.endswith("._target_"))  # a class says more than its arguments
        shown = "; ".join(map(str, refused[:MAX_SHOWN_CHANGES]))
        num_more = len(refused) - MAX_SHOWN_CHANGES
        raise UserError(_refusal(folder, shown + (f"; and {num_more} more" if num_more > 0 else "")))
    return changes


def record_changes(folder: RunFolder, changes: list[SettingChange], config: dict[str, Any]) -> None:
    """Adds changed settings to changes.jsonl, and replaces config.yaml by the settings that hold from now on.

    Each line has the step and the time (UTC) from which on a setting has its new value. The record comes first: if the
    system stops in between, the change is recorded once more.

    Raises:
        Failure: the system refuses to write.
    """
    if not changes:
        return
    step = read_progress(folder.last).step if folder.last.is_file() else 0
    time = datetime.now(UTC).isoformat(timespec="seconds")
    records = [{"step": step, "time": time, "key": each.key, "old": each.old, "new": each.new} for each in changes]
    append(folder.path / "changes.jsonl", "".join(json.dumps(record, default=str) + "\n" for record in records))
    write_config(folder, config)


def write_config(folder: RunFolder, config: dict[str, Any]) -> None:
    """Writes config.yaml, with one setting per line, which the grouping of seeds relies on."""
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False, width=MAX_LINE_WIDTH)
    write_text(folder.path / "config.yaml", text)


def check_same_text(folder: RunFolder, digests: dict[str, str], changes: list[SettingChange]) -> None:
    """Compares the text of the corpus with that on which the run was started.

    Args:
        digests: of the text of each split that training uses.
        changes: the changed settings, which may say why the text differs.

    Raises:
        UserError: the text of a split has changed.
    """
    old = folder.text_digests()
    changed = [name for name in sorted(old.keys() | digests.keys()) if old.get(name) != digests.get(name)]
    if changed:
        causes = [str(change) for change in changes if _names_corpus(change)]
        details = "; ".join([*causes[:MAX_SHOWN_CHANGES], f"the text for {' and '.join(changed)} is not the same"])
        raise UserError(_refusal(folder, f"another corpus ({details})"))


def _refusal(folder: RunFolder, difference: str) -> str:
    return (
        f"run={folder.path} was started with {difference}: a resumed run keeps its corpus and settings; use these, or "
        f"name another folder with run=… to train a new one"
    )


def _may_change(change: SettingChange) -> bool:
    """Whether a resumed run may have another value of this setting."""
    is_tracker = change.key.split(".")[0] == "tracker"
    return is_tracker or change.key in CHANGEABLE_KEYS or _names_corpus(change)


def _names_corpus(change: SettingChange) -> bool:
    """Whether a setting says where the text is. Such a setting may change as long as the text stays."""
    names = ("train_split", "validation_split")
    return (change.key.startswith("data.") and change.key not in LANGUAGE_KEYS) or change.key in names


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
