"""`nmt benchmark`: measures how fast a configuration trains and translates, compared with a plain model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch
from omegaconf import DictConfig

from nmt import models
from nmt.benchmark import plain
from nmt.benchmark.decoding import measure_decoding, suppress_eos
from nmt.benchmark.table import print_tables
from nmt.benchmark.timing import device_description, measure_matrix_peak
from nmt.benchmark.training import LEARNING_RATE, PlainObjective, measure_training
from nmt.checks import check_sizes
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.training.model import with_vocabulary
from nmt.cli.training.optimizer import check_optimizer
from nmt.cli.training.preparation import make_loader
from nmt.cli.training.settings import LoaderSettings
from nmt.cli.training.tokenizer import TokenizerSettings, build_tokenizer
from nmt.console import MessageConsole
from nmt.data.batch import Batch
from nmt.data.corpus import Corpus
from nmt.data.loader import BatchLoader
from nmt.device import pick_device, subnormals_as_zero
from nmt.errors import UserError
from nmt.files import write_json
from nmt.models import Seq2Seq
from nmt.run.registry import Description, build
from nmt.threads import check_threads, limit_threads
from nmt.training.distributed import Processes
from nmt.training.settings import TrainerSettings
from nmt.training.update import Updater
from nmt.translator import Translator


class BenchmarkSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of `nmt benchmark`; conf/benchmark.yaml describes each setting.

    Raises:
        UserError: a number is out of its range.
    """

    data: Component
    cleaning: Component
    tokenizer: TokenizerSettings
    model: Component
    optimizer: Component
    search: Component
    loader: LoaderSettings
    trainer: TrainerSettings
    rounds: int
    steps: int
    warmup_steps: int
    sentences: int
    single_sentences: int
    vocab_size: int | None
    out: Path | None
    seed: int
    device: str
    threads: str
    train_split: str
    validation_split: str

    def __post_init__(self) -> None:
        check_sizes(rounds=self.rounds, warmup_steps=self.warmup_steps)
        check_threads(self.threads)
        for key in ("steps", "sentences", "single_sentences"):
            if getattr(self, key) < 0:
                raise UserError(f"{key}={getattr(self, key)} must be at least 0")
        if self.sentences and not 1 <= self.single_sentences <= self.sentences:
            raise UserError(f"single_sentences={self.single_sentences} must be from 1 to sentences={self.sentences}")
        if self.sentences and "max_length_factor" not in self.search.arguments:
            raise UserError(
                f"search: nmt benchmark sets max_length_factor, which {self.search.target.rpartition('.')[2]} lacks: "
                "choose search=greedy, beam or sampling, or set sentences=0"
            )
        if self.steps:
            self._check_trainer()
        if self.sentences and self.vocab_size is not None:
            raise UserError(
                f"vocab_size={self.vocab_size} adds pieces without a text, so nothing can be decoded: set sentences=0"
            )

    def _check_trainer(self) -> None:
        """Raises UserError if a setting changes an update, so that the plain model would not do the same work."""
        defaults = {"accumulate": 1, "consistency": 0, "simcut": 0, "alignment_weight": 0, "ema_decay": 0}
        for key, default in defaults.items():
            if (value := getattr(self.trainer, key)) != default:
                raise UserError(
                    f"trainer.{key}={value}: nmt benchmark compares updates without it: set it to {default}, or steps=0"
                )


@subnormals_as_zero()
def run(config: DictConfig) -> None:
    """Measures what `config` (conf/benchmark.yaml) describes, and writes the result as JSON.

    Raises:
        UserError: a setting is wrong.
    """
    settings = to_settings(config, BenchmarkSettings)
    # 1. Build the corpus, the tokenizer, both models and the batches.
    if settings.out is not None:
        prepare_output_file(settings.out, key="out")
    check_plain_model(settings.model.description())
    device = pick_device(settings.device)
    check_optimizer(settings.optimizer, device)
    corpus: Corpus = settings.data.build()
    train_split = corpus.split(settings.train_split)
    lines = corpus.split(settings.validation_split)["source"][: settings.sentences]
    tokenizer = build_tokenizer(settings.tokenizer, train_split)
    description = with_vocabulary(settings.model, tokenizer).description()
    if settings.vocab_size is not None:
        description = enlarge_vocabulary(description, settings.vocab_size)
    torch.manual_seed(settings.seed)
    model: Seq2Seq = build(description, models).to(device)

    @cache
    def plain_model() -> Seq2Seq:
        """Built at the first call, after the memory of `model` has been measured."""
        return build_plain_model(description).to(device)

    train_loader = make_loader(
        train_split,
        tokenizer,
        model,
        settings.loader,
        split_name=settings.train_split,
        cleaning=settings.cleaning.build(),
        subword_alpha=settings.loader.subword_alpha,
        add_links=None,
        seed=settings.seed,
        processes=Processes(),
    )

    # 2. Measure.
    result: dict[str, Any] = {
        "model": description | {"parameters": model.num_parameters()},
        "precision": str(matrix_dtype(settings.trainer, device)).removeprefix("torch."),
        "batch_tokens": settings.loader.batch_tokens,
        "search": settings.search.description(),
        "rounds": settings.rounds,
    }
    with limit_threads(settings.threads, device):  # "auto" chooses a number here, and keeps it
        result["device"] = device_description(device)
        if settings.steps:
            result["training"] = benchmark_training(settings, model, plain_model, train_loader)
        if settings.sentences:
            result["decoding"] = benchmark_decoding(settings, model, plain_model(), train_loader, lines)
    result["plain"] = {"parameters": plain_model().num_parameters()}

    # 3. Print tables for people, and write JSON for programs.
    print_tables(result, MessageConsole())
    if settings.out is None:
        print(json.dumps(result, indent=2))
    else:
        write_json(settings.out, result)


def enlarge_vocabulary(description: Description, vocab_size: int) -> Description:
    """The model's description with `vocab_size` pieces on each side, more than the corpus has.

    Raises:
        UserError: the tokenizer has more pieces.
    """
    keys = ("source_vocab_size", "target_vocab_size")
    minimum = max(description["arguments"][key] for key in keys)
    if vocab_size < minimum:
        raise UserError(f"vocab_size={vocab_size} must be at least the tokenizer's {minimum}")
    return {**description, "arguments": {**description["arguments"], **dict.fromkeys(keys, vocab_size)}}


def check_plain_model(description: Description) -> None:
    """Raises UserError if there is no plain counterpart of a model's class, or of one of its parts."""
    name = description["class"]
    if name not in plain.__all__:
        raise UserError(
            f"{name} has no plain counterpart with which its speed could be compared: choose another model, or another "
            "part of it"
        )
    for value in description["arguments"].values():
        if isinstance(value, dict):
            check_plain_model(value)


def build_plain_model(description: Description) -> Seq2Seq:
    """The plain model with the class names and the arguments of the model, which were checked when that was built."""
    name = description["class"]
    arguments = {
        key: build_plain_model(value) if isinstance(value, dict) else value
        for key, value in description["arguments"].items()
    }
    return getattr(plain, name)(**arguments)


def matrix_dtype(settings: TrainerSettings, device: torch.device) -> torch.dtype:
    """The number format in which the forward pass multiplies matrices."""
    return torch.bfloat16 if settings.number_format(device) == "bf16" else torch.float32


def benchmark_training(
    settings: BenchmarkSettings, model: Seq2Seq, plain_model: Callable[[], Seq2Seq], train_loader: BatchLoader
) -> dict[str, Any]:
    """Measures complete updates of the model, with the configured optimizer, and of the plain model, with Adam."""
    trainer, device = settings.trainer, model.device

    def make_updater() -> Updater:
        optimizer = settings.optimizer.build(model.parameters(), lr=LEARNING_RATE)
        return Updater.from_settings(trainer, model, optimizer, processes=Processes())

    def make_plain_updater() -> Updater:
        # On a GPU fused, like the model's: otherwise every update would wait until it is known that it is finite.
        optimizer = torch.optim.Adam(plain_model().parameters(), lr=LEARNING_RATE, fused=device.type == "cuda")
        objective = PlainObjective(plain_model(), label_smoothing=trainer.label_smoothing)
        return Updater.from_settings(trainer, plain_model(), optimizer, processes=Processes(), objective=objective)

    return measure_training(
        make_updater,
        make_plain_updater,
        endless_batches(train_loader),
        rounds=settings.rounds,
        steps=settings.steps,
        warmup_steps=settings.warmup_steps,
        measure_peak=lambda: measure_matrix_peak(device, matrix_dtype(trainer, device)),
    )


def benchmark_decoding(
    settings: BenchmarkSettings, model: Seq2Seq, plain_model: Seq2Seq, train_loader: BatchLoader, lines: list[str]
) -> dict[str, Any]:
    """Measures translation with both models. The search's limit is the corpus's own ratio of lengths."""
    tokenizer, sampler = train_loader.tokenizer, train_loader.sampler
    limits = {
        "max_length_factor": float(sampler.target_lengths.sum() / sampler.source_lengths.sum()),
        "max_length_margin": 1,
    }
    search = msgspec.structs.replace(settings.search, arguments={**settings.search.arguments, **limits}).build()

    def make_translator(model: Seq2Seq) -> Translator:
        suppress_eos(model, tokenizer.eos_id)
        return Translator(model, tokenizer, search, batch_tokens=None)

    return measure_decoding(
        make_translator(model),
        make_translator(plain_model),
        lines,
        single_sentences=settings.single_sentences,
        rounds=settings.rounds,
    )


def endless_batches(loader: BatchLoader) -> Iterator[Batch]:
    """The batches of one epoch after the other."""
    epoch = 0
    while True:
        yield from loader.epoch(epoch, start=0)
        epoch += 1
