"""A run tried out before it is begun: whether its largest batch fits, gradients arrive and the loss falls, and how fast
it is. Model, batches, loss and optimizer are the run's own; nothing is written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nmt.data.batch import Batch, find_token_indices
from nmt.data.loader import BatchLoader
from nmt.device import free_memory, peak_memory
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.training.distributed import Processes
from nmt.training.schedule import Schedule
from nmt.training.settings import TrainerSettings
from nmt.training.update import Updater

NUM_STEPS = 150
"""At most so many on the sentences that are learned by heart."""

FEW = 32
"""These sentences: few enough for many steps in little time."""

PART = 8
"""What a batch takes is foreseen from the eighth part of its sentences."""

WORKING = 1.5
"""What a step takes at its height for each byte that the forward pass keeps: 1.4 was measured."""


@dataclass(frozen=True)
class Memory:
    """Bytes.

    Attributes:
        weights: of the model; the gradients are as many.
        optimizer: its state after a step.
        activations: foreseen for the largest batch: what its forward pass keeps for the backward one.
        peak: the most in use while that batch was trained on: of the whole process on a CPU, of torch on a GPU.
        free: what the device had left before.
        rows: sentences of the largest batch.
        length: positions of its longer side.
    """

    weights: int
    optimizer: int
    activations: int
    peak: int
    free: int
    rows: int
    length: int


@dataclass(frozen=True)
class Learning:
    """How the loss on a few sentences went, in nats per target token, while the rate rose to the schedule's highest.

    Attributes:
        first, last: the last is a mean of five steps.
        lowest: mean of five steps.
    """

    first: float
    lowest: float
    last: float
    steps: int


@dataclass(frozen=True)
class Speed:
    """Target tokens a second, and seconds of a batch, padding and all."""

    tokens_per_second: float
    seconds_per_batch: float


@dataclass(kw_only=True)
class DryRun:
    """Tries out a run.

    Args:
        settings: the run's.
        model: on its device. It is trained, and of no use for the run afterwards.
        optimizer: of the model's parameters.
        schedule: of the learning rate.
        pairs: to learn from.
        clock: tells seconds.
    """

    settings: TrainerSettings
    model: Seq2Seq
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    pairs: BatchLoader
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.updater = Updater.from_settings(self.settings, self.model, self.optimizer, processes=Processes())

    def largest(self) -> Batch:
        """The batch of the first epoch with the most positions, padding included."""
        sampler = self.pairs.sampler
        sizes = [
            len(rows) * int(sampler.source_lengths[rows].max() + sampler.target_lengths[rows].max())
            for rows in sampler.epoch(0)
        ]
        return next(self.pairs.epoch(0, start=int(np.argmax(sizes))))

    def memory(self) -> Memory:
        """What a step on the largest batch takes: foreseen from a part of it, then measured.

        Raises:
            ValueError: it is more than the device has free; the message says which loader.batch_tokens would fit. Or
                a parameter gets no gradient, or none that is finite.
        """
        model, largest = self.model, self.largest()
        rows, length = len(largest.source), max(largest.source.size(1), largest.target_input.size(1))
        weights = sum(parameter.nbytes for parameter in model.parameters())
        free = free_memory(model.device)
        # Some of it does not grow with the batch, so two parts are measured and the line through them is followed.
        few, more = max(1, rows // PART), min(rows, 2 * max(1, rows // PART))
        fixed, one = self._activations(first_rows(largest, few)), 0
        if more > few:
            one = (self._activations(first_rows(largest, more)) - fixed) // (more - few)
        fixed -= few * one
        activations = fixed + rows * one
        needed = WORKING * activations + 3 * weights  # gradients, and Adam's two means
        if needed > free:
            share = ((free - 3 * weights) / WORKING - fixed) / (rows * max(1, one))
            remedy = (
                f"lower loader.batch_tokens to {int(share * self.pairs.sampler.batch_tokens)} (trainer.accumulate "
                f"makes up for it)"
                if share * rows >= 1
                else "take a smaller model, or lower loader.max_length"
            )
            raise UserError(
                f"a step on {rows} sentences of {length} pieces takes about {needed / 1e6:,.1f} MB and "
                f"{free / 1e6:,.1f} MB are free: {remedy}"
            )
        if model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(model.device)
        self.step(largest, rate=0.0)  # leaves the weights as they are
        values = [value for state in self.optimizer.state.values() for value in state.values()]
        optimizer = sum(value.nbytes for value in values if isinstance(value, Tensor))
        return Memory(weights, optimizer, activations, peak_memory(model.device), free, rows, length)

    def learn(self, *, seconds: float) -> Learning:
        """Learns a few sentences by heart, for so long or NUM_STEPS steps.

        The rate rises to the schedule's highest in the first half: one that would lead the run astray does so here.

        Raises:
            ValueError: the loss did not fall, or was not finite.
        """
        batch = first_rows(next(self.pairs.epoch(0, start=0)), FEW)
        highest = self.schedule.learning_rate
        remedy = f"lower schedule.learning_rate={highest:g}"
        losses: list[float] = []
        began = self.clock()
        while len(losses) < NUM_STEPS and (self.clock() - began < seconds or len(losses) < 10):
            share = max(len(losses) / NUM_STEPS, (self.clock() - began) / seconds)
            losses.append(self.step(batch, rate=highest * min(1.0, 0.05 + 2 * share)))
            if not np.isfinite(losses[-1]):
                raise UserError(
                    f"the loss on a few sentences, {losses[0]:.2f} at first, is not finite after {len(losses)} "
                    f"steps: {remedy}"
                )
        means = np.convolve(losses, np.full(5, 0.2), mode="valid")
        lowest, last = float(means.min()), float(means[-1])
        if last >= losses[0]:
            raise UserError(
                f"the loss on a few sentences rises from {losses[0]:.2f} to {last:.2f} nats a token in "
                f"{len(losses)} steps: {remedy}"
            )
        return Learning(losses[0], lowest, last, len(losses))

    def speed(self, *, seconds: float) -> Speed:
        """Of real batches, of the first epoch, for so long."""
        num_tokens, num_batches, began = 0, 0, self.clock()
        for batch in self.pairs.epoch(0, start=0):
            self.step(batch, rate=self.schedule.rate(1))
            num_tokens += batch.num_tokens
            num_batches += 1
            if self.clock() - began >= seconds:
                break
        taken = self.clock() - began
        return Speed(num_tokens / taken, taken / num_batches)

    def step(self, batch: Batch, *, rate: float) -> float:
        """One update; the negative log-likelihood before it, in nats a target token.

        Raises:
            ValueError: in the optimizer's first step, a parameter gets no gradient or none that is finite.
            Failure: the memory ran out.
        """
        first = not self.optimizer.state
        outcome = self.updater.update([batch], rate=rate, step=1).result()
        if first:
            check_gradients(self.model, outcome.gradient_norms)
        return outcome.nll / batch.num_tokens

    def _activations(self, batch: Batch) -> int:
        """Bytes that a forward pass keeps for the backward one, each storage counted once."""
        own = {parameter.untyped_storage().data_ptr() for parameter in self.model.parameters()}
        kept: dict[int, int] = {}
        held = []  # or else a storage that is given back and used again would count once

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
                held.append(tensor)
            return tensor

        self.model.train()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self.updater.loss(batch)
        return sum(kept.values())


def first_rows(batch: Batch, count: int) -> Batch:
    """The first `count` sentences of a batch, as wide as they were in it."""
    names = ("source", "source_mask", "target_input", "target_output", "target_mask")
    tensors = {name: getattr(batch, name)[:count] for name in names}
    places = find_token_indices(tensors["target_mask"])
    return replace(batch, **tensors, target_indices=places, num_tokens=len(places), indices=batch.indices[:count])


def check_gradients(model: Seq2Seq, norms: Mapping[str, float]) -> None:
    """Raises ValueError where a parameter got no gradient, or one that is not finite, by its norm before clipping."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name not in norms:
            raise UserError(f"the parameter {name} of the model gets no gradient: it would never learn")
        if not math.isfinite(norms.get(name, 0.0)):
            raise UserError(
                f"the gradient of the parameter {name} is not finite in the first step: try trainer.precision=fp32"
            )
