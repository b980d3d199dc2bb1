"""`nmt train`: one system, from a corpus to a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nmt import models, search
from nmt.cli.description import describe
from nmt.data.cleaning import Cleaning
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.tokenizer import Tokenizer
from nmt.evaluation.metrics import bleu
from nmt.files import write_json, write_text
from nmt.models import Seq2Seq
from nmt.run import Description, RunFolder, build
from nmt.training.checkpoint import read_progress
from nmt.training.history import History
from nmt.training.interrupt import Interrupt
from nmt.training.pairs import Pairs
from nmt.training.progress import ProgressBar, waiting
from nmt.training.trainer import Trainer
from nmt.translator import Translator, pick_device

ELSEWHERE = ("batch_tokens", "max_length", "subword_alpha", "device", "num_workers", "tensorboard")
"""The keys of the trainer's group that are for other classes than `Trainer`."""

ONLY_EMPTY = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False)


def run(config: DictConfig) -> None:
    """Trains the system that `config` (conf/train.yaml) describes."""
    # All that can be wrong with the settings and the corpus shows before anything is written.
    RunFolder.claim(str(config.run), resume=config.resume)
    settings = config.trainer
    trainer = Trainer(**{str(key): value for key, value in settings.items() if key not in ELSEWHERE})
    device = pick_device(settings.device)
    schedule = instantiate(config.schedule)
    descriptions = {"search": describe(config.search), "corpus": located(describe(config.data))}
    searcher = build(descriptions["search"], search)
    corpus: Corpus = instantiate(config.data)
    train_split, validation_split = corpus.split(config.train_split), corpus.split(config.validation_split)
    tokenizer = tokenizer_for(config, train_split)
    descriptions["model"] = with_vocabulary(describe(config.model), tokenizer)
    torch.manual_seed(config.seed)
    model: Seq2Seq = build(descriptions["model"], models).to(device)
    descriptions["model"]["parameters"] = model.num_parameters()
    optimizer = instantiate(config.optimizer)(model.parameters(), lr=schedule.rate(1))
    pairs = pairs_of(
        train_split,
        tokenizer,
        model,
        config,
        cleaning=instantiate(config.cleaning),
        subword_alpha=settings.subword_alpha,
    )
    # Its loss has nothing to learn from an empty line; its BLEU is measured on the whole split, see `validator`.
    validation = pairs_of(validation_split, tokenizer, model, config, cleaning=ONLY_EMPTY, subword_alpha=0.0)

    folder = open_folder(config, tokenizer, descriptions)
    repairs = corpus.repairs(config.train_split)
    write_json(folder.path / "cleaning.json", {**pairs.report.record(), "repaired": repairs})
    history = History(
        folder.history,
        tensorboard=folder.path / "tensorboard" if settings.tensorboard else None,
        last_step=read_progress(folder.last).step if folder.last.is_file() else 0,
    )
    with Interrupt() as interrupt, ProgressBar(folder.name, log=folder.path / "log.txt") as bar:
        bar.say(
            f"{type(model).__name__}, {model.num_parameters():,} parameters, on {device} "
            f"({torch.get_num_threads()} threads)"
        )
        for line in [*pairs.report.lines(), *repairs]:
            bar.say(line)
        progress = trainer.fit(
            model,
            pairs=pairs,
            validation=list(validation.epoch(0, start=0)),
            validate=validator(validation_split, tokenizer, searcher, batch_tokens=settings.batch_tokens),
            optimizer=optimizer,
            schedule=schedule,
            run=folder,
            history=history,
            bar=bar,
            stop=lambda: interrupt.requested,
        )
        if progress.best_score is not None:
            bar.say(f"best validation BLEU {progress.best_score:.2f}; the run is in {folder.path}")
    history.close()
    if interrupt.requested:
        raise KeyboardInterrupt


def tokenizer_for(config: DictConfig, split: Dataset) -> Tokenizer:
    """The tokenizer of the run that goes on, or a new one that has learned from the training split."""
    if config.resume:
        return RunFolder(str(config.run)).tokenizer()
    with waiting(f"learning {config.tokenizer.vocab_size:,} pieces from {len(split):,} pairs"):
        learned: Tokenizer = instantiate(config.tokenizer)(split["source"], split["target"])
    return learned


def pairs_of(
    split: Dataset,
    tokenizer: Tokenizer,
    model: Seq2Seq,
    config: DictConfig,
    *,
    cleaning: Cleaning,
    subword_alpha: float,
) -> Pairs:
    """A split as batches for `model`."""
    settings = config.trainer
    return Pairs(
        encode_corpus(split, tokenizer, num_workers=settings.num_workers),
        tokenizer,
        cleaning=cleaning,
        max_length=min(settings.max_length, model.max_length or settings.max_length),
        batch_tokens=settings.batch_tokens,
        subword_alpha=subword_alpha,
        seed=config.seed,
        rank=0,
        num_ranks=1,
    )


def open_folder(config: DictConfig, tokenizer: Tokenizer, descriptions: dict[str, Description]) -> RunFolder:
    """The run folder, with all that translating needs but the weights."""
    folder = RunFolder.create(str(config.run), resume=config.resume)
    if config.resume:
        check_same(folder, descriptions["model"])
        return folder
    tokenizer.save(folder.path)
    write_text(folder.path / "config.yaml", OmegaConf.to_yaml(config))
    for what, description in descriptions.items():  # the model comes last: it makes the folder a run
        folder.describe(what, description)
    return folder


def validator(split: Dataset, tokenizer: Tokenizer, searcher: Any, *, batch_tokens: int) -> Callable[[Seq2Seq], float]:
    """What tells the BLEU of a model on the validation split, by the search that will be used in test."""
    sources, references = split["source"][:], split["target"][:]

    def validate(model: Seq2Seq) -> float:
        translator = Translator(model, tokenizer, searcher, batch_tokens=batch_tokens)
        return bleu([translation.text for translation in translator.translate(sources)], references)

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
        arguments["path"] = str(Path(arguments["path"]).resolve())
    return {**description, "arguments": arguments}


def check_same(folder: RunFolder, description: Description) -> None:
    """Raises ValueError if a run that shall go on was begun with another model."""
    begun = folder.description("model")
    if begun.get("class") != description["class"]:
        raise ValueError(f"run={folder.path} was begun with {begun.get('class')}, not {description['class']}")
    arguments = begun.get("arguments", {})
    for key, value in description["arguments"].items():
        if arguments.get(key) != value:
            raise ValueError(
                f"run={folder.path} was begun with model.{key}={arguments.get(key)}, not {value}: "
                f"resume=true goes on with the same settings"
            )
