"""How a run starts: as a new one, from the last checkpoint of its folder, or not at all because it is finished.

A run is what it learns from, what it learns and how it is judged: corpus, tokenizer, model, seed, search and so on. If
one of them changed, the best score, the averaged weights and the files of the folder would belong to another run. So a
resumed run keeps all settings but those in `CHANGEABLE_KEYS`. The corpus is compared by its text: it may have moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nmt.cli.shell.errors import one_line
from nmt.cli.training.settings import TrainSettings
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.config import read_config
from nmt.training.checkpoint import read_progress
from nmt.training.limits import reached_limit

CHANGEABLE_KEYS = frozenset(
    {
        # where and how fast
        *("run", "name", "resume", "device", "threads", "tensorboard", "loader.num_workers", "trainer.precision"),
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

MAX_SHOWN_CHANGES = 3
"""Maximum number of changed settings that a message lists."""


@dataclass(frozen=True)
class Start:
    """How a run starts.

    Attributes:
        resume: whether it continues from the last checkpoint.
        changes: the settings that differ from those it was started with, as "key=old, not new".
        finished: if there is nothing to do, a line that says why.
    """

    resume: bool
    changes: list[str] = field(default_factory=list)
    finished: str | None = None


def find_start(settings: TrainSettings, config: dict[str, Any]) -> Start:
    """Decides how a run starts, from its folder and its settings; nothing is written.

    Args:
        config: the configuration from which the settings come.

    Raises:
        UserError: the folder is in use, or damaged, or a setting differs that a resumed run must keep.
    """
    folder = RunFolder(settings.run)
    resume = settings.resume == "true" or (settings.resume == "auto" and folder.holds_run())
    RunFolder.check_available(settings.run, resume=resume)
    if not resume:
        return Start(resume=False)
    changes = compare_settings(folder, config)
    finished = None
    if settings.resume == "auto" and folder.last.is_file() and not any(map(_is_corpus_key, changes)):
        progress = read_progress(folder.last)
        reason = reached_limit(settings.trainer, progress)
        if reason is not None and progress.averaged_step == progress.step > 0:
            finished = f"run={folder.path} is finished after step {progress.step} ({reason}): there is nothing to do"
    return Start(resume=True, changes=list(changes.values()), finished=finished)


def compare_settings(folder: RunFolder, config: dict[str, Any]) -> dict[str, str]:
    """The settings that have changed since the run was started and may change: key → "key=old, not new".

    Raises:
        UserError: another setting has changed, or config.yaml in the folder is missing or damaged.
    """
    old = _flatten(read_config(folder.path / "config.yaml"))
    new = _flatten(config)
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    changed = [key for key in changed if key not in ("run", "resume")]
    refused = [key for key in changed if key not in CHANGEABLE_KEYS and not _is_corpus_key(key)]
    if refused:
        refused.sort(key=lambda key: not key.endswith("._target_"))  # a class says more than its arguments
        shown = "; ".join(_describe_change(key, old, new) for key in refused[:MAX_SHOWN_CHANGES])
        num_more = len(refused) - MAX_SHOWN_CHANGES
        raise UserError(_refusal(folder, shown + (f"; and {num_more} more" if num_more > 0 else "")))
    return {key: _describe_change(key, old, new) for key in changed}


def check_same_text(folder: RunFolder, digests: dict[str, str], changes: list[str]) -> None:
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
        causes = [change for change in changes if _is_corpus_key(change.partition("=")[0])]
        details = "; ".join([*causes[:MAX_SHOWN_CHANGES], f"the text for {' and '.join(changed)} is not the same"])
        raise UserError(_refusal(folder, f"another corpus ({details})"))


def _refusal(folder: RunFolder, difference: str) -> str:
    return (
        f"run={folder.path} was started with {difference}: a resumed run keeps its corpus and settings; use these, or "
        f"name another folder with run=… to train a new one"
    )


def _is_corpus_key(key: str) -> bool:
    """Whether a key says where the text is. Such a key may change as long as the text stays."""
    names = ("train_split", "validation_split", "extra_data")
    return (key.startswith("data.") and key not in LANGUAGE_KEYS) or key in names


def _describe_change(key: str, old: dict[str, object], new: dict[str, object]) -> str:
    """The change of one setting in words; a class by its name only."""
    values = [str(values.get(key, "nothing"))[:MAX_VALUE_LENGTH] for values in (old, new)]
    if key.endswith("._target_"):
        key, values = key.removesuffix("._target_"), [value.rpartition(".")[2] for value in values]
    return one_line(f"{key}={values[0]}, not {values[1]}")


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
