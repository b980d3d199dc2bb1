"""The state of a run on the disk: all that going on exactly needs, in one file that is replaced as a whole.

The random generators are not in it: each update seeds them from the run's seed and the update's number (see `Loop`), so
where they stand follows from where the run stands.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nmt.errors import UserError
from nmt.files import atomic_write, parse_json
from nmt.models.seq2seq import Seq2Seq
from nmt.run.weights import read_weights


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: updates of the weights so far.
        epoch: the one that is going on, from 0.
        position: batches of it that have been used.
        order: names the order in which the training pairs come; where it changed, `position` means nothing any more.
        seconds: of training so far, over all sittings; validation included.
        skipped: updates in a row, up to now, that were left out because the gradient was not finite.
        best_score: of the validations so far; None before the first.
        waited: validations since the best one.
        validated: the step of the last validation.
        averaged: the step at which the mean of the last checkpoints was last tried.
        records: in the history so far; what it holds beyond them will be made again.
        schedule: the state of the learning rate's schedule.
        window: the sums for the next record of the training loss.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    order: str = ""
    seconds: float = 0.0
    skipped: int = 0
    best_score: float | None = None
    waited: int = 0
    validated: int = 0
    averaged: int = 0
    records: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    window: dict[str, float] = field(default_factory=dict)


def save_checkpoint(path: Path, progress: Progress, model: Seq2Seq, optimizer: torch.optim.Optimizer) -> None:
    """Writes weights, optimizer and progress to one safetensors file, whole or not at all."""
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as file:
        file.write(save(on_cpu, metadata={"progress": json.dumps(asdict(progress))}))


def read_progress(path: Path) -> Progress:
    """Where the run of a file of `save_checkpoint` stood.

    Raises:
        ValueError: the file is missing or damaged.
    """
    if not path.is_file():  # the library would wait for a pipe
        raise UserError(f"{path} is missing, or no file")
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**parse_json((file.metadata() or {})["progress"]))
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    for name, kind in get_type_hints(Progress).items():
        if not _is(getattr(progress, name), kind):
            raise UserError(f"{path} is damaged: {name} is of the wrong kind")
    return progress


def _is(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a kind of `Progress`; numbers are finite, and whole ones count something."""
    if kind is int:
        return type(value) is int and 0 <= value < 2**53
    if kind is str:
        return isinstance(value, str)
    if get_origin(kind) is dict:
        inner = float if get_args(kind)[1] is float else float | None
        return isinstance(value, dict) and all(_is(one, inner) for one in value.values())
    optional = type(None) in get_args(kind)
    return (optional and value is None) or (type(value) in (int, float) and abs(value) < 2**53)


def restore(tensors: dict[str, Tensor], path: Path, model: Seq2Seq, optimizer: torch.optim.Optimizer) -> None:
    """Fills model and optimizer with the `tensors` that `path`, a file of `save_checkpoint`, holds.

    Raises:
        ValueError: they are of another model or optimizer.
    """
    parameters = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    saved = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    if {name: tensor.shape for name, tensor in saved.items()} != {name: own.shape for name, own in parameters.items()}:
        raise UserError(f"{path} is of another model: resume=true goes on with the same settings")
    try:
        for name, parameter in parameters.items():
            parameter.data.copy_(saved[name])
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                own = list(parameters.values())[int(index)]
                if tensor.shape not in ((), own.shape) or not tensor.is_floating_point():
                    raise UserError(f"{name} is of another shape or kind")
                state.setdefault(int(index), {})[key] = tensor
        if len({frozenset(entry) for entry in state.values()}) > 1:
            raise UserError("the optimizer's state has gaps")
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (LookupError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is damaged: {(str(error).splitlines() or ['it lacks a tensor'])[0]}") from None


def read_checkpoint(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """What a file of `save_checkpoint` holds: where the run stood, and the tensors for `restore`.

    Raises:
        ValueError: the file is missing or damaged.
    """
    return read_progress(path), read_weights(path)


def average(paths: list[Path]) -> dict[str, Tensor]:
    """The mean of the weights in several files of one model, in float32 (Vaswani et al., 2017, §6.1)."""
    total: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in read_weights(path).items():
            total[name] = total.get(name, 0) + tensor.float() / len(paths)
    return total
