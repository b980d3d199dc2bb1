"""One update of a model's weights, as a run, its rehearsal and the benchmark make it.

With an optimizer that is one kernel, nothing here asks the device for a number: a GPU is given the next update while
it works on this one. What an update came to is a `Reading`, which a caller looks at when it needs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq
from nmt.training.distributed import Processes, without_exchange
from nmt.training.faults import out_of_memory


class Reading:
    """Numbers of a device, on their way to the host: who looks at them waits for them, not for what was begun later.

    Args:
        numbers: (N,) on any device.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers.to("cpu", non_blocking=True)  # from a GPU into pinned memory
        self.arrived: torch.cuda.Event | None = None
        if numbers.device.type == "cuda":
            self.arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self.arrived.record(torch.cuda.current_stream(numbers.device))

    def values(self) -> list[float]:
        """The numbers, as soon as they are here."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.numbers.tolist()


@dataclass(frozen=True)
class Outcome:
    """What an update came to.

    Attributes:
        nll: the negative log-likelihood of the targets before it, in nats, summed over this process's tokens.
        norm: of the gradient, before it was clipped.
        norms: of each parameter's gradient, by the parameter's name.
        made: whether the weights were changed: in every process the loss and the gradient were finite.
    """

    nll: float
    norm: float
    norms: dict[str, float]
    made: bool


@dataclass(frozen=True)
class Unread:
    """An outcome that nobody has waited for yet."""

    reading: Reading
    names: Sequence[str]

    def read(self) -> Outcome:
        nll, norm, bad, *norms = self.reading.values()
        return Outcome(nll, norm, dict(zip(self.names, norms, strict=True)), bad == 0)


@dataclass(kw_only=True)
class Updater:
    """Makes updates.

    Args:
        model: whose weights are changed.
        objective: takes `Batch.tensors`, gives the model's loss to minimise and its negative log-likelihood,
            each summed over the batch's tokens; in several processes `Processes.wrap` of it.
        optimizer: of the model's parameters. Where one kernel makes the whole update (`fused`), the device itself
            decides whether to; otherwise the host looks whether the gradient is finite, and waits for it.
        autocast: the number format of the forward pass.
        clip_norm: gradients with a larger norm are scaled down to it; None = never.
        processes: that train together.
    """

    model: Seq2Seq
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    autocast: Callable[[], AbstractContextManager[object]]
    clip_norm: float | None
    processes: Processes

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the objective gives for a batch."""
        batch = batch.to(self.model.device)
        with self.autocast():
            loss, nll = self.objective(*batch.tensors)
        return loss, nll

    def update(self, group: Sequence[Batch], *, rate: float, step: int) -> Unread:
        """One step of the optimizer on the mean loss over the tokens of all batches of the group.

        It is left out where the loss or the gradient is not finite. The gradients stay until the next update.

        Args:
            rate: the learning rate.
            step: the update's number, for who has to be told that the memory ran out.

        Raises:
            Failure: the memory ran out in a forward or backward pass.
        """
        for options in self.optimizer.param_groups:
            options["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        (num_tokens,) = self.processes.sum(sum(batch.num_tokens for batch in group))
        total = torch.zeros((), device=self.model.device)
        for batch in group:
            exchange = nullcontext() if batch is group[-1] else without_exchange(self.objective)
            with out_of_memory(step, batch), exchange:
                loss, nll = self.loss(batch)
                # The processes' gradients are averaged; the mean over all tokens is their sum.
                (loss * (self.processes.size / num_tokens)).backward()  # type: ignore[no-untyped-call]
            total += nll
        gradients = {name: each.grad for name, each in self.model.named_parameters() if each.grad is not None}
        norms = torch.stack(torch._foreach_norm(list(gradients.values())))  # (parameters,)
        norm = torch.linalg.vector_norm(norms)
        bad = self.processes.all_reduce(1.0 - (total + norm).isfinite().float())
        self._step(norm, bad)
        facts = torch.stack([total, norm, bad])
        return Unread(Reading(torch.cat([facts, norms])), list(gradients))

    def _step(self, norm: Tensor, bad: Tensor) -> None:
        """Changes the weights unless `bad` is above 0."""
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.model.parameters(), self.clip_norm, norm)
        defaults = self.optimizer.defaults
        if defaults.get("fused") and "momentum" not in defaults:  # SGD's begins as it finds it, if it begins with none
            # As torch.amp.GradScaler tells a fused optimizer that a gradient is not finite, by a number on the device.
            self.optimizer.found_inf = bad.clamp(max=1.0)  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bool(bad):
            self.optimizer.step()
