"""Builds the parts of a training run from its settings. Nothing is written, except to the cache of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
import torch
from datasets import Dataset
from torch import nn

from nmt import search
from nmt.cli.shell.settings import naming_group
from nmt.cli.training.corpus import build_corpus, describe_corpus, describe_parts, list_tags
from nmt.cli.training.descriptions import describe
from nmt.cli.training.guidance import make_link_encoder
from nmt.cli.training.initial_run import load_initial_tokenizer, remark_on_unknown_pieces
from nmt.cli.training.model import build_model
from nmt.cli.training.pretraining import build_cleaning, build_noise, build_objective
from nmt.cli.training.settings import LoaderSettings, TokenizerSettings, TrainSettings
from nmt.cli.training.validation import (
    check_schedule,
    choose_metrics,
    describe_metrics,
    load_validation_split,
    remark_on_tokenizer,
)
from nmt.data.cleaning import Cleaning
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.noise import Noise
from nmt.data.tokenizer import MASK, Tokenizer
from nmt.data.tokenizer.training import train_tokenizer
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import Description
from nmt.search.protocol import Search
from nmt.training.distributed import Processes
from nmt.training.limits import check_limits
from nmt.training.progress import spinner
from nmt.training.schedule import Schedule

ONLY_EMPTY = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False)
"""Cleaning for the validation loss, which is not defined for an empty line. The scores include every line."""


@dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """The parts of a run that exist before the run folder is written.

    Attributes:
        validation_split, validation_loader: None = the run is not validated.
        objective: replaces the usual loss in pre-training with masked pieces; otherwise None.
        metrics: of the validations.
        descriptions: of search, metrics, corpus and model, as the run folder stores them.
        remarks: on the parts of the corpus, the vocabulary, the first weights and the validation, each in one line.
    """

    corpus: Corpus
    train_split: Dataset
    validation_split: Dataset | None
    tokenizer: Tokenizer
    model: Seq2Seq
    objective: nn.Module | None
    schedule: Schedule
    optimizer: torch.optim.Optimizer
    searcher: Search
    metrics: Metrics
    train_loader: BatchLoader
    validation_loader: BatchLoader | None
    descriptions: dict[str, Description]
    remarks: list[str]


def prepare_run(
    settings: TrainSettings, processes: Processes, *, sample: Callable[[Dataset], Dataset] | None = None
) -> PreparedRun:
    """Builds every part, so that an error in the settings or the corpus appears before training starts.

    Args:
        sample: returns the part of the training split that the tokenizer and the loader use; None = all of it.

    Raises:
        UserError: a setting or the corpus is wrong.
    """
    # 1. What is quick to build comes first, so that a mistake in it is reported without waiting for the corpus.
    device = processes.local_device(pick_device(settings.device))
    schedule = settings.schedule.build_as(Schedule)  # type: ignore[type-abstract]
    check_limits(schedule, settings.trainer)
    check_schedule(schedule, settings)
    descriptions = {
        "search": describe(settings.search, search),
        "corpus": describe_corpus(settings),
    }
    searcher = settings.search.build()

    # 2. Text, then the tokenizer. With several processes the main one does the work and the others receive the result.
    corpus = build_corpus(settings)
    metrics = choose_metrics(settings, corpus.target)
    descriptions["metrics"] = describe_metrics(metrics)
    train_split = processes.main_first(lambda: corpus.split(settings.train_split))
    validation_split, remarks = processes.main_first(lambda: load_validation_split(settings, corpus))
    if sample is not None:
        train_split = sample(train_split)
    tokenizer = processes.broadcast(_tokenizer(settings, corpus, train_split) if processes.is_main else None)
    assert tokenizer is not None

    # 3. The noise of pre-training, and the model, whose vocabulary sizes only the tokenizer knows.
    noise = build_noise(settings, tokenizer)
    model, descriptions["model"] = build_model(settings, corpus, tokenizer, noise, device, processes)
    if "init" in descriptions["model"]:
        init = descriptions["model"]["init"]
        owner = "encoder's " if init["parts"] == "encoder" else ""
        remarks.append(f"the {owner}weights are those of step {init['step']} of {settings.init}")
        remarks.append(remark_on_unknown_pieces(train_split, tokenizer, settings))
    add_links = make_link_encoder(settings, corpus, tokenizer, model)

    # 4. Batches and the optimizer, which depend on the model.
    batch_loader = partial(
        make_loader,
        tokenizer=tokenizer,
        model=model,
        settings=settings.loader,
        noise=noise,
        add_links=None,
        seed=settings.seed,
        processes=processes,
    )
    return PreparedRun(
        corpus=corpus,
        train_split=train_split,
        validation_split=validation_split,
        tokenizer=tokenizer,
        model=model,
        objective=build_objective(settings, noise, model),
        schedule=schedule,
        optimizer=settings.optimizer.build_as(
            torch.optim.Optimizer, model.parameters(), lr=schedule.rate(1, fraction_done=0.0)
        ),
        searcher=searcher,
        metrics=metrics,
        train_loader=batch_loader(
            train_split,
            split_name=settings.train_split,
            cleaning=build_cleaning(settings),
            subword_alpha=settings.loader.subword_alpha,
            add_links=add_links,
        ),
        validation_loader=None
        if validation_split is None or settings.validation_split is None
        else batch_loader(
            validation_split, split_name=settings.validation_split, cleaning=ONLY_EMPTY, subword_alpha=0.0
        ),
        descriptions=descriptions,
        remarks=[
            *describe_parts(corpus),
            *([] if settings.init is not None else remark_on_vocabulary(settings.tokenizer, tokenizer)),
            *remarks,
            *remark_on_tokenizer(metrics, settings, train_split),
        ],
    )


def build_tokenizer(
    settings: TokenizerSettings, split: Dataset, *, tags: Sequence[str] = (), symbols: Sequence[str] = ()
) -> Tokenizer:
    """Trains the tokenizer on the training split, or on `max_pairs` of its pairs.

    Args:
        tags: names of the tags that source lines may have.
        symbols: of the pictures in source lines.

    Raises:
        UserError: a setting is wrong, or the split does not allow the vocabulary size.
    """
    with spinner(f"learning up to {settings.vocab_size:,} pieces from {len(split):,} pairs"):
        return train_tokenizer(split, tags=tuple(tags), symbols=tuple(symbols), **msgspec.structs.asdict(settings))


def remark_on_vocabulary(settings: TokenizerSettings, tokenizer: Tokenizer) -> list[str]:
    """Says how many pieces there are if the corpus allowed fewer than the settings ask for."""
    if min(tokenizer.source_size, tokenizer.target_size) >= settings.vocab_size:
        return []
    sizes = (
        f"{tokenizer.source_size:,}"
        if tokenizer.shared
        else f"{tokenizer.source_size:,} source and {tokenizer.target_size:,} target"
    )
    return [
        f"the vocabulary has {sizes} pieces: this corpus allows no more (tokenizer.vocab_size={settings.vocab_size})"
    ]


def make_loader(
    split: Dataset,
    tokenizer: Tokenizer,
    model: Seq2Seq,
    settings: LoaderSettings,
    *,
    split_name: str,
    cleaning: Cleaning,
    subword_alpha: float,
    noise: Noise | None = None,
    add_links: Callable[[Dataset], Dataset] | None,
    seed: int,
    processes: Processes,
) -> BatchLoader:
    """Encodes a split and returns the loader of its batches for `model`: this process's share of each.

    Args:
        add_links: adds the column of `encode_links`, for batches with word links; None: batches without links.

    Raises:
        UserError: a setting is wrong, no pair of the split can be used, or it has no word links.
    """
    max_length = settings.max_length
    if model.max_length is not None:
        if model.max_length < 2:
            raise UserError(f"the model's max_length={model.max_length} must be at least 2: one piece and the end")
        max_length = min(max_length, model.max_length - 1)  # one position is left for bos or eos

    def encode() -> Dataset:
        encoded = encode_corpus(split, tokenizer, num_workers=settings.num_workers)
        return encoded if add_links is None else add_links(encoded)

    with naming_split(split_name), naming_group("loader"):
        return BatchLoader(
            processes.main_first(encode),
            tokenizer,
            cleaning=cleaning,
            max_length=max_length,
            batch_tokens=settings.batch_tokens,
            subword_alpha=subword_alpha,
            noise=noise,
            seed=seed,
            rank=processes.rank,
            num_ranks=processes.size,
            pin_memory=model.device.type == "cuda",
        )


@contextmanager
def naming_split(name: str) -> Iterator[None]:
    """Names the split in a `UserError` inside the block that is about its pairs: "no pair of 20 can be used …"."""
    try:
        yield
    except UserError as error:
        if not str(error).startswith("no pair of "):
            raise
        raise UserError(f"split {name}: {error}") from None


def _tokenizer(settings: TrainSettings, corpus: Corpus, split: Dataset) -> Tokenizer:
    """The tokenizer of the run that is resumed, or of the run with which training starts, or a new one."""
    if settings.resume == "true":
        return RunFolder(settings.run).tokenizer()
    if settings.init is not None:
        return load_initial_tokenizer(settings, corpus)
    tags = list_tags(settings, corpus) + ([] if settings.objective is None else [MASK])
    tokenizer = build_tokenizer(settings.tokenizer, split, tags=tags, symbols=corpus.main.symbols)
    return tokenizer.with_source_tag(settings.tag)
