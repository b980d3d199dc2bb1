"""The weights of a model on the disk: safetensors, which hold numbers and names and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UserError
from nmt.files import parse_json, replacing

if TYPE_CHECKING:  # torch takes a second to import, and half of the commands never need it
    from torch import Tensor

    from nmt.models import Seq2Seq

Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""By a tensor's name, the kind of its numbers and its shape."""


def save_weights(weights: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Writes tensors as safetensors, whole or not at all, tied ones once; `step` goes into the file's metadata."""
    from safetensors.torch import save

    kept = {}
    seen = set()
    for name, tensor in weights.items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            kept[name] = tensor.detach().cpu().contiguous()
    with replacing(path) as file:
        file.write(save(kept, metadata={"step": str(step)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    _check_file(path)
    try:
        return load_file(path)
    # The library knows kinds of numbers that torch does not; and a run that goes on may replace the file meanwhile.
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, OSError) as error:
        raise _damaged(path, error) from None


def read_shapes(path: Path) -> Shapes:
    """The kind and the shape of each tensor in a safetensors file, from its header alone.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    _check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (tensor.get_dtype(), tuple(tensor.get_shape())) for name, tensor in tensors.items()}
    except (SafetensorError, ValueError, RuntimeError, OSError) as error:
        raise _damaged(path, error) from None


def load_weights(model: Seq2Seq, path: Path) -> None:
    """Fills `model` from a file of `save_weights`.

    Raises:
        ValueError: the file is missing or damaged, or its tensors are not the model's.
    """
    weights = read_weights(path)
    own = model.state_dict(keep_vars=True)
    names_of: dict[int, list[str]] = {}  # tied tensors have several names, and were saved under one
    for name, tensor in own.items():
        names_of.setdefault(id(tensor), []).append(name)
    for names in names_of.values():
        saved = [name for name in names if name in weights]
        if len(saved) != 1 or weights[saved[0]].shape != own[saved[0]].shape:
            raise UserError(f"{path} does not fit model.json: {names[0]} is missing or of another shape")
        if weights[saved[0]].dtype != own[saved[0]].dtype:
            raise UserError(f"{path} does not fit model.json: {saved[0]} holds {weights[saved[0]].dtype}")
        if not weights[saved[0]].isfinite().all():
            raise UserError(f"{path} is of no use: {saved[0]} holds numbers that are not finite")
        own[saved[0]].data.copy_(weights.pop(saved[0]))
    if weights:
        raise UserError(f"{path} does not fit model.json: it has {next(iter(weights))[:80]}, the model has not")


def _check_file(path: Path) -> None:
    """Raises ValueError unless there is a regular file; the library would wait for a pipe."""
    if not path.is_file():
        raise UserError(f"{path} is damaged: it is no file" if path.exists() else f"{path} is missing")


def _damaged(path: Path, error: BaseException) -> ValueError:
    return ValueError(f"{path} is damaged: {str(error).split(chr(10))[0]}")


def read_step(path: Path) -> int | None:
    """The training step of a file of weights or of a checkpoint; None where it does not read whole."""
    from safetensors import SafetensorError, safe_open

    try:
        _check_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        step = metadata["step"] if "step" in metadata else parse_json(metadata["progress"])["step"]
        return int(step)
    except (SafetensorError, RuntimeError, OSError, KeyError, TypeError, ValueError, OverflowError):
        return None
