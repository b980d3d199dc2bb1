"""Limits for untrusted run folders: a description is checked before anything large is allocated for it.

A description of a few bytes can ask for any amount of memory, such as a model with a billion layers or a beam of a
billion hypotheses.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

from nmt.errors import UserError
from nmt.run.registry import Description, build
from nmt.run.weights import Shapes

MAX_UNTRUSTED_SEARCH_SIZE = 1024
"""Maximum of any number in a run folder's search.json. The command line may set larger values."""

MAX_SMALL_SIZE = 2**16
"""An argument of a model up to this size is allowed even if the weight file holds fewer numbers."""

MAX_SMALL_BUFFER = 2**24
"""Maximum number of elements of a tensor that a model computes itself, such as a table of positions. More are allowed
if the weight file holds as many numbers."""


def check_model_size(description: Description, package: ModuleType, shapes: Shapes) -> None:
    """Rejects a model that is larger than its weight file, before any memory is allocated for it.

    1. No argument may exceed the number of weights, unless it is small.
    2. The model is built on torch's `meta` device, where tensors have shapes but no memory. Building stops when it has
       created clearly more tensors than the file holds.
    3. No tensor, whether learned or computed, may have more elements than the weights, unless it is small.

    Args:
        description: the model.
        package: its classes, see `build`.
        shapes: the tensors of the weight file.

    Raises:
        UserError: the model cannot be built, or is larger than the weights.
    """
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    num_weights = sum(math.prod(shape) for _, shape in shapes.values())
    arguments = description.get("arguments", {})
    if (excess := first_number_above(arguments, max(num_weights, MAX_SMALL_SIZE))) is not None:
        raise UserError(f"it describes a model of size {excess}, but the weights are {num_weights:,} numbers")
    num_allowed = 2 * len(shapes) + 64  # tied parameters are registered twice, but stored once

    def count_parameter(module: Any, name: str, parameter: Any) -> None:
        nonlocal num_allowed
        num_allowed -= 1
        if num_allowed < 0:
            raise UserError(f"it describes more than the {len(shapes)} tensors of the weights")

    hook = register_module_parameter_registration_hook(count_parameter)
    try:
        with torch.device("meta"):
            model = build(description, package)
    finally:
        hook.remove()
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "encode"):
        raise UserError(f"{description['class']} is not a model")
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.numel() > max(num_weights, MAX_SMALL_BUFFER):
            raise UserError(f"it describes {name} with {tensor.numel():,} numbers, more than the weights have")


def check_search_size(description: Description) -> None:
    """Raises UserError if a number in the description of a search exceeds `MAX_UNTRUSTED_SEARCH_SIZE`."""
    if (excess := first_number_above(description.get("arguments", {}), MAX_UNTRUSTED_SEARCH_SIZE)) is not None:
        raise UserError(
            f"it asks for a search of {excess}, but at most {MAX_UNTRUSTED_SEARCH_SIZE} is accepted from a run folder"
        )


def first_number_above(value: Any, limit: float) -> float | None:
    """Returns the first number in a JSON value that is above `limit` or is NaN; None if there is none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return next((number for item in value if (number := first_number_above(item, limit)) is not None), None)
    return value if isinstance(value, (int, float)) and not value <= limit else None
