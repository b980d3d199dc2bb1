"""Tries out a run before it starts, with its own model, batches, loss and optimizer. Nothing is written.

Does the largest batch fit in memory? Does every parameter get a gradient? Does the loss fall? How fast is training?
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nmt.data.batch import Batch, find_token_indices
from nmt.data.loader import BatchLoader
from nmt.device import free_memory, peak_memory
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.training.distributed import Processes
from nmt.training.schedule import Schedule
from nmt.training.settings import TrainerSettings
from nmt.training.update import Updater

NUM_SENTENCES = 32
"""Number of sentences that the model overfits, small enough for many updates in little time."""

MIN_STEPS = 10
"""Minimum number of updates on these sentences, however slow they are: fewer would show nothing."""

MAX_STEPS = 150
"""Maximum number of updates on these sentences."""

FIRST_RATE_SHARE = 0.05
"""The learning rate of the first of these updates, as a share of the schedule's highest rate."""

AVERAGED_STEPS = 5
"""Number of neighbouring losses that are averaged before they are compared."""

SMALL_BATCH_DIVISOR = 8
"""The memory of the largest batch is extrapolated from 1/8 and 2/8 of its sentences."""

PEAK_BYTES_PER_ACTIVATION_BYTE = 1.5
"""Peak memory of an update for each byte that the forward pass keeps for the backward pass; 1.4 was measured."""

BYTES_PER_WEIGHT_BYTE = 3
"""Memory that the first update adds, in multiples of the weights: the gradients and Adam's two moments."""


@dataclass(frozen=True)
class MemoryUse:
    """Memory of one update on the largest batch. All sizes in bytes.

    Attributes:
        weights: the model's weights; the gradients are as large.
        optimizer: the optimizer's state after an update.
        activations: predicted size of the tensors that the forward pass keeps for the backward pass.
        peak: maximum in use during the update: by the process on a CPU, by torch on a GPU.
        num_sentences: sentences of the largest batch.
        length: pieces of its longest sentence.
    """

    weights: int
    optimizer: int
    activations: int
    peak: int
    num_sentences: int
    length: int


@dataclass(frozen=True)
class OverfitResult:
    """The loss on a few sentences while the learning rate rose to the schedule's highest, in nats per target token.

    Attributes:
        first: before the first update.
        lowest: minimum of the averages over AVERAGED_STEPS neighbouring losses.
        last: average over the last AVERAGED_STEPS losses.
        steps: number of updates.
    """

    first: float
    lowest: float
    last: float
    steps: int


@dataclass(frozen=True)
class TrainingSpeed:
    """Real target tokens per second, and seconds per batch."""

    tokens_per_second: float
    seconds_per_batch: float


@dataclass(kw_only=True)
class DryRun:
    """Tries out a run.

    Args:
        settings: the run's trainer settings.
        model: on its device. It is trained, so the run needs a new one afterwards.
        optimizer: the optimizer of the model's parameters.
        schedule: gives the learning rate.
        train_loader: the training batches.
        objective: replaces the usual loss; None = it does not.
        clock: returns the time in seconds.
    """

    settings: TrainerSettings
    model: Seq2Seq
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    train_loader: BatchLoader
    objective: nn.Module | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.updater = Updater.from_settings(
            self.settings, self.model, self.optimizer, processes=Processes(), objective=self.objective
        )

    def largest_batch(self) -> Batch:
        """The batch of the first epoch with the most positions, padding included."""
        sampler = self.train_loader.sampler
        sizes = [
            len(indices) * int(sampler.source_lengths[indices].max() + sampler.target_lengths[indices].max())
            for indices in sampler.epoch(0)
        ]
        return next(self.train_loader.epoch(0, start=int(np.argmax(sizes))))

    def measure_memory(self) -> MemoryUse:
        """Predicts the memory of an update on the largest batch from smaller ones, then makes the update.

        Raises:
            UserError: the update needs more memory than the device has free (the message names a `loader.batch_tokens`
                that fits); or a parameter gets no gradient, or one that is not finite.
        """
        model, largest = self.model, self.largest_batch()
        num_sentences, length = len(largest.source), max(largest.source.size(1), largest.target_input.size(1))
        weights = sum(parameter.nbytes for parameter in model.parameters())
        free = free_memory(model.device)
        constant, per_sentence = self._predict_activations(largest)
        activations = constant + num_sentences * per_sentence
        needed = PEAK_BYTES_PER_ACTIVATION_BYTE * activations + BYTES_PER_WEIGHT_BYTE * weights
        if needed > free:
            max_activations = (free - BYTES_PER_WEIGHT_BYTE * weights) / PEAK_BYTES_PER_ACTIVATION_BYTE  # bytes
            max_sentences = (max_activations - constant) / max(1, per_sentence)
            batch_tokens = int(max_sentences / num_sentences * self.train_loader.sampler.batch_tokens)
            remedy = (
                f"lower loader.batch_tokens to {batch_tokens} (trainer.accumulate makes up for it)"
                if max_sentences >= 1
                else "use a smaller model, or lower loader.max_length"
            )
            raise UserError(
                f"an update on {num_sentences} sentences of {length} pieces needs about {needed / 1e6:,.1f} MB of "
                f"memory, but {free / 1e6:,.1f} MB are free: {remedy}"
            )
        if model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(model.device)
        self.update(largest, rate=0.0)  # a rate of 0 changes no weight
        values = [value for state in self.optimizer.state.values() for value in state.values()]
        optimizer = sum(value.nbytes for value in values if isinstance(value, Tensor))
        return MemoryUse(weights, optimizer, activations, peak_memory(model.device), num_sentences, length)

    def overfit(self, *, seconds: float) -> OverfitResult:
        """Trains on the same few sentences, for `seconds` or MAX_STEPS updates, whichever ends first.

        The learning rate rises to the schedule's highest during the first half. So a rate that is too high shows here,
        long before the run's own warm-up would reach it.

        Raises:
            UserError: the loss did not fall, or was not finite.
        """
        batch = first_pairs(next(self.train_loader.epoch(0, start=0)), NUM_SENTENCES)
        highest = self.schedule.learning_rate
        remedy = f"lower schedule.learning_rate={highest:g}"
        losses: list[float] = []
        start = self.clock()
        while len(losses) < MAX_STEPS and (self.clock() - start < seconds or len(losses) < MIN_STEPS):
            fraction = max(len(losses) / MAX_STEPS, (self.clock() - start) / seconds)  # how much is done, from 0 to 1
            losses.append(self.update(batch, rate=highest * min(1.0, FIRST_RATE_SHARE + 2 * fraction)))
            if not math.isfinite(losses[-1]):
                raise UserError(
                    f"the loss on a few sentences starts at {losses[0]:.2f} and is not finite after {len(losses)} "
                    f"updates: {remedy}"
                )
        averages = np.convolve(losses, np.full(AVERAGED_STEPS, 1 / AVERAGED_STEPS), mode="valid")
        lowest, last = float(averages.min()), float(averages[-1])
        if last >= losses[0]:
            raise UserError(
                f"the loss on a few sentences rises from {losses[0]:.2f} to {last:.2f} nats per token in "
                f"{len(losses)} updates: {remedy}"
            )
        return OverfitResult(losses[0], lowest, last, len(losses))

    def measure_speed(self, *, seconds: float) -> TrainingSpeed:
        """Trains on the batches of the first epoch for `seconds`, and at least on one."""
        num_tokens, num_batches, start = 0, 0, self.clock()
        for batch in self.train_loader.epoch(0, start=0):
            self.update(batch, rate=self.schedule.rate(1, fraction_done=0.0))
            num_tokens += batch.num_tokens
            num_batches += 1
            if self.clock() - start >= seconds:
                break
        elapsed = self.clock() - start
        return TrainingSpeed(num_tokens / elapsed, elapsed / num_batches)

    def update(self, batch: Batch, *, rate: float) -> float:
        """Makes one update and returns the negative log-likelihood before it, in nats per target token.

        Raises:
            UserError: in the first update, a parameter gets no gradient or a gradient that is not finite.
            Failure: out of memory.
        """
        is_first = not self.optimizer.state
        result = self.updater.update([batch], rate=rate, step=1).result()
        if is_first:
            check_gradients(self.model, result.gradient_norms)
        return result.nll / batch.num_tokens

    def count_activations(self, batch: Batch) -> int:
        """The bytes that a forward pass keeps for the backward pass; several tensors of one storage count once."""
        weights = {parameter.untyped_storage().data_ptr() for parameter in self.model.parameters()}
        sizes: dict[int, int] = {}  # bytes by address
        kept: list[Tensor] = []  # keeps every storage alive, since a reused address would be counted only once

        def record(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
                kept.append(tensor)
            return tensor

        self.model.train()
        with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
            self.updater.loss(batch)
        return sum(sizes.values())

    def _predict_activations(self, batch: Batch) -> tuple[int, int]:
        """A linear model of `count_activations`: constant bytes, and bytes per sentence of the batch.

        Some activations do not grow with the number of sentences, so one measurement is not enough. Two batches of
        different sizes are measured, and determine a straight line.
        """
        num_sentences = len(batch.source)
        small = max(1, num_sentences // SMALL_BATCH_DIVISOR)  # number of sentences
        large = min(num_sentences, 2 * small)
        small_bytes = self.count_activations(first_pairs(batch, small))
        if large == small:
            return small_bytes, 0
        large_bytes = self.count_activations(first_pairs(batch, large))
        per_sentence = (large_bytes - small_bytes) // (large - small)
        return small_bytes - small * per_sentence, per_sentence


def first_pairs(batch: Batch, count: int) -> Batch:
    """The first `count` sentence pairs of a batch, with its padding."""
    names = ("source", "source_mask", "target_input", "target_output", "target_mask")
    tensors = {name: getattr(batch, name)[:count] for name in names}
    target_indices = find_token_indices(tensors["target_mask"])
    if batch.link_cells is not None and batch.link_shares is not None:
        is_first = batch.link_cells < count * batch.target_input.size(1) * batch.source.size(1)  # (cells,)
        tensors |= {"link_cells": batch.link_cells[is_first], "link_shares": batch.link_shares[is_first]}
    return replace(
        batch, **tensors, target_indices=target_indices, num_tokens=len(target_indices), indices=batch.indices[:count]
    )


def check_gradients(model: Seq2Seq, norms: Mapping[str, float]) -> None:
    """Checks that every parameter got a finite gradient.

    Args:
        norms: the norm of every parameter's gradient before clipping, by the parameter's name.

    Raises:
        UserError: names the first parameter without one.
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name not in norms:
            raise UserError(f"the model's parameter {name} gets no gradient: it would never learn")
        if not math.isfinite(norms.get(name, 0.0)):
            raise UserError(
                f"the gradient of the parameter {name} is not finite in the first update: try trainer.precision=fp32"
            )
