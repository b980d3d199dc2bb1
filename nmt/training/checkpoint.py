"""The checkpoint from which a run resumes exactly: weights, their moving average, optimizer and progress in one file.

It does not store the state of the random number generators. Each update seeds them from the run's seed and the number
of the update (see `Trainer`), so the progress determines them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nmt.errors import UserError
from nmt.files import atomic_write
from nmt.models.seq2seq import Seq2Seq
from nmt.run.format import Count
from nmt.run.weights import read_weights
from nmt.training.loss_meter import LossMeter
from nmt.training.moving_average import MovingAverage
from nmt.training.schedule import ScheduleState
from nmt.training.selection import Measure, Validation


class Progress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How far a run has come.

    Attributes:
        step: updates so far.
        epoch: the current epoch, from 0.
        position: batches of this epoch that have been used.
        order: identifies the order of the training pairs (`TokenBudgetSampler.order`); if it has changed, `position`
            no longer means anything.
        seconds: training time so far, over all sessions, including validation.
        skipped_in_a_row: updates that were skipped since the last one that was applied.
        best: the best validation so far; None before the first.
        selected_by: the measure that decided which one is the best.
        validations_since_best: validations since the best one.
        validated_step: step of the last validation.
        averaged_step: step at which checkpoints were last averaged.
        number_format: of the forward pass so far; None before the first update. With trainer.precision=auto a resumed
            run keeps it, whatever the machine.
        num_records: records in the history; those behind them will be written again.
        schedule: state of the learning-rate schedule.
        loss_meter: the training loss since the last record.
    """

    step: Count = 0
    epoch: Count = 0
    position: Count = 0
    order: str = ""
    seconds: float = 0.0
    skipped_in_a_row: Count = 0
    best: Validation | None = None
    selected_by: Measure = "bleu"
    validations_since_best: Count = 0
    validated_step: Count = 0
    averaged_step: Count = 0
    number_format: Literal["fp32", "bf16"] | None = None
    num_records: Count = 0
    schedule: ScheduleState = msgspec.field(default_factory=dict)
    loss_meter: LossMeter = msgspec.field(default_factory=LossMeter)


def save_checkpoint(
    path: Path,
    progress: Progress,
    model: Seq2Seq,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None = None,
) -> None:
    """Replaces the file by one with the current weights, their moving average, optimizer state and progress.

    Raises:
        Failure: the system refuses to write; the old file stays.
    """
    tensors = named_weights(model, average)
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as file:
        file.write(save(on_cpu, metadata={"progress": msgspec.json.encode(progress).decode()}))


def read_checkpoint(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """The progress and the tensors of a checkpoint; `restore` takes the tensors.

    Raises:
        UserError: the file is missing or damaged.
    """
    return read_progress(path), read_weights(path)


def read_progress(path: Path) -> Progress:
    """The progress that a checkpoint stores.

    Raises:
        UserError: the file is missing or damaged.
    """
    if not path.is_file():  # safe_open would wait for a pipe
        raise UserError(f"{path} is missing, or is not a file")
    try:
        with safe_open(path, framework="pt") as file:
            return msgspec.json.decode((file.metadata() or {})["progress"], type=Progress)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$.")
        raise UserError(f"{path} is damaged: {field.rstrip('`') or 'progress'}: {message}") from None
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from None


def restore(
    tensors: dict[str, Tensor],
    path: Path,
    model: Seq2Seq,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None = None,
) -> None:
    """Copies the tensors of a checkpoint into model, optimizer and moving average.

    Args:
        tensors: from `read_checkpoint`.
        path: of the checkpoint, for messages.

    Raises:
        UserError: the tensors belong to another model or optimizer, or a moving average is present on one side only.
    """
    weights = named_weights(model, average)
    saved = {name: tensor for name, tensor in tensors.items() if name.startswith(("model.", "average."))}
    saved_shapes = {name: tensor.shape for name, tensor in saved.items()}
    if saved_shapes != {name: tensor.shape for name, tensor in weights.items()}:
        raise UserError(f"{path} is of another model: resume=true needs the same settings")
    try:
        state = _optimizer_state(tensors, optimizer)  # first, because it changes the weights
        for name, tensor in weights.items():
            tensor.copy_(saved[name])
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (LookupError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or ["a tensor is missing"])[0]
        raise UserError(f"{path} is damaged: {reason}") from None


def named_weights(model: Seq2Seq, average: MovingAverage | None) -> dict[str, Tensor]:
    """The weights of a model and of their moving average, by their names in a checkpoint: model.NAME, average.NAME."""
    weights = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    return weights | {f"average.{name}": tensor for name, tensor in (average.weights if average else {}).items()}


def _optimizer_state(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """The optimizer's state by the index of the parameter, from tensors named optimizer.INDEX.NAME.

    Each tensor must have the shape that it has after a step. This function makes one, with gradients of 0, so the
    weights and the present state may change.

    Raises:
        UserError: a tensor has a wrong shape or type, one is missing, or a number of steps is none.
        LookupError, ValueError: a name is not of this form.
    """
    for parameter in (each for group in optimizer.param_groups for each in group["params"]):
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    expected = optimizer.state_dict()["state"]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if not name.startswith("optimizer."):
            continue
        _, index, key = name.split(".")
        if tensor.shape != expected[int(index)][key].shape or not tensor.is_floating_point():
            raise UserError(f"{name} has another shape or type")
        if key == "step" and not bool(((tensor >= 0) & (tensor == tensor.round())).all()):
            raise UserError(f"{name} is not a number of steps")
        state.setdefault(int(index), {})[key] = tensor
    if any(entry.keys() != expected[index].keys() for index, entry in state.items()):
        raise UserError("the state of the optimizer has gaps")
    return state
