"""Everything that a training run works with, in one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from nmt.data.loader import BatchLoader
from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.progress import ProgressBar
from nmt.training.schedule import Schedule
from nmt.training.validation import ValidationSplit


@dataclass(frozen=True, kw_only=True)
class TrainingParts:
    """What a `Trainer` works with.

    Attributes:
        model: on its device.
        optimizer: of the model's parameters.
        schedule: of the learning rate.
        train_loader: this process's share of the training batches.
        validation_split: decides which weights are the best; None = the last ones are.
        run_folder: receives the checkpoints; if it holds one, the run resumes from there.
        history: receives the records.
        bar: shows the progress.
        stop_requested: called after every update; True ends the run with a checkpoint.
        adapt_threads: called after every update; may change torch's number of threads.
        processes: the processes that train this model together.
        seed: of dropout.
        objective: replaces the usual loss, see `Updater.from_settings`; None = it does not.
    """

    model: Seq2Seq
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    train_loader: BatchLoader
    validation_split: ValidationSplit | None
    run_folder: RunFolder
    history: History
    bar: ProgressBar
    stop_requested: Callable[[], bool]
    adapt_threads: Callable[[], None]
    processes: Processes
    seed: int
    objective: nn.Module | None = None
