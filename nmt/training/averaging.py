"""Checkpoint averaging: the mean of the weights after the last validations (Vaswani et al., 2017, §6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.run.weights import load_weights, read_weights, save_weights
from nmt.training.moving_average import restoring_weights
from nmt.training.selection import Validation
from nmt.training.update import Updater
from nmt.training.validation import ValidationSplit, validate_model


def keep_for_averaging(model: Seq2Seq, folder: RunFolder, *, step: int, count: int) -> None:
    """Writes the weights of `step` beside those of earlier validations, of which the last `count` remain.

    Raises:
        Failure: the system refuses to write.
    """
    save_weights(model.state_dict(), folder.step_path(step), step=step)
    for old in folder.step_paths()[:-count]:
        old.unlink()


def weights_to_average(folder: RunFolder, *, step: int, count: int) -> list[Path]:
    """The files of the last `count` validations up to `step`, oldest first."""
    # A file of a later step is left over from before the run was killed and resumed at an earlier checkpoint.
    return [path for path in folder.step_paths() if path <= folder.step_path(step)][-count:]


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights in several files of one model, in float32.

    Raises:
        UserError: a file is missing or damaged.
    """
    mean: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in read_weights(path).items():
            mean[name] = mean.get(name, 0) + tensor.float() / len(paths)
    return mean


def validate_average(
    updater: Updater, split: ValidationSplit, folder: RunFolder, *, step: int, count: int
) -> Validation | None:
    """Validates the mean of the weights after the last `count` validations; afterwards the model has its own again.

    The main process writes the mean to `folder.averaged`, as weights of `step`.

    Returns:
        None if there are no weights of several validations; then nothing is written.

    Raises:
        Failure: the system refuses to write, the loss is not finite, or the memory ran out.
    """
    model, processes = updater.model, updater.processes
    paths = processes.broadcast(weights_to_average(folder, step=step, count=count) if processes.is_main else [])
    if len(paths) < 2:
        return None
    with restoring_weights(model):
        if processes.is_main:
            save_weights(average_weights(paths), folder.averaged, step=step)
            load_weights(model, folder.averaged)
        processes.broadcast_weights(model)
        return validate_model(updater, split, step=step, num_averaged=len(paths))
