"""Builds the parts of a training run from its settings. Nothing is written, except to the cache of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from datasets import Dataset
from torch import nn

from nmt import search
from nmt.cli.shell.settings import naming_group
from nmt.cli.training.corpus import describe_corpus, describe_parts
from nmt.cli.training.descriptions import describe
from nmt.cli.training.guidance import make_link_encoder
from nmt.cli.training.initial_run import remark_on_unknown_pieces
from nmt.cli.training.model import build_model
from nmt.cli.training.optimizer import check_optimizer
from nmt.cli.training.pretraining import build_cleaning, build_noise, build_objective
from nmt.cli.training.settings import LoaderSettings, TrainSettings
from nmt.cli.training.text import PreparedText, prepare_text
from nmt.cli.training.tokenizer import is_given, remark_on_vocabulary
from nmt.cli.training.validation import (
    check_schedule,
    describe_metrics,
    remark_on_tokenizer,
)
from nmt.data.cleaning import Cleaning
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.noise import Noise
from nmt.data.tokenizer import Tokenizer
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.models import Seq2Seq
from nmt.run.registry import Description
from nmt.search.protocol import Search
from nmt.training.distributed import Processes
from nmt.training.limits import check_limits
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
    check_optimizer(settings.optimizer, device)
    descriptions = {
        "search": describe(settings.search, search),
        "corpus": describe_corpus(settings),
    }
    searcher = settings.search.build()

    # 2. The text, and what depends on it: the model, whose vocabulary sizes only the tokenizer knows.
    text = prepare_text(settings, processes, sample)
    noise = build_noise(settings, text.tokenizer)
    model, descriptions["model"] = build_model(settings, text.corpus, text.tokenizer, noise, device, processes)
    descriptions["metrics"] = describe_metrics(text.metrics)

    # 3. Batches and the optimizer, which depend on the model.
    train_loader, validation_loader = _make_loaders(settings, text, model, noise, processes)
    return PreparedRun(
        corpus=text.corpus,
        train_split=text.train_split,
        validation_split=text.validation_split,
        tokenizer=text.tokenizer,
        model=model,
        objective=build_objective(settings, noise, model),
        schedule=schedule,
        optimizer=settings.optimizer.build_as(
            torch.optim.Optimizer, model.parameters(), lr=schedule.rate(1, fraction_done=0.0)
        ),
        searcher=searcher,
        metrics=text.metrics,
        train_loader=train_loader,
        validation_loader=validation_loader,
        descriptions=descriptions,
        remarks=_list_remarks(settings, text, descriptions["model"]),
    )


def _make_loaders(
    settings: TrainSettings, text: PreparedText, model: Seq2Seq, noise: Noise | None, processes: Processes
) -> tuple[BatchLoader, BatchLoader | None]:
    """The loader of training batches, and that of the validation loss, if there is one."""
    make = partial(
        make_loader,
        tokenizer=text.tokenizer,
        model=model,
        settings=settings.loader,
        noise=noise,
        seed=settings.seed,
        processes=processes,
    )
    train_loader = make(
        text.train_split,
        split_name=settings.train_split,
        cleaning=build_cleaning(settings),
        subword_alpha=settings.loader.subword_alpha,
        add_links=make_link_encoder(settings, text.corpus, text.tokenizer, model),
    )
    if text.validation_split is None or settings.validation_split is None:
        return train_loader, None
    validation_loader = make(
        text.validation_split,
        split_name=settings.validation_split,
        cleaning=ONLY_EMPTY,
        subword_alpha=0.0,
        add_links=None,
    )
    return train_loader, validation_loader


def _list_remarks(settings: TrainSettings, text: PreparedText, model: Description) -> list[str]:
    """What is noteworthy about the parts of a run, one line each, in the order in which they were built."""
    remarks = describe_parts(text.corpus)
    if settings.init is None:  # otherwise the vocabulary is that of another run
        remarks += remark_on_vocabulary(settings.tokenizer, text.tokenizer)
        if is_given(settings.tokenizer):
            remarks.append(remark_on_unknown_pieces(text.train_split, text.tokenizer, settings))
    remarks += text.remarks
    if "init" in model:
        owner = "encoder's " if model["init"]["parts"] == "encoder" else ""
        remarks.append(f"the {owner}weights are those of step {model['init']['step']} of {model['init']['run']}")
        remarks.append(remark_on_unknown_pieces(text.train_split, text.tokenizer, settings))
    return [*remarks, *remark_on_tokenizer(text.metrics, settings, text.train_split)]


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
