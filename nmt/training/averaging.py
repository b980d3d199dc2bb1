"""Checkpoint averaging: the mean of the weights after the last validations (Vaswani et al., 2017, §6.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn

from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.run.weights import load_weights, read_weights, save_weights
from nmt.training.distributed import Processes


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


@contextmanager
def restoring_weights(model: nn.Module) -> Iterator[None]:
    """Inside, the caller may change the weights of the model; afterwards, it has those from before."""
    own_weights = [parameter.detach().clone() for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, weights in zip(model.parameters(), own_weights, strict=True):
            parameter.detach().copy_(weights)


@contextmanager
def averaged_model(
    model: Seq2Seq, paths: Sequence[Path], *, save_to: Path, step: int, processes: Processes
) -> Iterator[None]:
    """Inside, the model has the mean of the weights in `paths`; afterwards, its own weights again.

    The main process writes the mean to `save_to`, as weights of `step`.

    Raises:
        Failure: the system refuses to write.
    """
    with restoring_weights(model):
        if processes.is_main:
            save_weights(average_weights(paths), save_to, step=step)
            load_weights(model, save_to)
        processes.broadcast_weights(model)
        yield
