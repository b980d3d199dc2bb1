"""All that a training run is made of, from its configuration. Nothing is written here but the corpus's cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from hydra.utils import instantiate
from omegaconf import DictConfig

from nmt import models, search
from nmt.cli.description import describe
from nmt.data.cleaning import Cleaning
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.training import train_tokenizer
from nmt.device import pick_device
from nmt.evaluation.metrics import bleu
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import Description, build
from nmt.training.distributed import Processes
from nmt.training.progress import waiting
from nmt.training.schedule import Schedule
from nmt.training.trainer import Trainer
from nmt.translator import Translator

ONLY_EMPTY = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False)
"""For the validation loss, which has nothing to learn from an empty line; BLEU is measured on the whole split."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What `prepare` makes.

    Attributes:
        descriptions: of the run's search, corpus and model, as the run folder keeps them.
    """

    trainer: Trainer
    schedule: Schedule
    searcher: Any
    corpus: Corpus
    train_split: Dataset
    validation_split: Dataset
    tokenizer: Tokenizer
    model: Seq2Seq
    optimizer: torch.optim.Optimizer
    pairs: BatchLoader
    validation: BatchLoader
    descriptions: dict[str, Description]


def prepare(
    config: DictConfig, processes: Processes, *, thin: Callable[[Dataset], Dataset] | None = None
) -> Preparation:
    """Makes every part that `config` (conf/train.yaml) describes, so that all that can be wrong with it shows.

    Args:
        thin: what is taken of the training split, for its tokenizer as for its pairs; None = all of it.

    Raises:
        ValueError: a setting, or the corpus, is wrong.
    """
    trainer = Trainer(**config.trainer)
    device = processes.local_device(pick_device(config.device))
    schedule = instantiate(config.schedule)
    descriptions = {"search": describe(config.search), "corpus": located(describe(config.data))}
    searcher = build(descriptions["search"], search)
    corpus: Corpus = instantiate(config.data)
    train_split = processes.main_first(lambda: corpus.split(config.train_split))
    validation_split = processes.main_first(lambda: corpus.split(config.validation_split))
    if thin is not None:
        train_split = thin(train_split)
    tokenizer = processes.broadcast(tokenizer_for(config, train_split) if processes.is_main else None)
    assert tokenizer is not None
    descriptions["model"] = with_vocabulary(describe(config.model), tokenizer)
    torch.manual_seed(config.seed)
    model: Seq2Seq = build(descriptions["model"], models).to(device)
    descriptions["model"]["parameters"] = model.num_parameters()
    return Preparation(
        trainer=trainer,
        schedule=schedule,
        searcher=searcher,
        corpus=corpus,
        train_split=train_split,
        validation_split=validation_split,
        tokenizer=tokenizer,
        model=model,
        optimizer=instantiate(config.optimizer)(model.parameters(), lr=schedule.rate(1)),
        pairs=pairs_of(
            train_split,
            tokenizer,
            model,
            config,
            processes,
            cleaning=instantiate(config.cleaning),
            subword_alpha=config.loader.subword_alpha,
        ),
        validation=pairs_of(
            validation_split, tokenizer, model, config, processes, cleaning=ONLY_EMPTY, subword_alpha=0.0
        ),
        descriptions=descriptions,
    )


def tokenizer_for(config: DictConfig, split: Dataset) -> Tokenizer:
    """The tokenizer of the run that goes on, or a new one that has learned from the training split."""
    if config.resume:
        return RunFolder(str(config.run)).tokenizer()
    with waiting(f"learning {config.tokenizer.vocab_size:,} pieces from {len(split):,} pairs"):
        return learn(config.tokenizer, split)


def learn(settings: DictConfig, split: Dataset) -> Tokenizer:
    """The tokenizer that the group `tokenizer` describes."""
    train = instantiate({key: value for key, value in settings.items() if key != "max_pairs"})
    return train_tokenizer(split, train, max_pairs=settings.max_pairs)


def pairs_of(
    split: Dataset,
    tokenizer: Tokenizer,
    model: Seq2Seq,
    config: DictConfig,
    processes: Processes,
    *,
    cleaning: Cleaning,
    subword_alpha: float,
) -> BatchLoader:
    """A split as batches for `model`: this process's share of them."""
    settings = config.loader
    return BatchLoader(
        processes.main_first(lambda: encode_corpus(split, tokenizer, num_workers=settings.num_workers)),
        tokenizer,
        cleaning=cleaning,
        max_length=min(settings.max_length, model.max_length or settings.max_length),
        batch_tokens=settings.batch_tokens,
        subword_alpha=subword_alpha,
        seed=config.seed,
        rank=processes.rank,
        num_ranks=processes.size,
        pin_memory=model.device.type == "cuda",
    )


def validator(split: Dataset, tokenizer: Tokenizer, searcher: Any, processes: Processes) -> Callable[[Seq2Seq], float]:
    """What tells the BLEU of a model on the validation split, by the search that will be used in test.

    The processes share the sentences out; all of them know the score.
    """
    sources, references = split["source"][:], split["target"][:]

    def validate(model: Seq2Seq) -> float:
        translator = Translator(model, tokenizer, searcher, batch_tokens=None)
        share = translator.translate(sources[processes.rank :: processes.size])
        return bleu(processes.gather([translation.text for translation in share]), references)

    return validate


def with_vocabulary(description: Description, tokenizer: Tokenizer) -> Description:
    """The model's description with what only the tokenizer knows."""
    vocabulary = {
        "source_vocab_size": tokenizer.source_size,
        "target_vocab_size": tokenizer.target_size,
        "shared_vocab": tokenizer.shared,
    }
    return {**description, "arguments": {**vocabulary, **description["arguments"]}}


def located(description: Description) -> Description:
    """The corpus's description with its path made absolute, so that other commands find it from any folder."""
    arguments: dict[str, Any] = dict(description["arguments"])
    if arguments.get("path") is not None:
        arguments["path"] = str(Path(arguments["path"]).absolute())
    return {**description, "arguments": arguments}
