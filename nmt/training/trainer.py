"""How a model is trained: the settings, and the call that does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from nmt.checks import check_sizes
from nmt.data.batch import Batch
from nmt.data.loader import BatchLoader
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.training.checkpoint import Progress
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.loop import Loop, Validate
from nmt.training.loss import Objective
from nmt.training.progress import ProgressBar
from nmt.training.schedule import Schedule
from nmt.training.update import Updater


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains a model until a limit is reached, the score stops rising, or somebody asks it to stop.

    Args:
        max_steps: updates; None = no limit.
        max_epochs: passes over the training split; None = no limit.
        max_minutes: of training, validation included; None = no limit.
        accumulate: batches whose gradients make one update.
        clip_norm: gradients with a larger norm are scaled down to it; None = never.
        label_smoothing: ε of the loss.
        precision: "fp32", "bf16" (autocast) or "auto" (bf16 on a GPU that has it).
        log_every: steps between records of the training loss.
        validate_every: steps between validations.
        save_every: steps between checkpoints, besides those after validations; None = no others.
        save_minutes: minutes between checkpoints likewise; None = no others.
        skip_nonfinite: updates in a row that are left out because the loss or the gradient is not finite; one more
            ends the run, 0 = the first.
        patience: validations without a better score after which the run ends; None = never.
        average_checkpoints: at the end the weights of so many last validations are averaged, and kept if they score
            better; 1 = no averaging.

    Raises:
        ValueError: a setting is out of its range, or nothing would ever end the run.
    """

    max_steps: int | None
    max_epochs: int | None
    max_minutes: float | None
    accumulate: int
    clip_norm: float | None
    label_smoothing: float
    precision: str
    log_every: int
    validate_every: int
    save_every: int | None
    save_minutes: float | None
    skip_nonfinite: int
    patience: int | None
    average_checkpoints: int

    def __post_init__(self) -> None:
        for name in ("accumulate", "log_every", "validate_every", "average_checkpoints"):
            check_sizes(**{name: getattr(self, name)})
        for name in ("max_steps", "max_epochs", "save_every", "patience"):
            if (value := getattr(self, name)) is not None and not _is_positive(value, whole=True):
                raise UserError(f"{name}={value} must be a whole number above 0, or null for none")
        for name in ("max_minutes", "save_minutes", "clip_norm"):
            if (value := getattr(self, name)) is not None and not _is_positive(value, whole=False):
                raise UserError(f"{name}={value} must be above 0, or null for none")
        limits = (self.max_steps, self.max_epochs, self.max_minutes, self.patience)
        if all(limit is None for limit in limits):
            raise UserError("the run would never end: set one of max_steps, max_epochs, max_minutes or patience")
        if not isinstance(self.skip_nonfinite, int) or self.skip_nonfinite < 0:
            raise UserError(f"skip_nonfinite={self.skip_nonfinite} must be a whole number of at least 0")
        if not 0.0 <= self.label_smoothing < 1.0:
            raise UserError(f"label_smoothing={self.label_smoothing} must be a probability from 0 to below 1")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise UserError(f"precision={self.precision} is unknown: use auto, fp32 or bf16")

    def fit(
        self,
        model: Seq2Seq,
        *,
        pairs: BatchLoader,
        validation: Sequence[Batch],
        validate: Validate,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        run: RunFolder,
        history: History,
        bar: ProgressBar,
        stop: Callable[[], bool],
        processes: Processes,
        seed: int,
    ) -> Progress:
        """Trains `model` and leaves the run folder with a best checkpoint, whichever way it ends.

        Args:
            pairs: to learn from; this process's share.
            validation: the batches of the validation loss; this process's share.
            validate: the score by which the best checkpoint is chosen; the same in all processes.
            optimizer: of the model's parameters.
            schedule: of the learning rate.
            run: where checkpoints go; if it has a last checkpoint, training goes on from there.
            history: takes the records.
            bar: shows them.
            stop: is asked after each update whether to end tidily now.
            processes: that train this model together.
            seed: of dropout.

        Raises:
            Failure: the loss or the gradient is not finite, the memory ran out, or another process ended.
        """
        loop = Loop(
            settings=self,
            model=model,
            pairs=pairs,
            validation=validation,
            validate=validate,
            optimizer=optimizer,
            schedule=schedule,
            run=run,
            history=history,
            bar=bar,
            stop=stop,
            processes=processes,
            seed=seed,
        )
        return loop.run_to_the_end()

    def share_done(self, progress: Progress, batches_per_epoch: int) -> float:
        """How much of the run is behind, from 0 to 1, by the limit that will be reached first."""
        shares = [0.0]
        if self.max_steps is not None:
            shares.append(progress.step / self.max_steps)
        if self.max_epochs is not None:
            shares.append((progress.epoch + progress.position / batches_per_epoch) / self.max_epochs)
        if self.max_minutes is not None:
            shares.append(progress.seconds / 60 / self.max_minutes)
        return min(1.0, max(shares))

    def updater(
        self,
        model: Seq2Seq,
        optimizer: torch.optim.Optimizer,
        *,
        processes: Processes,
        objective: nn.Module | None = None,
    ) -> Updater:
        """What makes the updates of `model`.

        Args:
            objective: another loss than the run's, see `Updater`.
        """
        autocast = partial(self.autocast, model.device)
        if objective is None:
            objective = Objective(model, label_smoothing=self.label_smoothing)
        return Updater(
            model=model,
            objective=processes.wrap(objective),
            optimizer=optimizer,
            autocast=autocast,
            clip_norm=self.clip_norm,
            processes=processes,
        )

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """bf16 where it was asked for and where it helps, else nothing."""
        if self.precision == "bf16" or (
            self.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
        ):
            return torch.autocast(device.type, torch.bfloat16)
        return nullcontext()


def _is_positive(value: object, *, whole: bool) -> bool:
    """Whether `value` is a number above 0."""
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and value > 0
