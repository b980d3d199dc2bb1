"""`nmt train`: trains one system and writes its run folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import torch
from omegaconf import DictConfig

from nmt.cli.shell.configuration import plain_values
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.settings import to_settings
from nmt.cli.training.attention import make_attention_measure
from nmt.cli.training.mix import expand_mix
from nmt.cli.training.preparation import PreparedRun, prepare_run
from nmt.cli.training.resume import (
    SettingChange,
    Start,
    check_same_text,
    find_start,
    record_changes,
    write_config,
)
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.validation import make_validation_split
from nmt.data.digest import text_digest
from nmt.device import subnormals_as_zero
from nmt.files import write_json
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.environment import Environment, describe_environment, record_environment
from nmt.threads import limit_threads
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.interrupt import Interrupt
from nmt.training.parts import TrainingParts
from nmt.training.progress import ProgressBar
from nmt.training.settings import TrainerSettings
from nmt.training.trackers import Tracker, Tracking
from nmt.training.trainer import INTERRUPTED, Trainer
from nmt.training.validation import ValidationSplit


def run(config: DictConfig) -> None:
    """Trains the system that `config` (conf/train.yaml) describes, alone or as one of the processes of torchrun."""
    settings, values = expand_mix(to_settings(config, TrainSettings)), plain_values(config)
    with subnormals_as_zero(), Processes.join() as processes:
        # 1. Build every part. An error in the settings or the corpus appears here, before anything is written.
        start: Start = processes.broadcast(find_start(settings, values) if processes.is_main else Start(resume=False))
        if start.finished is not None:
            if processes.is_main:
                print_message("nmt train", start.finished)
            return
        settings = msgspec.structs.replace(settings, resume="true" if start.resume else "false")
        tracker: Tracker | None = None if settings.tracker is None else settings.tracker.build()
        prepared = prepare_run(settings, processes)

        # 2. Open the run folder. Only the main process writes to it.
        folder = open_folder(settings, prepared, start, values) if processes.is_main else RunFolder(settings.run)

        # 3. Train. A failure says what is still intact; Ctrl-C or a scheduler's signal ends the run with a checkpoint.
        with (
            folder.with_recovery_hint(),
            Interrupt(single_process=processes.size == 1) as interrupt,
            ProgressBar(folder.name, log=folder.path / "log.txt" if processes.is_main else None) as bar,
            limit_threads(settings.threads, prepared.model.device, report=bar.print) as adapt_threads,
        ):
            history = History(
                folder.history if processes.is_main else None,
                tracking=None
                if tracker is None or not processes.is_main
                else Tracking(tracker, folder.path, values, warn=bar.print),
            )
            parts = TrainingParts(
                model=prepared.model,
                optimizer=prepared.optimizer,
                schedule=prepared.schedule,
                train_loader=prepared.train_loader,
                validation_split=validation_of(settings, prepared, processes, before_batch=adapt_threads),
                run_folder=folder,
                history=history,
                bar=bar,
                stop_requested=lambda: interrupt.requested,
                adapt_threads=adapt_threads,
                processes=processes,
                seed=settings.seed,
                objective=prepared.objective,
            )
            trainer = Trainer(settings.trainer, parts)
            trainer.resume()
            report = prepared.train_loader.report
            repairs = prepared.corpus.repairs(settings.train_split)
            remarks = [*report.lines(), *repairs, *prepared.remarks]
            print_introduction(prepared.model, trainer.settings, remarks, processes, start.changes, bar)
            if processes.is_main:
                write_json(folder.path / "cleaning.json", {**report.record(), "repaired": repairs})
                record_environment(folder.path, environment_of(trainer, processes))
            progress = trainer.fit()
            best = progress.best
            result = f"best validation {best.describe(settings.trainer.measure)}; " if best is not None else ""
            bar.print(f"{result}the run is in {folder.path}")
            history.close()
        if trainer.stop_reason() == INTERRUPTED:
            interrupt.pass_on()
            raise KeyboardInterrupt


def environment_of(trainer: Trainer, processes: Processes) -> Environment:
    """The program and the machine that train from here on."""
    device = trainer.parts.model.device
    return describe_environment(
        device,
        step=trainer.progress.step,
        processes=processes.size,
        number_format=trainer.settings.number_format(device),
    )


def validation_of(
    settings: TrainSettings, prepared: PreparedRun, processes: Processes, *, before_batch: Callable[[], None]
) -> ValidationSplit | None:
    """What the trainer validates on; None without validation. `before_batch` is called before each batch."""
    if prepared.validation_split is None or prepared.validation_loader is None:
        return None
    if settings.objective is not None:
        batches = list(prepared.validation_loader.epoch(0, start=0))
        num_pairs = len(prepared.validation_split)
        return ValidationSplit(batches=batches, compute_scores=None, measure_attention=None, num_pairs=num_pairs)
    return make_validation_split(
        prepared.validation_split,
        prepared.validation_loader,
        prepared.tokenizer,
        prepared.searcher,
        prepared.metrics,
        processes,
        measure_attention=make_attention_measure(settings, prepared, before_batch=before_batch),
        before_batch=before_batch,
    )


def open_folder(settings: TrainSettings, prepared: PreparedRun, start: Start, config: dict[str, Any]) -> RunFolder:
    """Locks the run folder, and writes everything that a new one needs except weights.

    Raises:
        UserError: the folder is in use, or the run in it was started on another corpus.
    """
    splits = {"training": prepared.train_split, "validation": prepared.validation_split}
    digests = {name: text_digest(split) for name, split in splits.items() if split is not None}
    if settings.trainer.alignment_weight > 0:
        digests["alignment"] = text_digest(prepared.train_split, ["alignment"])
    descriptions = {**prepared.descriptions, "corpus": {**prepared.descriptions["corpus"], "text": digests}}
    if start.resume:
        check_same_text(RunFolder(settings.run), digests, start.changes)
    folder = RunFolder.create(settings.run, resume=start.resume)
    with folder.with_recovery_hint():
        if start.resume:
            folder.write_description("corpus", descriptions["corpus"])  # the text may have moved
            record_changes(folder, start.changes, config)
            return folder
        prepared.tokenizer.save(folder.path)
        write_config(folder, config)
        for name, description in descriptions.items():  # model.json is last: it makes the folder a run
            folder.write_description(name, description)
    return folder


def print_introduction(
    model: Seq2Seq,
    settings: TrainerSettings,
    remarks: list[str],
    processes: Processes,
    changes: list[SettingChange],
    bar: ProgressBar,
) -> None:
    """Prints the model, its number format, remarks on its data, and which settings a resumed run has changed."""
    num_threads = torch.get_num_threads()
    threads_text = "1 thread" if num_threads == 1 else f"{num_threads} threads"
    processes_text = f", {processes.size} processes" if processes.size > 1 else ""
    bar.print(
        f"{type(model).__name__}, {model.num_parameters():,} parameters, on {model.device} "
        f"in {settings.number_format(model.device)} ({threads_text}{processes_text})"
    )
    for line in [*remarks, *(f"until now the run was trained with {change}" for change in changes)]:
        bar.print(line)
