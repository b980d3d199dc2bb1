"""The learning rate of each step: a linear warm-up, then one of three decays.

Steps count from 1. A schedule does not count them itself: the trainer passes the step to `rate`, and the score of each
validation to `observe`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from nmt.checks import check_sizes
from nmt.errors import UserError

ScheduleState = dict[str, int | float | None]
"""What a checkpoint stores of a schedule, as JSON values."""


class Schedule(ABC):
    """Rises linearly to `learning_rate` over `warmup_steps`, then follows the decay of the subclass.

    Args:
        learning_rate: the peak.
        warmup_steps: steps until the peak; 0 = the first step already has it.

    Raises:
        UserError: the rate is not above 0, or the number of steps is not a whole number of at least 0.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int) -> None:
        if not 0 < learning_rate < math.inf:
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
        """The rate after the warm-up, as a fraction of the peak."""

    def observe(self, score: float) -> None:  # noqa: B027 - optional to override
        """Receives the score of a validation; higher is better. Only some schedules use it."""

    def state(self) -> ScheduleState:
        """What a checkpoint must store; empty where the step alone determines the rate."""
        return {}

    def restore(self, state: ScheduleState) -> None:
        """Restores what `state` returned.

        Raises:
            UserError: the state is one of another schedule.
        """
        if state.keys() != self.state().keys():
            raise UserError("the run was started with another schedule: resume=true needs the same settings")


class InverseSquareRoot(Schedule):
    """Decays with 1/√step after the warm-up (Vaswani et al., 2017, §5.3, scaled by its peak)."""

    def decay(self, step: int) -> float:
        return math.sqrt(max(self.warmup_steps, 1) / step)


class Cosine(Schedule):
    """Decays along half a cosine to `final_fraction` of the peak at `total_steps`.

    Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983, Eq. 5, without restarts.

    Args (besides those of Schedule):
        total_steps: the last step of the decay; the rate is constant afterwards.
        final_fraction: the rate at the end, as a fraction of the peak, from 0 to 1.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int, total_steps: int, final_fraction: float) -> None:
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)
        check_sizes(total_steps=total_steps)
        if total_steps <= warmup_steps:
            raise UserError(f"total_steps={total_steps} must be more than warmup_steps={warmup_steps}")
        if not 0 <= final_fraction <= 1:
            raise UserError(f"final_fraction={final_fraction} must be from 0 to 1")
        self.total_steps = total_steps
        self.final_fraction = final_fraction

    def decay(self, step: int) -> float:
        progress = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.final_fraction + (1 - self.final_fraction) * (1 + math.cos(math.pi * progress)) / 2


class Plateau(Schedule):
    """Constant after the warm-up, but multiplied by `factor` after `patience` validations without a better score.

    Args (besides those of Schedule):
        factor: above 0 and below 1.
        patience: number of validations in a row.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int, factor: float, patience: int) -> None:
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)
        if not 0 < factor < 1:
            raise UserError(f"factor={factor} must be above 0 and below 1")
        check_sizes(patience=patience)
        self.factor = factor
        self.patience = patience
        self.fraction = 1.0  # of the peak: factor ** number of reductions
        self.best_score = -math.inf
        self.num_bad_validations = 0

    def decay(self, step: int) -> float:
        return self.fraction

    def observe(self, score: float) -> None:
        if score > self.best_score:
            self.best_score, self.num_bad_validations = score, 0
            return
        self.num_bad_validations += 1
        if self.num_bad_validations >= self.patience:
            self.fraction *= self.factor
            self.num_bad_validations = 0

    def state(self) -> ScheduleState:
        best_score = None if self.best_score == -math.inf else self.best_score  # JSON has no infinity
        return {
            "fraction": self.fraction,
            "best_score": best_score,
            "num_bad_validations": self.num_bad_validations,
        }

    def restore(self, state: ScheduleState) -> None:
        super().restore(state)
        fraction, best_score, num_bad_validations = state["fraction"], state["best_score"], state["num_bad_validations"]
        if fraction is None or not isinstance(num_bad_validations, int):
            raise UserError("the checkpoint is damaged: it does not store the state of the schedule")
        self.fraction, self.num_bad_validations = fraction, num_bad_validations
        self.best_score = -math.inf if best_score is None else best_score
