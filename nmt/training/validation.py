"""A validation: the loss and the BLEU of a model on the validation split."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nmt.data.batch import Batch
from nmt.errors import Failure
from nmt.models.seq2seq import Seq2Seq
from nmt.training.out_of_memory import explain_out_of_memory
from nmt.training.progress import duration
from nmt.training.update import Updater


@dataclass(frozen=True)
class Validation:
    """The result of a validation.

    Attributes:
        step: update after which it took place.
        loss: negative log-likelihood per target token, in nats, without label smoothing.
        bleu: from 0 to 100.
        num_averaged: number of checkpoints whose mean weights were validated; 1 = the model's own weights.
    """

    step: int
    loss: float
    bleu: float
    num_averaged: int

    def record(self, seconds: float) -> dict[str, Any]:
        """The record for the history, `seconds` after the run started."""
        record = {"kind": "validation", "step": self.step, "seconds": seconds, "loss": self.loss, "bleu": self.bleu}
        return record if self.num_averaged == 1 else {**record, "averaged": self.num_averaged}

    def line(self, seconds: float, *, is_best: bool) -> str:
        """One line for the terminal and the log."""
        weights = f"step {self.step}" if self.num_averaged == 1 else f"mean of the last {self.num_averaged} checkpoints"
        mark = "  (best so far)" if is_best else ""
        return f"{weights}, {duration(seconds)}: validation loss {self.loss:.3f}, BLEU {self.bleu:.2f}{mark}"


def validate_model(
    updater: Updater,
    batches: Sequence[Batch],
    compute_bleu: Callable[[Seq2Seq], float],
    *,
    step: int,
    num_averaged: int = 1,
) -> Validation:
    """Validates the model of `updater` and leaves it in evaluation mode.

    Args:
        batches: this process's share of the validation split, for the loss.
        compute_bleu: returns the BLEU of a model on the validation split.
        step: number of the last update.
        num_averaged: as in `Validation`.

    Raises:
        Failure: the loss is not finite, or the memory ran out.
    """
    updater.model.eval()
    loss = validation_loss(updater, batches, step=step)
    return Validation(step, loss, compute_bleu(updater.model), num_averaged)


@torch.no_grad()
def validation_loss(updater: Updater, batches: Sequence[Batch], *, step: int) -> float:
    """Negative log-likelihood per target token, in nats, over all processes.

    Raises:
        Failure: the loss is not finite, or the memory ran out.
    """
    nll = torch.zeros((), dtype=torch.float64, device=updater.model.device)
    num_tokens = 0
    for batch in batches:
        with explain_out_of_memory(step, batch):
            _, batch_nll = updater.loss(batch)
        nll += batch_nll
        num_tokens += batch.num_tokens
    total_nll, total_tokens = updater.processes.sum(float(nll), num_tokens)
    if not math.isfinite(total_nll):
        raise Failure(f"step {step}: the validation loss is {total_nll:g}")
    return total_nll / total_tokens
