"""`nmt train`: one system, from a corpus to a run folder."""

from __future__ import annotations

import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from nmt.cli.preparation import Preparation, prepare, validator
from nmt.files import write_text
from nmt.run import Description, RunFolder
from nmt.training.checkpoint import Progress, read_progress
from nmt.training.history import History
from nmt.training.interrupt import Interrupt
from nmt.training.processes import Processes
from nmt.training.progress import ProgressBar


def run(config: DictConfig) -> None:
    """Trains the system that `config` (conf/train.yaml) describes, alone or among the processes of torchrun."""
    with Processes.joined() as processes:
        # All that can be wrong with the settings and the corpus shows before anything is written.
        if processes.leads:
            RunFolder.claim(str(config.run), resume=config.resume)
        train(config, prepare(config, processes), processes)


def train(config: DictConfig, parts: Preparation, processes: Processes) -> None:
    """Trains what has been prepared; only the first process writes, or says what happens."""
    folder = RunFolder(str(config.run))
    changed: list[str] = []
    if processes.leads:
        folder, changed = open_folder(config, parts)
    begun = read_progress(folder.last) if processes.leads and folder.last.is_file() else Progress()
    history = History(
        folder.history if processes.leads else None,
        tensorboard=folder.path / "tensorboard" if config.trainer.tensorboard and processes.leads else None,
        records=begun.records,
        last_step=begun.step,
    )
    model, pairs = parts.model, parts.pairs
    log = folder.path / "log.txt" if processes.leads else None
    with Interrupt(alone=processes.size == 1) as interrupt, ProgressBar(folder.name, log=log) as bar:
        among = f", {processes.size} processes" if processes.size > 1 else ""
        bar.say(
            f"{type(model).__name__}, {model.num_parameters():,} parameters, on {model.device} "
            f"({torch.get_num_threads()} threads{among})"
        )
        bar.say(
            f"{len(pairs):,} training pairs; left out: {pairs.num_empty:,} with an empty side, "
            f"{pairs.num_long:,} of more than {pairs.max_length} pieces"
        )
        for change in changed:
            bar.say(f"the run was begun with {change}")
        progress = parts.trainer.fit(
            model,
            pairs=pairs,
            validation=list(parts.validation.epoch(0, start=0)),
            validate=validator(
                parts.validation_split,
                parts.tokenizer,
                parts.searcher,
                processes,
                batch_tokens=config.trainer.batch_tokens,
            ),
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


def open_folder(config: DictConfig, parts: Preparation) -> tuple[RunFolder, list[str]]:
    """The run folder, with all that translating needs but the weights, and what was otherwise when the run began."""
    folder = RunFolder.create(str(config.run), resume=config.resume)
    if config.resume:
        check_same(folder, parts.descriptions["model"])
        return folder, differences(folder, config)
    parts.tokenizer.save(folder.path)
    write_text(folder.path / "config.yaml", OmegaConf.to_yaml(config))
    for what, description in parts.descriptions.items():  # the model comes last: it makes the folder a run
        folder.describe(what, description)
    return folder, []


def check_same(folder: RunFolder, description: Description) -> None:
    """Raises ValueError if a run that shall go on was begun with another model."""
    begun = folder.description("model")
    if begun.get("class") != description["class"]:
        raise ValueError(f"run={folder.path} was begun with {begun.get('class')}, not {description['class']}")
    arguments = begun.get("arguments", {})
    for key, value in description["arguments"].items():
        if arguments.get(key) != value:
            raise ValueError(
                f"run={folder.path} was begun with model.{key}={arguments.get(key)}, not {value}: "
                f"resume=true goes on with the same settings"
            )


def differences(folder: RunFolder, config: DictConfig) -> list[str]:
    """The settings that a run was begun with and that are others now, as key=value, not=value.

    Raises:
        ValueError: config.yaml in the folder is missing or damaged.
    """
    path = folder.path / "config.yaml"
    try:
        begun = flat(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        raise ValueError(f"{path} cannot be read: is {folder.path} a whole run folder?") from None
    now = flat(yaml.safe_load(OmegaConf.to_yaml(config)))
    keys = sorted((begun.keys() | now.keys()) - {"run", "resume"})
    return [
        f"{key}={begun.get(key, 'nothing')}, not {now.get(key, 'nothing')}"
        for key in keys
        if begun.get(key) != now.get(key)
    ]


def flat(value: object, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if not isinstance(value, dict):
        return {prefix: value}
    pairs = (flat(inner, f"{prefix}.{key}" if prefix else str(key)) for key, inner in value.items())
    return {key: inner for part in pairs for key, inner in part.items()}
