"""`nmt train`: one system, from a corpus to a run folder."""

from __future__ import annotations

import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from nmt.cli.preparation import Preparation, prepare, validator
from nmt.cli.shell.errors import one_line
from nmt.device import subnormals_as_zero
from nmt.errors import UserError
from nmt.files import read_text, write_json, write_text
from nmt.run import RunFolder
from nmt.run.registry import Description
from nmt.training.checkpoint import Progress, read_progress
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.interrupt import Interrupt
from nmt.training.progress import ProgressBar


@subnormals_as_zero()
def run(config: DictConfig) -> None:
    """Trains the system that `config` (conf/train.yaml) describes, alone or among the processes of torchrun."""
    with Processes.join() as processes:
        # All that can be wrong with the settings and the corpus shows before anything is written.
        if processes.is_main:
            RunFolder.check_available(str(config.run), resume=config.resume)
        train(config, prepare(config, processes), processes)


def train(config: DictConfig, parts: Preparation, processes: Processes) -> None:
    """Trains what has been prepared; only the first process writes, or says what happens."""
    folder = RunFolder(str(config.run))
    changed: list[str] = []
    if processes.is_main:
        folder, changed = open_folder(config, parts)
    log = folder.path / "log.txt" if processes.is_main else None
    model, pairs = parts.model, parts.pairs
    with (
        folder.with_recovery_hint(),
        Interrupt(alone=processes.size == 1) as interrupt,
        ProgressBar(folder.name, log=log) as bar,
    ):
        history = history_of(folder, processes, tensorboard=config.tensorboard)
        among = f", {processes.size} processes" if processes.size > 1 else ""
        bar.say(
            f"{type(model).__name__}, {model.num_parameters():,} parameters, on {model.device} "
            f"({torch.get_num_threads()} threads{among})"
        )
        repairs = parts.corpus.repairs(config.train_split)
        for line in [*pairs.report.lines(), *repairs, *(f"the run was begun with {change}" for change in changed)]:
            bar.say(line)
        if processes.is_main:
            write_json(folder.path / "cleaning.json", {**pairs.report.record(), "repaired": repairs})
        progress = parts.trainer.fit(
            model,
            pairs=pairs,
            validation=list(parts.validation.epoch(0, start=0)),
            validate=validator(parts.validation_split, parts.tokenizer, parts.searcher, processes),
            optimizer=parts.optimizer,
            schedule=parts.schedule,
            run=folder,
            history=history,
            bar=bar,
            stop=lambda: interrupt.requested,
            processes=processes,
            seed=config.seed,
        )
        if progress.best_score is not None:
            bar.say(f"best validation BLEU {progress.best_score:.2f}; the run is in {folder.path}")
        history.close()
    if interrupt.requested:
        raise KeyboardInterrupt


def history_of(folder: RunFolder, processes: Processes, *, tensorboard: bool) -> History:
    """The run's history up to its last checkpoint; of a process that does not write, one that goes nowhere."""
    if not processes.is_main:
        return History(None, tensorboard=None, records=0, last_step=0)
    begun = read_progress(folder.last) if folder.last.is_file() else Progress()
    return History(
        folder.history,
        tensorboard=folder.path / "tensorboard" if tensorboard else None,
        records=begun.records,
        last_step=begun.step,
    )


def open_folder(config: DictConfig, parts: Preparation) -> tuple[RunFolder, list[str]]:
    """The run folder, with all that translating needs but the weights, and what was otherwise when the run began."""
    folder = RunFolder.create(str(config.run), resume=config.resume)
    if config.resume:
        check_same(folder, parts.descriptions["model"])
        return folder, differences(folder, config)
    with folder.with_recovery_hint():
        parts.tokenizer.save(folder.path)
        write_text(folder.path / "config.yaml", OmegaConf.to_yaml(config))
        for what, description in parts.descriptions.items():  # the model comes last: it makes the folder a run
            folder.write_description(what, description)
    return folder, []


def check_same(folder: RunFolder, description: Description) -> None:
    """Raises ValueError if a run that shall go on was begun with another model."""
    begun = folder.description("model")
    if begun.get("class") != description["class"]:
        raise UserError(f"run={folder.path} was begun with {begun.get('class')}, not {description['class']}")
    arguments = begun.get("arguments", {})
    for key, value in description["arguments"].items():
        if arguments.get(key) != value:
            raise UserError(
                f"run={folder.path} was begun with model.{key}={arguments.get(key)}, not {value}: "
                f"resume=true goes on with the same settings"
            )


def differences(folder: RunFolder, config: DictConfig) -> list[str]:
    """The settings that a run was begun with and that are others now, as key=value, not=value.

    Raises:
        ValueError: config.yaml in the folder is missing or damaged.
    """
    path = folder.path / "config.yaml"
    text = read_text(path)
    try:
        begun = flat(Plain(text).get_single_data())
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise UserError(f"{path} is damaged: it is not plain YAML") from None
    now = flat(yaml.safe_load(OmegaConf.to_yaml(config)))
    keys = sorted((begun.keys() | now.keys()) - {"run", "resume"})
    return [
        one_line(f"{key}={str(begun.get(key, 'nothing'))[:200]}, not {now.get(key, 'nothing')}")
        for key in keys
        if begun.get(key) != now.get(key)
    ]


class Plain(yaml.SafeLoader):
    """YAML without references: a few lines of them can stand for more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a reference")
        return super().compose_node(parent, index)


def flat(value: object, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if not isinstance(value, dict):
        return {prefix: value}
    pairs = (flat(inner, f"{prefix}.{key}" if prefix else str(key)) for key, inner in value.items())
    return {key: inner for part in pairs for key, inner in part.items()}
