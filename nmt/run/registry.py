"""Classes by name: what a run folder writes down of a model, a search or a corpus, and how it is made again.

A class is looked up among the public names of one package of ours; a path to code is never followed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from nmt.errors import UserError
from nmt.run.weights import Shapes

FORMAT = 2
"""The version of the folder's format; a reader refuses any other."""

Description = dict[str, Any]
"""A class by its name and its arguments: {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}."""


def build(description: Any, package: ModuleType, **runtime: Any) -> Any:
    """The object that a description names.

    Args:
        description: as `Description`; arguments may be descriptions themselves.
        package: whose public names (`__all__`) may be named, and no others.
        runtime: arguments that only the caller knows, handed to the outermost class.

    Raises:
        ValueError: the class is not one of the package's, its arguments are not those it takes, or it refuses them.
    """
    if not isinstance(description, Mapping) or not isinstance(description.get("class"), str):
        raise UserError(f'a description has a "class" and "arguments", not {str(description)[:80]}')
    name, arguments = description["class"], description.get("arguments", {})
    names = [public for public in package.__all__ if inspect.isclass(getattr(package, public))]
    if name not in names:
        raise UserError(f"{package.__name__} has no class {name[:80]!r}; it has {', '.join(names)}")
    if not isinstance(arguments, Mapping):
        raise UserError(f"the arguments of {name} must be names with values")
    values = {
        key: build(value, package) if isinstance(value, Mapping) and "class" in value else value
        for key, value in arguments.items()
    }
    try:
        return getattr(package, name)(**values, **runtime)
    # Besides what a class refuses by itself: what arguments of a wrong kind or size do to it.
    except UserError:
        raise
    except (TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{name} cannot be made from these arguments: {reason}") from None


def check_size(description: Description, package: ModuleType, shapes: Shapes) -> None:
    """Finds a model that is larger than the weights that it shall get, before memory is asked for.

    No argument is larger than the number of weights, or large. Then the model is made without memory, and no further
    than to somewhat more tensors than the file has. What it makes besides weights, the table of positions, is no larger
    than they are, or small.

    Raises:
        ValueError: the description cannot be made, or is of another size.
    """
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook

    total = sum(math.prod(shape) for _, shape in shapes.values())
    if (huge := first_above(description.get("arguments", {}), max(total, 2**16))) is not None:
        raise UserError(f"it describes a model of size {huge}, but the weights are {total:,} numbers")
    left = 2 * len(shapes) + 64  # some are registered twice: the tied ones

    def count(module: Any, name: str, parameter: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise UserError(f"it describes more than the {len(shapes)} tensors of the weights")

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            model = build(description, package)
    finally:
        hook.remove()
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "encode"):
        raise UserError(f"{description['class']} is no model")
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.numel() > max(total, 2**24):
            raise UserError(f"it describes {name} with {tensor.numel():,} numbers, more than the weights have")


def first_above(value: Any, most: float) -> float | None:
    """The first number in a JSON value that is larger than `most`, or none at all."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return next((found for item in value if (found := first_above(item, most)) is not None), None)
    return value if isinstance(value, (int, float)) and not value <= most else None
