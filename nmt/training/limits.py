"""The limits of a run: whether one of them is reached, how much of the run is done, and when to write a checkpoint."""

from __future__ import annotations

from nmt.errors import UserError
from nmt.training.checkpoint import Progress
from nmt.training.schedule import Cosine, Schedule
from nmt.training.selection import MEASURES
from nmt.training.settings import TrainerSettings


def reached_limit(settings: TrainerSettings, progress: Progress) -> str | None:
    """The limit that the run has reached, in words; None if it has reached none."""
    if settings.max_steps is not None and progress.step >= settings.max_steps:
        return f"max_steps={settings.max_steps}"
    if settings.max_epochs is not None and progress.epoch >= settings.max_epochs:
        return f"max_epochs={settings.max_epochs}"
    if settings.max_minutes is not None and progress.seconds >= settings.max_minutes * 60:
        return f"max_minutes={settings.max_minutes:g}"
    if settings.patience is not None and progress.validations_since_best >= settings.patience:
        return f"no better {MEASURES[settings.measure]} in patience={settings.patience} validations"
    return None


def check_limits(schedule: Schedule, settings: TrainerSettings) -> None:
    """Checks that the run has the limits that its schedule needs.

    Raises:
        UserError: the schedule decays over the run, and no limit says how long the run is.
    """
    limits = (settings.max_steps, settings.max_epochs, settings.max_minutes)
    if isinstance(schedule, Cosine) and all(limit is None for limit in limits):
        raise UserError(
            "schedule=cosine needs a limit: set trainer.max_steps, trainer.max_epochs or trainer.max_minutes"
        )


def fraction_done(settings: TrainerSettings, progress: Progress, *, batches_per_epoch: int) -> float:
    """How much of the run is done, from 0 to 1, by the limit that will be reached first.

    Args:
        batches_per_epoch: of the first epoch. With weights, the number of batches differs a little between epochs.
    """
    fractions = [0.0]
    if settings.max_steps is not None:
        fractions.append(progress.step / settings.max_steps)
    if settings.max_epochs is not None:
        fractions.append((progress.epoch + min(1.0, progress.position / batches_per_epoch)) / settings.max_epochs)
    if settings.max_minutes is not None:
        fractions.append(progress.seconds / 60 / settings.max_minutes)
    return min(1.0, max(fractions))


def checkpoint_is_due(settings: TrainerSettings, progress: Progress, *, saved_seconds: float) -> bool:
    """Whether to write a checkpoint now: after a validation, every `save_every` steps, or after `save_minutes`.

    Args:
        saved_seconds: training time at the last checkpoint.
    """
    if progress.validated_step == progress.step:
        return True
    if settings.save_every is not None and progress.step % settings.save_every == 0:
        return True
    minutes = (progress.seconds - saved_seconds) / 60
    return settings.save_minutes is not None and minutes >= settings.save_minutes
