"""The learning rate of each step: a linear warm-up, then one of three decays.

Steps count from 1. A schedule does not count them itself: the trainer passes the step and the completed fraction of the
run to `rate`, and the rank of each validation to `observe`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from nmt.checks import check_sizes
from nmt.errors import UserError
from nmt.training.selection import Rank

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

    needs_validation = False
    """Whether the learning rate depends on validations."""

    def __init__(self, *, learning_rate: float, warmup_steps: int) -> None:
        if not 0 < learning_rate < math.inf:
            raise UserError(f"learning_rate={learning_rate} must be above 0")
        if not isinstance(warmup_steps, int) or warmup_steps < 0:
            raise UserError(f"warmup_steps={warmup_steps} must be a whole number of at least 0")
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def rate(self, step: int, *, fraction_done: float) -> float:
        """The learning rate of `step`, after which `fraction_done` of the run is done, from 0 to 1."""
        if step < self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        return self.learning_rate * self.decay(step, fraction_done)

    @abstractmethod
    def decay(self, step: int, fraction_done: float) -> float:
        """The rate after the warm-up, as a fraction of the peak."""

    def observe(self, rank: Rank) -> None:  # noqa: B027 - optional to override
        """Receives the rank of a validation; higher is better. Only some schedules use it."""

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

    def decay(self, step: int, fraction_done: float) -> float:
        return math.sqrt(max(self.warmup_steps, 1) / step)


class Cosine(Schedule):
    """Decays along half a cosine to `final_fraction` of the peak at the end of the run.

    Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983, Eq. 5, without restarts. Their number of steps is
    replaced by the completed fraction of the run, so that a run that is limited by minutes also ends with a low rate.

    The fraction counts from the first step of the run, not from the end of the warm-up. So the rate rises to the peak,
    and at the end of the warm-up it falls at once to the cosine: if the warm-up is a fraction w of the run, to

        final_fraction + (1 - final_fraction) · (1 + cos(π w)) / 2

    of the peak. With final_fraction = 0.05 that is 0.98 for w = 0.1, 0.86 for w = 0.25 and 0.525 for w = 0.5.

    Args (besides those of Schedule):
        final_fraction: the rate at the end, as a fraction of the peak, from 0 to 1.
    """

    def __init__(self, *, learning_rate: float, warmup_steps: int, final_fraction: float) -> None:
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)
        if not 0 <= final_fraction <= 1:
            raise UserError(f"final_fraction={final_fraction} must be from 0 to 1")
        self.final_fraction = final_fraction

    def decay(self, step: int, fraction_done: float) -> float:
        return self.final_fraction + (1 - self.final_fraction) * (1 + math.cos(math.pi * fraction_done)) / 2


class Plateau(Schedule):
    """Constant after the warm-up, but multiplied by `factor` after `patience` validations without a better one.

    Args (besides those of Schedule):
        factor: above 0 and below 1.
        patience: number of validations in a row.
    """

    needs_validation = True

    def __init__(self, *, learning_rate: float, warmup_steps: int, factor: float, patience: int) -> None:
        super().__init__(learning_rate=learning_rate, warmup_steps=warmup_steps)
        if not 0 < factor < 1:
            raise UserError(f"factor={factor} must be above 0 and below 1")
        check_sizes(patience=patience)
        self.factor = factor
        self.patience = patience
        self.fraction = 1.0  # of the peak: factor ** number of reductions
        self.best: Rank | None = None  # of the validations so far
        self.num_bad_validations = 0

    def decay(self, step: int, fraction_done: float) -> float:
        return self.fraction

    def observe(self, rank: Rank) -> None:
        if self.best is None or rank > self.best:
            self.best, self.num_bad_validations = rank, 0
            return
        self.num_bad_validations += 1
        if self.num_bad_validations >= self.patience:
            self.fraction *= self.factor
            self.num_bad_validations = 0

    def state(self) -> ScheduleState:
        score, tie_breaker = self.best or (None, None)
        return {
            "fraction": self.fraction,
            "best_score": score,
            "best_tie_breaker": tie_breaker,
            "num_bad_validations": self.num_bad_validations,
        }

    def restore(self, state: ScheduleState) -> None:
        super().restore(state)
        fraction, num_bad_validations = state["fraction"], state["num_bad_validations"]
        score, tie_breaker = state["best_score"], state["best_tie_breaker"]
        if fraction is None or not isinstance(num_bad_validations, int):
            raise UserError("the checkpoint is damaged: it does not store the state of the schedule")
        self.fraction, self.num_bad_validations = fraction, num_bad_validations
        self.best = None if score is None or tie_breaker is None else (score, tie_breaker)
