"""A validation: the loss of a model on the validation split, the scores of its translations, and its attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from nmt.data.batch import Batch
from nmt.errors import Failure
from nmt.models.seq2seq import Seq2Seq
from nmt.training.out_of_memory import explain_out_of_memory
from nmt.training.selection import Validation
from nmt.training.update import Updater


class TranslationScores(NamedTuple):
    """How good the translations of a split are, each from 0 to 100."""

    bleu: float
    chrf: float


class AttentionFigures(NamedTuple):
    """What the decoder's attention to the source looks like; all None for a model without attention.

    Attributes:
        entropy: mean entropy of a target word's weights over the source words and the end, in nats.
        eos_weight: mean weight that a target word gives to the end of the source, 0 to 1.
        alignment_error: alignment error rate, 0 to 1; None without gold links.
    """

    entropy: float | None = None
    eos_weight: float | None = None
    alignment_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class ValidationSplit:
    """What a validation works with.

    Attributes:
        batches: this process's share of the batches, for the loss.
        compute_scores: returns the scores of a model on the whole split, the same in all processes; None = no scores,
            because the model is pre-trained and does not translate.
        measure_attention: returns the figures of a model's attention on part of the split, the same in all processes;
            None = no figures.
        num_pairs: number of pairs of the whole split.
    """

    batches: Sequence[Batch]
    compute_scores: Callable[[Seq2Seq], TranslationScores] | None
    measure_attention: Callable[[Seq2Seq], AttentionFigures] | None
    num_pairs: int


def validate_model(updater: Updater, split: ValidationSplit, *, step: int, num_averaged: int = 1) -> Validation:
    """Validates the model of `updater` and leaves it in evaluation mode.

    Args:
        step: number of the last update.
        num_averaged: as in `Validation`.

    Raises:
        Failure: the loss is not finite, or the memory ran out.
    """
    updater.model.eval()
    loss = validation_loss(updater, split.batches, step=step)
    scores = None if split.compute_scores is None else split.compute_scores(updater.model)
    attention = AttentionFigures() if split.measure_attention is None else split.measure_attention(updater.model)
    return Validation(
        step=step,
        num_averaged=num_averaged,
        num_pairs=split.num_pairs,
        loss=loss,
        bleu=None if scores is None else scores.bleu,
        chrf=None if scores is None else scores.chrf,
        attention_entropy=attention.entropy,
        attention_eos_weight=attention.eos_weight,
        alignment_error=attention.alignment_error,
    )


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
