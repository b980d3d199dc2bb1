"""The trainer's settings, and the checks of their values."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import msgspec
import torch

from nmt.checks import check_probabilities, check_sizes
from nmt.device import computes_bf16_fast
from nmt.errors import UserError
from nmt.training.selection import MEASURES, Measure

NumberFormat = Literal["fp32", "bf16"]


class TrainerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration group `trainer`; conf/trainer/default.yaml describes each setting.

    Raises:
        UserError: a setting is out of its range, or no setting would ever end the run.
    """

    max_steps: int | None
    max_epochs: int | None
    max_minutes: float | None
    patience: int | None
    select: str
    accumulate: int
    label_smoothing: float
    consistency: float
    simcut: float
    simcut_cutoff: float
    ema_decay: float
    alignment_weight: float
    alignment_layer: int | None
    alignment_head: int
    alignment_complete: bool
    clip_norm: float | None
    log_every: int
    validate_every: int
    save_every: int | None
    save_minutes: float | None
    skip_nonfinite: int
    average_checkpoints: int
    precision: str

    def __post_init__(self) -> None:
        for name in ("accumulate", "log_every", "validate_every", "average_checkpoints"):
            check_sizes(**{name: getattr(self, name)})
        for name in ("max_steps", "max_epochs", "patience", "save_every"):
            if (value := getattr(self, name)) is not None and not _is_positive(value, int):
                raise UserError(f"{name}={value} must be a whole number above 0, or null for none")
        for name in ("max_minutes", "save_minutes", "clip_norm"):
            if (value := getattr(self, name)) is not None and not _is_positive(value, (int, float)):
                raise UserError(f"{name}={value} must be above 0, or null for none")
        limits = (self.max_steps, self.max_epochs, self.max_minutes, self.patience)
        if all(limit is None for limit in limits):
            raise UserError("max_steps, max_epochs, max_minutes and patience are all null, so the run would never end")
        if self.select not in MEASURES:
            raise UserError(f"select={self.select} is unknown: use {', '.join(MEASURES)}")
        if not isinstance(self.skip_nonfinite, int) or self.skip_nonfinite < 0:
            raise UserError(f"skip_nonfinite={self.skip_nonfinite} must be a whole number of at least 0")
        for name in ("label_smoothing", "simcut_cutoff", "ema_decay"):
            check_probabilities(**{name: getattr(self, name)})
        for name in ("consistency", "simcut", "alignment_weight"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise UserError(f"{name}={value} must be a number of at least 0")
        if self.consistency > 0 and self.simcut > 0:
            raise UserError(
                f"consistency={self.consistency:g} (R-Drop) and simcut={self.simcut:g} both train with two passes: set "
                f"one of them to 0"
            )
        for name in ("alignment_layer", "alignment_head"):
            if (value := getattr(self, name)) is not None and not (isinstance(value, int) and value >= 0):
                raise UserError(f"{name}={value} must be a whole number of at least 0")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise UserError(f"precision={self.precision} is unknown: use auto, fp32 or bf16")

    @property
    def measure(self) -> Measure:
        """The checked value of `select`."""
        return cast(Measure, self.select)

    def number_format(self, device: torch.device) -> NumberFormat:
        """The number format of the forward pass; "auto" becomes bf16 where the device computes faster in it."""
        if self.precision == "bf16" or (self.precision == "auto" and computes_bf16_fast(device)):
            return "bf16"
        return "fp32"

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """A context for the forward pass, which runs in the number format of `number_format`."""
        return torch.autocast(device.type, torch.bfloat16) if self.number_format(device) == "bf16" else nullcontext()


def _is_positive(value: object, kinds: type | tuple[type, ...]) -> bool:
    """Whether `value` is a number of these kinds above 0; a bool is no number."""
    return isinstance(value, kinds) and not isinstance(value, bool) and value > 0  # type: ignore[operator]
