"""`nmt benchmark`: how fast a configuration trains and translates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from nmt import models, search
from nmt.benchmark import plain
from nmt.benchmark.decoding import measure_decoding, never_end
from nmt.benchmark.table import show
from nmt.benchmark.timing import describe_device, matrix_peak
from nmt.benchmark.training import LEARNING_RATE, PlainObjective, measure_training
from nmt.checks import check_sizes
from nmt.cli.description import describe
from nmt.cli.shell.settings import Component, typed
from nmt.cli.training.preparation import build_tokenizer, make_loader, with_vocabulary
from nmt.cli.training.settings import LoaderSettings
from nmt.data.batch import Batch
from nmt.data.corpus import Corpus
from nmt.data.loader import BatchLoader
from nmt.device import pick_device, subnormals_as_zero
from nmt.errors import UserError
from nmt.files import write_json
from nmt.models import Seq2Seq
from nmt.run.registry import Description, build
from nmt.training.distributed import Processes
from nmt.training.settings import TrainerSettings
from nmt.training.update import Updater
from nmt.translator import Translator


class Parts(msgspec.Struct, frozen=True):
    """What the benchmark shares with training."""

    tokenizer: Component
    model: Component
    loader: LoaderSettings


@subnormals_as_zero()
def run(config: DictConfig) -> None:
    """Measures what `config` (conf/benchmark.yaml) describes."""
    check(config)
    device = pick_device(config.device)
    corpus: Corpus = instantiate(config.data)
    split, lines = corpus.split(config.train_split), corpus.split(config.validation_split)["source"][: config.sentences]
    parts = typed(OmegaConf.masked_copy(config, ["tokenizer", "model", "loader"]), Parts)
    tokenizer = build_tokenizer(parts.tokenizer, split)
    description = enlarged(with_vocabulary(parts.model, tokenizer).description(), config.vocab_size)
    torch.manual_seed(config.seed)
    own: Seq2Seq = build(description, models).to(device)

    @cache
    def reference() -> Seq2Seq:  # made when the model's own memory has been measured
        made: Seq2Seq = build(description, plain).to(device)
        return made

    alpha = config.loader.subword_alpha
    cleaning = instantiate(config.cleaning)
    pairs = make_loader(
        split,
        tokenizer,
        own,
        parts.loader,
        cleaning=cleaning,
        subword_alpha=alpha,
        seed=config.seed,
        processes=Processes(),
    )
    result: dict[str, Any] = {
        "model": description | {"parameters": own.num_parameters()},
        "device": describe_device(device),
        "precision": str(number_format(trainer_of(config), device)).removeprefix("torch."),
        "batch_tokens": config.loader.batch_tokens,
        "search": describe(config.search),
        "rounds": config.rounds,
    }
    if config.steps:
        result["training"] = training(config, own, reference, pairs)
    if config.sentences:
        result["decoding"] = decoding(config, own, reference(), pairs, lines)
    result["plain"] = {"parameters": reference().num_parameters()}
    show(result, Console(stderr=True))
    if config.out is None:
        print(json.dumps(result, indent=2))
    else:
        write_json(Path(str(config.out)), result)


def check(config: DictConfig) -> None:
    """Raises ValueError where a number is out of its range."""
    check_sizes(rounds=config.rounds, warmup_steps=config.warmup_steps)
    for key in ("steps", "sentences", "single_sentences"):
        if config[key] < 0:
            raise UserError(f"{key}={config[key]} must be at least 0")
    if config.sentences and not 1 <= config.single_sentences <= config.sentences:
        raise UserError(f"single_sentences={config.single_sentences} must be from 1 to sentences={config.sentences}")
    if config.sentences and config.vocab_size is not None:
        raise UserError(f"vocab_size={config.vocab_size} makes pieces that mean nothing to decode: set sentences=0")


def enlarged(description: Description, vocab_size: int | None) -> Description:
    """The model's description with `vocab_size` pieces a side, of which the text has only the tokenizer's."""
    if vocab_size is None:
        return description
    sizes = ("source_vocab_size", "target_vocab_size")
    least = max(description["arguments"][name] for name in sizes)
    if not isinstance(vocab_size, int) or vocab_size < least:
        raise UserError(f"vocab_size={vocab_size} must be at least the tokenizer's {least}")
    return {**description, "arguments": {**description["arguments"], **dict.fromkeys(sizes, vocab_size)}}


def trainer_of(config: DictConfig) -> TrainerSettings:
    """The settings of training."""
    return TrainerSettings(**config.trainer)


def number_format(trainer: TrainerSettings, device: torch.device) -> torch.dtype:
    """In which the matrix products of the forward pass are computed."""
    with trainer.autocast(device):
        return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def training(config: DictConfig, own: Seq2Seq, reference: Callable[[], Seq2Seq], pairs: BatchLoader) -> dict[str, Any]:
    """`measure_training` of whole updates, of the model's own kind and of a plain one."""
    trainer, device = trainer_of(config), own.device

    def own_updater() -> Updater:
        adam = instantiate(config.optimizer, own.parameters(), lr=LEARNING_RATE)
        return Updater.from_settings(trainer, own, adam, processes=Processes())

    def plain_updater() -> Updater:
        model = reference()
        # On a GPU fused, as the own: else every update would wait to see whether it may be made.
        adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=device.type == "cuda")
        objective = PlainObjective(model, label_smoothing=trainer.label_smoothing)
        return Updater.from_settings(trainer, model, adam, processes=Processes(), objective=objective)

    return measure_training(
        own_updater,
        plain_updater,
        stream(pairs),
        rounds=config.rounds,
        steps=config.steps,
        warmup_steps=config.warmup_steps,
        peak=lambda: matrix_peak(device, number_format(trainer, device)),
    )


def decoding(
    config: DictConfig, own: Seq2Seq, reference: Seq2Seq, pairs: BatchLoader, lines: list[str]
) -> dict[str, Any]:
    """`measure_decoding` of both models, with the corpus's own ratio of lengths as the search's limit."""
    tokenizer = pairs.tokenizer
    lengths = pairs.sampler.target_lengths.sum() / pairs.sampler.source_lengths.sum()
    searcher = searcher_for(describe(config.search), float(lengths))

    def translator(model: Seq2Seq) -> Translator:
        never_end(model, tokenizer.eos_id)
        return Translator(model, tokenizer, searcher, batch_tokens=None)

    return measure_decoding(
        translator(own), translator(reference), lines, singles=config.single_sentences, rounds=config.rounds
    )


def stream(pairs: BatchLoader) -> Iterator[Batch]:
    """The batches of one epoch after the other, without an end."""
    epoch = 0
    while True:
        yield from pairs.epoch(epoch, start=0)
        epoch += 1


def searcher_for(description: dict[str, Any], target_per_source: float) -> Any:
    """The search, with the corpus's own ratio of lengths as its limit."""
    limits = {"max_length_factor": target_per_source, "max_length_margin": 1}
    return build({**description, "arguments": {**description["arguments"], **limits}}, search)
