"""What a run's model, its memory, its first translation and its duration look like, as lines of the report."""

from __future__ import annotations

from collections import Counter

import torch

from nmt.cli.diagnosis.report import format_bytes, shorten
from nmt.cli.training.preparation import PreparedRun
from nmt.models import Seq2Seq
from nmt.training.dry_run import MemoryUse, TrainingSpeed
from nmt.training.progress import duration
from nmt.training.settings import TrainerSettings
from nmt.translator import Translator


def describe_model(model: Seq2Seq) -> str:
    """The class, and the number of parameters by part."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
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


def describe_duration(settings: TrainerSettings, *, batches_per_epoch: float, speed: TrainingSpeed) -> str:
    """How long the run will take, by the limit that it reaches first."""
    limits = []
    if settings.max_steps is not None:
        seconds = settings.max_steps * settings.accumulate * speed.seconds_per_batch
        limits.append((seconds, f"max_steps={settings.max_steps}"))
    if settings.max_epochs is not None:
        seconds = settings.max_epochs * batches_per_epoch * speed.seconds_per_batch
        limits.append((seconds, f"max_epochs={settings.max_epochs}"))
    if settings.max_minutes is not None:
        limits.append((settings.max_minutes * 60, f"max_minutes={settings.max_minutes:g}"))
    if not limits:
        return f"only patience={settings.patience} ends it"
    seconds, limit = min(limits)
    text = f"about {duration(seconds)} to {limit}, not counting validation"
    if settings.patience is not None:
        text += f"; patience={settings.patience} may end it earlier"
    return text
