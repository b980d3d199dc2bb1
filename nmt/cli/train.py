"""`nmt train`: one system, from a corpus to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nmt import models, search
from nmt.cli.description import describe
from nmt.data.corpus import Corpus
from nmt.data.encoding import encode_corpus
from nmt.data.tokenizer import Tokenizer
from nmt.evaluation.metrics import bleu
from nmt.files import write_text
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


def run(config: DictConfig) -> None:
    """Trains the system that `config` (conf/train.yaml) describes."""
    # All that can be wrong with the settings shows before anything is read or written.
    folder = RunFolder.claim(str(config.run), resume=config.resume)
    settings = config.trainer
    trainer = Trainer(**{str(key): value for key, value in settings.items() if key not in ELSEWHERE})
    device = pick_device(settings.device)
    schedule = instantiate(config.schedule)
    search_description = describe(config.search)
    searcher = build(search_description, search)
    corpus_description = located(describe(config.data))
    corpus: Corpus = instantiate(config.data)
    train_split, validation_split = corpus.split(config.train_split), corpus.split(config.validation_split)

    if config.resume:
        tokenizer = folder.tokenizer()
    else:
        with waiting(f"learning {config.tokenizer.vocab_size:,} pieces from {len(train_split):,} pairs"):
            tokenizer = instantiate(config.tokenizer)(train_split["source"], train_split["target"])
    torch.manual_seed(config.seed)
    model_description = with_vocabulary(describe(config.model), tokenizer)
    model: Seq2Seq = build(model_description, models).to(device)
    pairs, validation = (
        Pairs(
            encode_corpus(split, tokenizer, num_workers=settings.num_workers),
            tokenizer,
            max_length=min(settings.max_length, model.max_length or settings.max_length),
            batch_tokens=settings.batch_tokens,
            subword_alpha=alpha,
            seed=config.seed,
        )
        for split, alpha in ((train_split, settings.subword_alpha), (validation_split, 0.0))
    )
    optimizer = instantiate(config.optimizer)(model.parameters(), lr=schedule.rate(1))

    folder = RunFolder.create(str(config.run), resume=config.resume)
    model_description["parameters"] = model.num_parameters()
    if config.resume:
        check_same(folder, model_description)
    else:
        tokenizer.save(folder.path)
        folder.describe("search", search_description)
        folder.describe("corpus", corpus_description)
        write_text(folder.path / "config.yaml", OmegaConf.to_yaml(config))
        folder.describe("model", model_description)

    sources, references = validation_split["source"][:], validation_split["target"][:]

    def validate(model: Seq2Seq) -> float:
        translator = Translator(model, tokenizer, searcher, batch_tokens=settings.batch_tokens)
        return bleu([translation.text for translation in translator.translate(sources)], references)

    history = History(
        folder.history,
        tensorboard=folder.path / "tensorboard" if settings.tensorboard else None,
        last_step=read_progress(folder.last).step if folder.last.is_file() else 0,
    )
    name = model_description["class"]
    with Interrupt() as interrupt, ProgressBar(folder.name, log=folder.path / "log.txt") as bar:
        bar.say(f"{name}, {model.num_parameters():,} parameters, on {device} ({torch.get_num_threads()} threads)")
        bar.say(
            f"{len(pairs):,} training pairs; left out: {pairs.num_empty:,} with an empty side, "
            f"{pairs.num_long:,} of more than {pairs.max_length} pieces"
        )
        progress = trainer.fit(
            model,
            pairs=pairs,
            validation=list(validation.epoch(0, start=0)),
            validate=validate,
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
