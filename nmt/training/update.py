"""One update of the weights, the same for training, the dry run and the benchmark.

With a fused optimizer no line here makes the host wait for the GPU, so the GPU receives its next update while it works
on the current one. The result of an update is therefore a `PendingUpdate`, which the caller reads when it needs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq
from nmt.training.consistency import make_objective
from nmt.training.distributed import Processes, no_gradient_sync
from nmt.training.guided_alignment import GuidedObjective
from nmt.training.moving_average import MovingAverage
from nmt.training.out_of_memory import explain_out_of_memory
from nmt.training.settings import TrainerSettings


@dataclass(frozen=True)
class UpdateResult:
    """The result of an update.

    Attributes:
        nll: negative log-likelihood before the update, in nats, summed over this process's target tokens.
        gradient_norm: norm of the gradient of all parameters together, before clipping.
        gradient_norms: norm of each parameter's gradient before clipping, by the parameter's name.
        applied: whether the weights changed, which they do if loss and gradient are finite in every process.
    """

    nll: float
    gradient_norm: float
    gradient_norms: dict[str, float]
    applied: bool


@dataclass(frozen=True, kw_only=True)
class PendingUpdate:
    """An update that the device may still be computing.

    Attributes:
        step: number of the update, from 1.
        learning_rate: of this update.
        batches: the batches whose mean loss it lowers.
        parameter_names: names of the parameters that have a gradient.
        numbers: (3 + len(parameter_names),) on the host: nll, gradient norm, 1 if not applied else 0, and one gradient
            norm per parameter. Valid once `copied` has happened.
        copied: end of the asynchronous copy from a GPU; None on a CPU.
    """

    step: int
    learning_rate: float
    batches: Sequence[Batch]
    parameter_names: Sequence[str]
    numbers: Tensor
    copied: torch.cuda.Event | None

    def result(self) -> UpdateResult:
        """Waits for this update, not for later ones, and returns its result."""
        if self.copied is not None:
            self.copied.synchronize()
        nll, gradient_norm, not_applied, *norms = self.numbers.tolist()
        gradient_norms = dict(zip(self.parameter_names, norms, strict=True))
        return UpdateResult(nll, gradient_norm, gradient_norms, applied=not_applied == 0)


@dataclass(kw_only=True)
class Updater:
    """Updates the weights of a model.

    Args:
        model: its weights are updated.
        objective: called with `Batch.tensors`, returns the loss to minimise and the negative log-likelihood, each
            summed over the batch's target tokens. With several processes it is wrapped by `Processes.wrap`.
        optimizer: of the model's parameters. A fused optimizer skips a non-finite gradient on the device itself; any
            other makes the host wait for the gradient and decide.
        autocast: returns the context of the forward pass, which sets its number format.
        clip_norm: larger gradients are scaled down to this norm; None = no clipping.
        processes: the processes that train together.
        moving_average: of the model's weights; it includes those after every update. None = no average.
    """

    model: Seq2Seq
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    autocast: Callable[[], AbstractContextManager[object]]
    clip_norm: float | None
    processes: Processes
    moving_average: MovingAverage | None = None

    @classmethod
    def from_settings(
        cls,
        settings: TrainerSettings,
        model: Seq2Seq,
        optimizer: torch.optim.Optimizer,
        *,
        processes: Processes,
        objective: nn.Module | None = None,
        moving_average: MovingAverage | None = None,
    ) -> Updater:
        """The updater of a training run; `objective` replaces the usual loss. Connects to the other processes."""
        return cls(
            model=model,
            objective=processes.wrap(make_loss(settings, model) if objective is None else objective),
            optimizer=optimizer,
            autocast=partial(settings.autocast, model.device),
            clip_norm=settings.clip_norm,
            processes=processes,
            moving_average=moving_average,
        )

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss to minimise and the negative log-likelihood of a batch, summed over its target tokens."""
        tensors = batch.to(self.model.device).tensors
        with self.autocast():
            return self.objective(*tensors)

    def update(self, batches: Sequence[Batch], *, rate: float, step: int) -> PendingUpdate:
        """Makes one optimizer step on the mean loss over the target tokens of all batches.

        The step is skipped if the loss or the gradient is not finite. The gradients stay until the next update.

        Args:
            rate: the learning rate.
            step: number of the update, for messages.

        Raises:
            Failure: a forward or backward pass ran out of memory.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)

        # Forward and backward pass of each batch; the gradients add up.
        (num_tokens,) = self.processes.sum(sum(batch.num_tokens for batch in batches))
        nll = torch.zeros((), device=self.model.device)
        for batch in batches:
            # The processes exchange gradients once, in the backward pass of the last batch.
            sync = nullcontext() if batch is batches[-1] else no_gradient_sync(self.objective)
            with explain_out_of_memory(step, batch), sync:
                loss, batch_nll = self.loss(batch)
                # The exchange computes the mean over processes; times their number, it is the sum that we need.
                (loss * (self.processes.size / num_tokens)).backward()  # type: ignore[no-untyped-call]
            nll += batch_nll

        # The norms, and whether they are finite in all processes: computed on the device, read later.
        parameters = self.model.named_parameters()
        gradients = {name: parameter.grad for name, parameter in parameters if parameter.grad is not None}
        norms = torch.stack(torch._foreach_norm(list(gradients.values())))  # (parameters,)
        norm = torch.linalg.vector_norm(norms)  # (), of the gradient of all parameters
        # (), the number of processes with a loss or gradient that is not finite
        num_nonfinite = self.processes.all_reduce(1.0 - (nll + norm).isfinite().float())
        self._apply_gradients(norm, num_nonfinite)
        if self.moving_average is not None:
            self.moving_average.update(step, applied=1 - num_nonfinite.clamp(max=1))

        # Start the copy to the host: one small tensor, from a GPU into pinned memory.
        numbers = torch.cat([torch.stack([nll, norm, num_nonfinite]), norms])  # (3 + parameters,)
        on_host = numbers.to("cpu", non_blocking=True)
        copied = None
        if numbers.device.type == "cuda":
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record(torch.cuda.current_stream(numbers.device))
        return PendingUpdate(
            step=step,
            learning_rate=rate,
            batches=batches,
            parameter_names=list(gradients),
            numbers=on_host,
            copied=copied,
        )

    def _apply_gradients(self, norm: Tensor, num_nonfinite: Tensor) -> None:
        """Clips the gradients of norm `norm` () and makes the optimizer step, unless `num_nonfinite` () is above 0."""
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.model.parameters(), self.clip_norm, norm)
        defaults = self.optimizer.defaults
        # A skipped first step would still initialise SGD's momentum, so for SGD the host decides.
        if defaults.get("fused") and "momentum" not in defaults:
            # torch.amp.GradScaler also uses this attribute to skip a step without asking the host.
            self.optimizer.found_inf = num_nonfinite.clamp(max=1.0)  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bool(num_nonfinite):
            self.optimizer.step()


def make_loss(settings: TrainerSettings, model: Seq2Seq) -> nn.Module:
    """The loss that training minimises: of the translation and, if the settings ask for it, of one attention head."""
    objective = make_objective(
        model,
        label_smoothing=settings.label_smoothing,
        consistency=settings.consistency,
        simcut=settings.simcut,
        simcut_cutoff=settings.simcut_cutoff,
    )
    if settings.alignment_weight == 0:
        return objective
    return GuidedObjective(
        objective, weight=settings.alignment_weight, layer=settings.alignment_layer, head=settings.alignment_head
    )
