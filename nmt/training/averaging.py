"""Checkpoint averaging: the mean of the weights after the last validations (Vaswani et al., 2017, §6.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from nmt.models.seq2seq import Seq2Seq
from nmt.run.weights import load_weights, read_weights, save_weights
from nmt.training.distributed import Processes


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
def averaged_model(
    model: Seq2Seq, paths: Sequence[Path], *, save_to: Path, step: int, processes: Processes
) -> Iterator[None]:
    """Inside, the model has the mean of the weights in `paths`; afterwards, its own weights are restored.

    The main process writes the mean to `save_to`, as weights of `step`.

    Raises:
        Failure: the system refuses to write.
    """
    own_weights = [parameter.detach().clone() for parameter in model.parameters()]
    if processes.is_main:
        save_weights(average_weights(paths), save_to, step=step)
        load_weights(model, save_to)
    processes.broadcast_weights(model)
    yield
    for parameter, weights in zip(model.parameters(), own_weights, strict=True):
        parameter.data.copy_(weights)
