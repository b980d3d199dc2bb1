"""`nmt doctor`: whether `nmt train` with the same words would work, and what to expect of it.

Everything is the run's own, made as for training: corpus, tokenizer, model, optimizer, batches. Only nothing is
written. What would stop the run stops this too, in the same words; what it would do and nobody may have meant is noted.
The report is the result, and goes to standard output.
"""

from __future__ import annotations

import os
import platform
import shutil
import textwrap
import tomllib
from collections import Counter
from importlib import metadata
from itertools import chain
from pathlib import Path

import torch
from datasets import Dataset
from omegaconf import DictConfig
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Console
from rich.table import Table

from nmt.cli.training.preparation import PreparedRun, prepare_run
from nmt.cli.training.resume import check_same_model
from nmt.cli.training.settings import TrainSettings, train_settings
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.statistics import SideStatistics, count_leaks
from nmt.device import free_memory, subnormals_as_zero
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.training.distributed import Processes
from nmt.training.dry_run import DryRun, Memory, Speed
from nmt.training.progress import duration, spinner
from nmt.training.settings import TrainerSettings
from nmt.translator import Translator

LARGE = 200_000
"""Of a training split with more pairs only SAMPLE are looked at, and the tokenizer learns from these alone."""

SAMPLE = 50_000

LEARN_SECONDS, SPEED_SECONDS = 15.0, 6.0
"""The most that the two trials take."""

TURN = 0.1
"""A share of what had been learned that is lost again by the end: then the rate is too high."""

WIDTH = 80

SHOWN = ("torch", "sentencepiece", "sacrebleu", "datasets", "hydra-core")
"""The packages whose versions a person may be asked for."""

MANY = 0.01
"""A share of unknown pieces, left-out pairs or leaked sentences above which there is something to mind."""


class Report:
    """Prints what is found when it is found, WIDTH columns wide, and keeps what is to be minded for the end."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def tell(self, label: str, text: str) -> None:
        """A label and, beside it, as many lines as the text takes."""
        lines = textwrap.wrap(f"{label:<11}{text}", WIDTH, subsequent_indent=" " * 11, break_on_hyphens=False)
        print("\n".join(lines), flush=True)

    def finish(self, verdict: str) -> None:
        """The notes, and the last line."""
        for note in self.notes:
            self.tell("mind", note)
        print(textwrap.fill(verdict, WIDTH, break_on_hyphens=False))


@subnormals_as_zero()
def run(config: DictConfig) -> None:
    """Tries out the run that `config` (conf/train.yaml) describes.

    Raises:
        ValueError: it would not work; the message says why, and what to change.
    """
    settings = train_settings(config)
    report = Report()
    RunFolder.check_available(settings.run, resume=settings.resume)
    report.tell("versions", versions())
    parts = prepare_run(settings, Processes(), sample=thin)
    if settings.resume:
        check_same_model(RunFolder(settings.run), parts.descriptions["model"])
    device = parts.model.device
    report.tell("device", machine(device, settings.trainer))
    tell_corpus(report, settings, parts)
    report.tell("model", parameters(parts.model))

    with spinner("training on the largest batch"):
        rehearsal = DryRun(
            settings=settings.trainer,
            model=parts.model,
            optimizer=parts.optimizer,
            schedule=parts.schedule,
            pairs=parts.train_loader,
        )
        memory = rehearsal.memory()
    report.tell("memory", needs(memory, device))
    report.tell("run folder", place(settings, memory))
    with spinner("learning a few sentences by heart"):
        learning = rehearsal.learn(seconds=LEARN_SECONDS)
    report.tell(
        "learning",
        f"a few sentences by heart: the loss falls from {learning.first:.2f} to {learning.last:.2f} nats a token in "
        f"{learning.steps} steps, up to the rate {parts.schedule.learning_rate:g}; every parameter gets a gradient",
    )
    if learning.last - learning.lowest > TURN * (learning.first - learning.lowest):
        report.notes.append(
            f"the loss on a few sentences came down to {learning.lowest:.2f} and went up again to "
            f"{learning.last:.2f} as the rate rose: lower schedule.learning_rate={parts.schedule.learning_rate:g}"
        )
    with spinner("measuring the speed"):
        speed = rehearsal.speed(seconds=SPEED_SECONDS)
    whole = parts.corpus.split(settings.train_split)
    num_batches = len(parts.train_loader.sampler.epoch(0)) * len(whole) / len(parts.train_split)
    report.tell(
        "speed",
        f"{speed.tokens_per_second:,.0f} target tokens a second; an epoch of {num_batches:,.0f} batches takes "
        f"{duration(num_batches * speed.seconds_per_batch)}",
    )
    report.tell("decoding", decoded(parts))
    report.finish(f"This run will work: {prospect(settings.trainer, num_batches, speed)}.")


def versions() -> str:
    """Python's and the main packages' versions.

    Raises:
        ValueError: one is missing, or not among those that the project asks for.
    """
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():  # a checkout, installed or not: what its own file says
        declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        python, needed = declared["requires-python"], declared["dependencies"]
    else:
        python, needed = metadata.metadata("nmt")["Requires-Python"], metadata.requires("nmt") or []
    if platform.python_version() not in SpecifierSet(python):
        raise UserError(f"this is Python {platform.python_version()}: nmt needs {python}")
    found = {}
    for requirement in map(Requirement, needed):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise UserError(f'{name} is missing: pip install "{requirement}"') from None
        if not requirement.specifier.contains(found[name], prereleases=True):
            raise UserError(f'{name} {found[name]} is not what nmt needs: pip install "{requirement}"')
    shown = ", ".join(f"{name} {found[name]}" for name in SHOWN)
    return f"python {platform.python_version()}, {shown}; all {len(found)} packages are new enough"


def machine(device: torch.device, trainer: TrainerSettings) -> str:
    """The device, its memory, and the precision there."""
    with trainer.autocast(device):
        precision = "bf16" if torch.is_autocast_enabled(device.type) else "fp32"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"threads {torch.get_num_threads()}, cores {os.cpu_count()}"
    return f"{device}, {name}, {size(free_memory(device))} of memory free, {precision}"


def thin(split: Dataset) -> Dataset:
    """The split, or of a large one SAMPLE pairs at equal distances."""
    if len(split) <= LARGE:
        return split
    return split.select([number * len(split) // SAMPLE for number in range(SAMPLE)])


def tell_corpus(report: Report, config: TrainSettings, parts: PreparedRun) -> None:
    """How many and how long the lines are, what is unknown or left out, and what training would see of the others."""
    corpus, tokenizer = parts.corpus, parts.tokenizer
    whole = corpus.split(config.train_split)
    about = f"{corpus.source} to {corpus.target}, splits {', '.join(corpus.splits())}"
    if len(parts.train_split) < len(whole):
        about += f"; of {len(whole):,} training pairs a sample of {len(parts.train_split):,} is looked at"
    report.tell("corpus", about)
    sizes = f"{tokenizer.source_size:,}"
    report.tell(
        "pieces",
        f"{sizes} in the joint vocabulary"
        if tokenizer.shared
        else f"{sizes} of the source, {tokenizer.target_size:,} of the target",
    )
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False)
    for heading in ("", "lines", "words", "characters", "pieces", "mean", "50%", "95%", "99%", "most", "unknown"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, split in ((config.train_split, parts.train_split), (config.validation_split, parts.validation_split)):
        encoded = encode_corpus(split, tokenizer, num_workers=config.loader.num_workers)
        for side, language in (("source", corpus.source), ("target", corpus.target)):
            found = SideStatistics.of(encoded, side, unk_id=tokenizer.unk_id)
            counts = (found.lines, found.words, found.characters, found.pieces)
            lengths = (found.median, found.percentile_95, found.percentile_99, found.longest)
            share = found.unknown / max(1, found.pieces)
            table.add_row(
                f"{name}.{language}",
                *(f"{count:,}" for count in counts),
                f"{found.mean:.1f}",
                *map(str, lengths),
                f"{share:.2%}",
            )
            if share > MANY:
                report.notes.append(
                    f"{share:.1%} of the pieces of {name}.{language} are unknown: raise tokenizer.vocab_size, or set "
                    f"tokenizer.byte_fallback=true"
                )
    Console(width=WIDTH, highlight=False).print(table)
    for number, line in enumerate([*parts.train_loader.report.lines(), *corpus.repairs(config.train_split)]):
        report.tell("" if number else "cleaning", line)
    note_left_out(report, config.train_split, parts.train_loader)
    note_left_out(report, config.validation_split, parts.validation_loader)
    for name in corpus.splits():
        if name != config.train_split:
            tell_leaks(report, name, whole, corpus.split(name))


def note_left_out(report: Report, name: str, pairs: BatchLoader) -> None:
    """Notes that a good part of a split is of no use."""
    found = pairs.report
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in found.dropped.items() if count)
    if found.num_pairs - len(pairs) > MANY * found.num_pairs:
        report.notes.append(f"of {found.num_pairs:,} pairs of {name}, {len(pairs):,} can be used: {reasons}")


def tell_leaks(report: Report, name: str, train: Dataset, other: Dataset) -> None:
    """Notes what a split has in common with the training split: a score on it would be too good."""
    pairs, sources = count_leaks(train, other)
    if sources > MANY * len(other):
        report.notes.append(
            f"{sources:,} of the {len(other):,} sources of {name} are in the training split too, {pairs:,} of them "
            f"with the same target: scores on {name} will be too high"
        )


def parameters(model: Seq2Seq) -> str:
    """The class, and the number of parameters by part."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        counts[name.split(".")[0]] += parameter.numel()
    each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{type(model).__name__}, {model.num_parameters():,} parameters: {each}"


def needs(memory: Memory, device: torch.device) -> str:
    """What a step takes, by part."""
    whose = "this process" if device.type == "cpu" else "torch"
    return (
        f"weights {size(memory.weights)}, gradients as much, optimizer {size(memory.optimizer)}, the largest batch "
        f"({memory.rows} sentences, up to {memory.length} pieces) {size(memory.activations)}; the most that {whose} "
        f"used on it was {size(memory.peak)}"
    )


def place(config: TrainSettings, memory: Memory) -> str:
    """The run folder, and whether its disk takes the checkpoints.

    Raises:
        ValueError: it cannot be written to, or its disk is too full.
    """
    path = config.run
    there = next(parent for parent in chain([path.absolute()], path.absolute().parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"run={path} cannot be written: {there} is read-only for you; name another folder")
    kept = config.trainer.average_checkpoints if config.trainer.average_checkpoints > 1 else 0
    # best, last (with the optimizer), one being written beside its place, and those to be averaged with their mean
    needed = memory.weights * (1 + 1 + kept + bool(kept)) + 2 * (memory.weights + memory.optimizer)
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"run={path}: the checkpoints take about {size(needed)} and {size(free)} are free: name a folder on "
            f"another disk, or lower trainer.average_checkpoints"
        )
    return f"{path}: checkpoints take up to {size(needed)}, {size(free)} are free"


def decoded(parts: PreparedRun) -> str:
    """The first validation sentence, and what the search makes of it after so little training."""
    lines = parts.validation_split["source"]
    line = next(line for line in lines if parts.tokenizer.encode_source([line])[0])
    translator = Translator(parts.model.eval(), parts.tokenizer, parts.searcher, batch_tokens=None)
    text = translator.translate([line])[0].text
    return f"works: {shortened(line)} → {shortened(text)}"


def prospect(trainer: TrainerSettings, batches_per_epoch: float, speed: Speed) -> str:
    """How long the run will take, by the limit that is reached first."""
    limits = []
    if trainer.max_steps is not None:
        seconds = trainer.max_steps * trainer.accumulate * speed.seconds_per_batch
        limits.append((seconds, f"max_steps={trainer.max_steps}"))
    if trainer.max_epochs is not None:
        seconds = trainer.max_epochs * batches_per_epoch * speed.seconds_per_batch
        limits.append((seconds, f"max_epochs={trainer.max_epochs}"))
    if trainer.max_minutes is not None:
        limits.append((trainer.max_minutes * 60, f"max_minutes={trainer.max_minutes:g}"))
    patience = f"patience={trainer.patience} may end it before" if trainer.patience is not None else ""
    if not limits:
        return f"only patience={trainer.patience} ends it"
    seconds, limit = min(limits)
    return ", ".join(filter(None, [f"about {duration(seconds)} to {limit} besides validation", patience]))


def size(number: int) -> str:
    """Bytes as a person says them."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number / 1e3:,.1f} kB"


def shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
