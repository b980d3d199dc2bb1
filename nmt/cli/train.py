"""`nmt train`: trains one system and writes its run folder."""

from __future__ import annotations

import torch
from omegaconf import DictConfig, OmegaConf

from nmt.cli.shell.settings import to_settings
from nmt.cli.training.preparation import PreparedRun, prepare_run
from nmt.cli.training.resume import changed_settings, check_same_model
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.validation import make_validation_split
from nmt.device import subnormals_as_zero
from nmt.files import write_json, write_text
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.interrupt import Interrupt
from nmt.training.parts import TrainingParts
from nmt.training.progress import ProgressBar
from nmt.training.trainer import Trainer
from nmt.training.validation import ValidationSplit


def run(config: DictConfig) -> None:
    """Trains the system that `config` (conf/train.yaml) describes, alone or as one of the processes of torchrun."""
    settings, config_yaml = to_settings(config, TrainSettings), OmegaConf.to_yaml(config)
    with subnormals_as_zero(), Processes.join() as processes:
        # 1. Build every part. An error in the settings or the corpus appears here, before anything is written.
        if processes.is_main:
            RunFolder.check_available(settings.run, resume=settings.resume)
        prepared = prepare_run(settings, processes)

        # 2. Open the run folder. Only the main process writes to it.
        if processes.is_main:
            folder, changes = open_folder(settings, prepared, config_yaml)
        else:
            folder, changes = RunFolder(settings.run), []

        # 3. Train. A failure says what is still intact; Ctrl-C ends the run with a checkpoint.
        with (
            folder.with_recovery_hint(),
            Interrupt(single_process=processes.size == 1) as interrupt,
            ProgressBar(folder.name, log=folder.path / "log.txt" if processes.is_main else None) as bar,
        ):
            history = History(
                folder.history if processes.is_main else None,
                tensorboard=folder.path / "tensorboard" if processes.is_main and settings.tensorboard else None,
            )
            parts = TrainingParts(
                model=prepared.model,
                optimizer=prepared.optimizer,
                schedule=prepared.schedule,
                train_loader=prepared.train_loader,
                validation_split=validation_of(prepared, processes),
                run_folder=folder,
                history=history,
                bar=bar,
                stop_requested=lambda: interrupt.requested,
                processes=processes,
                seed=settings.seed,
            )
            trainer = Trainer(settings.trainer, parts)
            trainer.resume()
            report = prepared.train_loader.report
            repairs = prepared.corpus.repairs(settings.train_split)
            print_introduction(prepared.model, [*report.lines(), *repairs, *prepared.remarks], processes, changes, bar)
            if processes.is_main:
                write_json(folder.path / "cleaning.json", {**report.record(), "repaired": repairs})
            progress = trainer.fit()
            best = progress.best
            result = f"best validation {best.describe(settings.trainer.measure)}; " if best is not None else ""
            bar.print(f"{result}the run is in {folder.path}")
            history.close()
        if interrupt.requested:
            raise KeyboardInterrupt


def validation_of(prepared: PreparedRun, processes: Processes) -> ValidationSplit | None:
    """What the trainer validates on; None without validation."""
    if prepared.validation_split is None or prepared.validation_loader is None:
        return None
    return make_validation_split(
        prepared.validation_split,
        prepared.validation_loader,
        prepared.tokenizer,
        prepared.searcher,
        prepared.metrics,
        processes,
    )


def open_folder(settings: TrainSettings, prepared: PreparedRun, config_yaml: str) -> tuple[RunFolder, list[str]]:
    """Locks the run folder, and writes everything that a new one needs except weights.

    Returns:
        The folder, and the settings that differ from those that a resumed run was started with.

    Raises:
        UserError: the folder is in use, or the run in it has another model.
    """
    folder = RunFolder.create(settings.run, resume=settings.resume)
    if settings.resume:
        check_same_model(folder, prepared.descriptions["model"])
        return folder, changed_settings(folder.path / "config.yaml", config_yaml)
    with folder.with_recovery_hint():
        prepared.tokenizer.save(folder.path)
        write_text(folder.path / "config.yaml", config_yaml)
        for name, description in prepared.descriptions.items():  # model.json is last: it makes the folder a run
            folder.write_description(name, description)
    return folder, []


def print_introduction(
    model: Seq2Seq, remarks: list[str], processes: Processes, changes: list[str], bar: ProgressBar
) -> None:
    """Prints the model, remarks on its data, and which settings differ from those that the run was started with."""
    num_threads = torch.get_num_threads()
    threads_text = "1 thread" if num_threads == 1 else f"{num_threads} threads"
    processes_text = f", {processes.size} processes" if processes.size > 1 else ""
    bar.print(
        f"{type(model).__name__}, {model.num_parameters():,} parameters, on {model.device} "
        f"({threads_text}{processes_text})"
    )
    for line in [*remarks, *(f"the run was started with {change}" for change in changes)]:
        bar.print(line)
