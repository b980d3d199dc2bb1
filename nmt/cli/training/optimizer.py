"""Which optimizers can train: those that need gradients only, and whose state a checkpoint can store."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.cli.shell.settings import Component
from nmt.errors import UserError

SUPPORTED = "Adam, AdamW, Adafactor, Adadelta, Adagrad, Adamax, ASGD, NAdam, RAdam, RMSprop, Rprop or SGD"
"""The classes of torch.optim that can train; classes of other packages may be able to, too."""


def check_optimizer(settings: Component, device: torch.device) -> None:
    """Tries the optimizer out on a vector and a matrix.

    Raises:
        UserError: it cannot be built, needs more than the gradients, or a run could not be resumed exactly.
    """
    parameters = [nn.Parameter(torch.zeros(shape, device=device)) for shape in ((2,), (2, 3))]
    optimizer = settings.build_as(torch.optim.Optimizer, parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    groups = optimizer.state_dict()["param_groups"]
    try:
        optimizer.step()
    except Exception as error:  # another package refuses by errors of many kinds
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(_refusal(settings, reason)) from error
    values = [value for state in optimizer.state_dict()["state"].values() for value in state.values()]
    has_tensors_only = all(isinstance(value, Tensor) and value.is_floating_point() for value in values)
    if not has_tensors_only or optimizer.state_dict()["param_groups"] != groups:
        raise UserError(_refusal(settings, "a checkpoint cannot store its state"))


def _refusal(settings: Component, reason: str) -> str:
    return f"{settings.key}: {settings.target} cannot train these models ({reason}): use {SUPPORTED} of torch.optim"
