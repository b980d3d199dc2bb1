"""The learning rate at each step: a warm-up and one of three ways down.

Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983, for the cosine.

Steps count from 1. A schedule has no clock of its own: the trainer asks for a step's rate and tells of validations.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from nmt.checks import check_sizes
from nmt.errors import UserError


class Schedule(ABC):
    """Rises in a straight line to `learning_rate` during `warmup_steps`, then goes the subclass's way.

    Args:
        learning_rate: the highest.
        warmup_steps: steps until it is reached; 0 = at once.

    Raises:
        ValueError: a rate that is not above 0, or steps that are not whole.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int) -> None:
        if learning_rate <= 0:
            raise UserError(f"learning_rate={learning_rate} must be above 0")
        if not isinstance(warmup_steps, int) or warmup_steps < 0:
            raise UserError(f"warmup_steps={warmup_steps} must be a whole number of at least 0")
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def rate(self, step: int) -> float:
        """The learning rate of `step`."""
        if step < self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        return self.learning_rate * self.decay(step)

    @abstractmethod
    def decay(self, step: int) -> float:
        """The share of the highest rate after the warm-up."""

    def observe(self, score: float) -> None:  # noqa: B027 - most schedules have nothing to note
        """Takes note of a validation's score (more is better)."""

    def state(self) -> dict[str, Any]:
        """What a resumed run has to restore, as JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up a state that `state()` gave.

        Raises:
            ValueError: a schedule of another kind gave it.
        """
        if state.keys() != self.state().keys():
            raise UserError("the run was begun with another schedule: resume=true goes on with the same settings")


class InverseSquareRoot(Schedule):
    """Falls with 1/√step after the warm-up (Vaswani et al., 2017, §5.3, scaled by its peak)."""

    def decay(self, step: int) -> float:
        return math.sqrt(max(self.warmup_steps, 1) / step)


class Cosine(Schedule):
    """Falls along half a cosine to `final_share` at `total_steps` (Loshchilov and Hutter, 2017, Eq. 5).

    Args (besides those of Schedule):
        total_steps: where the fall ends; the rate stays there afterwards.
        final_share: of the highest rate, from 0 to 1.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int, total_steps: int, final_share: float) -> None:
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)
        check_sizes(total_steps=total_steps)
        if total_steps <= warmup_steps:
            raise UserError(f"total_steps={total_steps} must be more than warmup_steps={warmup_steps}")
        if not 0 <= final_share <= 1:
            raise UserError(f"final_share={final_share} must be from 0 to 1")
        self.total_steps = total_steps
        self.final_share = final_share

    def decay(self, step: int) -> float:
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * progress)) / 2


class Plateau(Schedule):
    """Stays until `patience` validations in a row have brought no better score, then is multiplied by `factor`.

    Args (besides those of Schedule):
        factor: above 0 and below 1.
        patience: validations.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int, factor: float, patience: int) -> None:
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)
        if not 0 < factor < 1:
            raise UserError(f"factor={factor} must be above 0 and below 1")
        check_sizes(patience=patience)
        self.factor = factor
        self.patience = patience
        self.share = 1.0
        self.best = -math.inf
        self.waited = 0

    def decay(self, step: int) -> float:
        return self.share

    def observe(self, score: float) -> None:
        if score > self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.share *= self.factor
            self.waited = 0

    def state(self) -> dict[str, Any]:
        best = None if self.best == -math.inf else self.best
        return {"share": self.share, "best": best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        if None in (state["share"], state["waited"]):
            raise UserError("the checkpoint is damaged: it does not say where the schedule stood")
        self.share, self.waited = state["share"], state["waited"]
        self.best = -math.inf if state["best"] is None else state["best"]
