"""Saves and loads the weights of a model as safetensors files, which hold named tensors and no code."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UserError
from nmt.files import atomic_write, parse_json, reading

if TYPE_CHECKING:  # importing torch takes a second, and half of the commands never need it
    from torch import Tensor

    from nmt.models import Seq2Seq

Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""The number format and the shape of each tensor, by its name: {"bias": ("F32", (300,))}."""


def save_weights(weights: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Writes tensors to a safetensors file by `atomic_write`. Tied tensors, which share memory, are written once.

    Args:
        weights: the tensors by their names.
        path: the file.
        step: the training step, for the file's metadata.
    """
    from safetensors.torch import save

    unique: dict[str, Tensor] = {}
    seen_addresses: set[int] = set()
    for name, tensor in weights.items():
        if tensor.data_ptr() not in seen_addresses or tensor.numel() == 0:
            seen_addresses.add(tensor.data_ptr())
            unique[name] = tensor.detach().cpu().contiguous()
    with atomic_write(path) as file:
        file.write(save(unique, metadata={"step": str(step)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a safetensors file to the CPU.

    Raises:
        UserError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_is_file(path)
    try:
        return load_file(path)
    # Several kinds of error: the header is damaged, torch lacks a number format of the file, or the file has just been
    # replaced by a training process.
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError) as error:
        raise _damaged(path, error) from None


def read_shapes(path: Path) -> Shapes:
    """Reads the number format and the shape of each tensor from the header of a safetensors file.

    Raises:
        UserError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    check_is_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (tensor.get_dtype(), tuple(tensor.get_shape())) for name, tensor in tensors.items()}
    except (SafetensorError, ValueError, RuntimeError, OSError) as error:
        raise _damaged(path, error) from None


def read_step(path: Path) -> int | None:
    """Returns the training step of a file of weights or of a checkpoint; None if the file is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        check_is_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        step = metadata["step"] if "step" in metadata else parse_json(metadata["progress"])["step"]
        return int(step)
    except (UserError, SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError, OverflowError):
        return None


def load_weights(model: Seq2Seq, path: Path, *, only: Set[str] | None = None) -> None:
    """Copies the weights of a file of `save_weights` into `model`, whatever the device of the model.

    Args:
        only: the names of the parameters to copy, as in `named_parameters`; the file may hold others. None: all.

    Raises:
        UserError: the file is missing or damaged, or its tensors are not those of the model.
    """
    saved = read_weights(path)
    parameters = model.state_dict(keep_vars=True)
    # A tied tensor has several names in the model, and was saved under one of them: group the names by tensor.
    tied_names: dict[int, list[str]] = {}
    for name, tensor in parameters.items():
        tied_names.setdefault(id(tensor), []).append(name)
    for names in tied_names.values():
        if only is not None and only.isdisjoint(names):
            continue
        saved_names = [name for name in names if name in saved]
        if len(saved_names) != 1 or saved[saved_names[0]].shape != parameters[saved_names[0]].shape:
            raise UserError(f"{path} does not fit model.json: {names[0]} is missing or has another shape")
        name = saved_names[0]
        weight = saved.pop(name)
        if weight.dtype != parameters[name].dtype:
            raise UserError(f"{path} does not fit model.json: {name} holds {weight.dtype}")
        if not weight.isfinite().all():
            raise UserError(f"{path} cannot be used: {name} holds numbers that are not finite")
        parameters[name].data.copy_(weight)
    if only is None:
        superfluous = set(saved)
    else:  # the file may hold other parts, but not more of a part than the model has, such as more layers
        parts = {name.partition(".")[0] for name in only}
        superfluous = {name for name in saved if name.partition(".")[0] in parts and name not in parameters}
    if superfluous:
        raise UserError(f"{path} does not fit model.json: the model has no {min(superfluous)[:80]}")


def check_is_file(path: Path) -> None:
    """Raises UserError unless `path` is a regular file. The safetensors library would wait for a pipe forever."""
    with reading(path):
        if not path.is_file():
            raise UserError(f"{path} is damaged: it is not a file" if path.exists() else f"{path} is missing")


def _damaged(path: Path, error: BaseException) -> UserError:
    return UserError(f"{path} is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
