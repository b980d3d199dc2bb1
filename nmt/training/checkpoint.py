"""The state of a run on the disk: all that going on exactly needs, in one file that is replaced as a whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nmt.files import replacing
from nmt.models.seq2seq import Seq2Seq
from nmt.weights import read_weights


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: updates of the weights so far.
        epoch: the one that is going on, from 0.
        position: batches of it that have been used.
        seconds: of training so far, over all sittings; validation included.
        best_score: of the validations so far; None before the first.
        waited: validations since the best one.
        validated: the step of the last validation.
        schedule: the state of the learning rate's schedule.
        window: the sums for the next record of the training loss.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    waited: int = 0
    validated: int = 0
    schedule: dict[str, Any] = field(default_factory=dict)
    window: dict[str, float] = field(default_factory=dict)


def save_checkpoint(path: Path, progress: Progress, model: Seq2Seq, optimizer: torch.optim.Optimizer) -> None:
    """Writes weights, optimizer, progress and random states to one safetensors file, whole or not at all."""
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(model.device)
    on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as file:
        file.write(save(on_cpu, metadata={"progress": json.dumps(asdict(progress))}))


def read_progress(path: Path) -> Progress:
    """Where the run of a file of `save_checkpoint` stood.

    Raises:
        ValueError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return Progress(**json.loads(file.metadata()["progress"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def load_checkpoint(path: Path, model: Seq2Seq, optimizer: torch.optim.Optimizer) -> Progress:
    """Fills model, optimizer and random states from a file of `save_checkpoint`.

    Raises:
        ValueError: the file is missing, damaged, or of another model.
    """
    progress, tensors = read_progress(path), read_weights(path)
    parameters = {f"model.{name}": parameter for name, parameter in model.named_parameters()}
    saved = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    if {name: tensor.shape for name, tensor in saved.items()} != {name: own.shape for name, own in parameters.items()}:
        raise ValueError(f"{path} is of another model: resume=true goes on with the same settings")
    try:
        for name, parameter in parameters.items():
            parameter.data.copy_(saved[name])
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random.cpu"])
        if model.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], model.device)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    return progress


def average(paths: list[Path]) -> dict[str, Tensor]:
    """The mean of the weights in several files of one model, in float32 (Vaswani et al., 2017, §6.1)."""
    total: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in read_weights(path).items():
            total[name] = total.get(name, 0) + tensor.float() / len(paths)
    return total
