"""Models made to be filled from a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode


class SkipInit(TorchFunctionMode):
    """Inside, modules are made without drawing their first weights: whoever makes them fills each parameter.

    What is saved is not the drawing alone. On the device `meta`, where a model is made for its shapes, torch imports
    its compiler for it, which takes as long as importing the rest of torch.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function.__name__.endswith(("uniform_", "normal_")):  # of `torch.nn.init`, or of the tensor itself
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)
