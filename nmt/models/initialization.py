"""Skips random initialisation for models whose parameters are loaded from a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode


class SkipInit(TorchFunctionMode):
    """Inside this context, modules are constructed without random initialisation; the caller must load every parameter.

    This saves the time of the draws and, on the `meta` device (where a model is built for its shapes), more than that:
    torch imports its compiler to draw there, which takes as long as importing the rest of torch.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        # All functions that draw have such names, in `torch.nn.init` (xavier_uniform_) and on tensors (uniform_).
        if function.__name__.endswith(("uniform_", "normal_")):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)
