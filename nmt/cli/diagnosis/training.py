"""What a run's model, its memory, its first translation and its duration look like, as lines of the report."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass

import torch

from nmt.cli.diagnosis.report import format_bytes, shorten
from nmt.cli.training.preparation import PreparedRun
from nmt.models import Seq2Seq
from nmt.training.dry_run import MemoryUse, TrainingSpeed
from nmt.training.progress import duration
from nmt.training.settings import TrainerSettings
from nmt.translator import Translator

MAX_MEASURED_LINES = 32
"""Sentences whose translation is measured to estimate the duration of a validation: about one batch on a CPU."""


def describe_model(model: Seq2Seq) -> str:
    """The class, and the number of trained parameters by part."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            counts[name.split(".")[0]] += parameter.numel()
    by_part = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    return f"{type(model).__name__}, {model.num_parameters():,} parameters: {by_part}"


def describe_memory(memory: MemoryUse, device: torch.device) -> str:
    """The memory of an update, by part."""
    process = "this process" if device.type == "cpu" else "torch"
    return (
        f"weights {format_bytes(memory.weights)}, gradients as much, optimizer {format_bytes(memory.optimizer)}, the "
        f"largest batch ({memory.num_sentences} sentences, up to {memory.length} pieces) "
        f"{format_bytes(memory.activations)}; peak memory of {process} on it: {format_bytes(memory.peak)}"
    )


def describe_decoding(prepared: PreparedRun) -> str:
    """The first sentence of the validation split (else of training) with text, and its translation so far."""
    lines = (prepared.validation_split or prepared.train_split)["source"]
    line = next(line for line in lines if prepared.tokenizer.encode_source([line])[0])
    translator = Translator(prepared.model.eval(), prepared.tokenizer, prepared.searcher, batch_tokens=None)
    return f"works: {shorten(line)} → {shorten(translator.translate([line])[0].text)}"


def measure_validation(prepared: PreparedRun) -> float:
    """The seconds of one validation, extrapolated from the translation of some sentences; 0 without validation.

    After so little training, most translations are as long as the search allows, so this is rather too long.
    """
    split = prepared.validation_split
    if split is None:
        return 0.0
    num_lines = min(len(split), MAX_MEASURED_LINES)
    lines = split.select([number * len(split) // num_lines for number in range(num_lines)])["source"][:]
    translator = Translator(prepared.model.eval(), prepared.tokenizer, prepared.searcher, batch_tokens=None)
    start = time.monotonic()
    translator.translate(lines)
    return (time.monotonic() - start) * len(split) / num_lines


@dataclass(frozen=True)
class Duration:
    """How long a run takes until it reaches a limit.

    Attributes:
        seconds: in total.
        validation: of these, the seconds for validations.
        num_validations: how many there are.
        limit: the limit, such as "max_steps=100".
    """

    seconds: float
    validation: float
    num_validations: int
    limit: str


def estimate_duration(
    settings: TrainerSettings, *, batches_per_epoch: float, speed: TrainingSpeed, validation_seconds: float
) -> Duration | None:
    """How long the run will take, by the limit that it reaches first; None if only patience ends it.

    Args:
        validation_seconds: of one validation; 0 without validation.
    """
    seconds_per_step = settings.accumulate * speed.seconds_per_batch

    def reach(num_steps: float, limit: str) -> Duration:
        num_validations = math.ceil(num_steps / settings.validate_every) if validation_seconds else 0
        num_validations += settings.average_checkpoints > 1 and num_validations > 0  # the mean of the last checkpoints
        validation = num_validations * validation_seconds
        return Duration(num_steps * seconds_per_step + validation, validation, num_validations, limit)

    durations = []
    if settings.max_steps is not None:
        durations.append(reach(settings.max_steps, f"max_steps={settings.max_steps}"))
    if settings.max_epochs is not None:
        num_steps = settings.max_epochs * batches_per_epoch / settings.accumulate
        durations.append(reach(num_steps, f"max_epochs={settings.max_epochs}"))
    if settings.max_minutes is not None:
        # In each period there are validate_every steps and one validation.
        seconds, period = settings.max_minutes * 60, settings.validate_every * seconds_per_step + validation_seconds
        num_validations = int(seconds / period) if validation_seconds else 0
        limit = f"max_minutes={settings.max_minutes:g}"
        durations.append(Duration(seconds, num_validations * validation_seconds, num_validations, limit))
    return min(durations, key=lambda each: each.seconds, default=None)


def describe_duration(expected: Duration | None, settings: TrainerSettings) -> str:
    """How long the run will take, for the verdict."""
    if expected is None:
        return f"only patience={settings.patience} ends it"
    text = f"about {duration(expected.seconds)} to {expected.limit}"
    if expected.num_validations:
        validations = "1 validation" if expected.num_validations == 1 else f"{expected.num_validations:,} validations"
        text += f", of which {duration(expected.validation)} for {validations}"
    if settings.patience is not None:
        text += f"; patience={settings.patience} may end it earlier"
    return text
