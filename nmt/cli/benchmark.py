"""`nmt benchmark`: how fast a configuration trains and translates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from nmt import models, search
from nmt.benchmark import plain
from nmt.benchmark.decoding import measure_decoding, never_end
from nmt.benchmark.device import describe as describe_device
from nmt.benchmark.device import matrix_peak
from nmt.benchmark.table import show
from nmt.benchmark.training import Learner, measure_training, own_loss, plain_loss
from nmt.cli.description import describe
from nmt.cli.preparation import ELSEWHERE, learn, pairs_of, with_vocabulary
from nmt.data.batch import Batch
from nmt.data.corpus import Corpus
from nmt.files import write_json
from nmt.models import Seq2Seq
from nmt.models.seq2seq import check_sizes
from nmt.run import build
from nmt.training.pairs import Pairs
from nmt.training.processes import Processes
from nmt.training.progress import waiting
from nmt.training.trainer import Trainer
from nmt.translator import Translator, pick_device

LEARNING_RATE = 1e-4
"""Too low to matter: only the time of a step counts here."""


def run(config: DictConfig) -> None:
    """Measures what `config` (conf/benchmark.yaml) describes."""
    check_sizes(rounds=config.rounds, warmup_steps=config.warmup_steps)
    for key in ("steps", "sentences", "single_sentences"):
        if config[key] < 0:
            raise ValueError(f"{key}={config[key]} must be at least 0")
    if config.sentences and not 1 <= config.single_sentences <= config.sentences:
        raise ValueError(f"single_sentences={config.single_sentences} must be from 1 to sentences={config.sentences}")
    settings = config.trainer
    trainer = Trainer(**{str(key): value for key, value in settings.items() if key not in ELSEWHERE})
    device = pick_device(settings.device)
    corpus: Corpus = instantiate(config.data)
    split, lines = corpus.split(config.train_split), corpus.split(config.validation_split)["source"][: config.sentences]
    with waiting(f"learning {config.tokenizer.vocab_size:,} pieces from {len(split):,} pairs"):
        tokenizer = learn(config.tokenizer, split)
    description = with_vocabulary(describe(config.model), tokenizer)
    torch.manual_seed(config.seed)
    own: Seq2Seq = build(description, models).to(device)

    @cache
    def reference() -> Seq2Seq:  # made when the model's own memory has been measured
        made: Seq2Seq = build(description, plain).to(device)
        return made

    pairs = pairs_of(
        split,
        tokenizer,
        own,
        config,
        Processes(),
        cleaning=instantiate(config.cleaning),
        subword_alpha=settings.subword_alpha,
    )
    autocast = partial(trainer.autocast, device)
    with autocast():
        dtype = torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32
    result: dict[str, Any] = {
        "model": description | {"parameters": own.num_parameters()},
        "device": describe_device(device),
        "precision": str(dtype).removeprefix("torch."),
        "batch_tokens": settings.batch_tokens,
        "search": describe(config.search),
        "rounds": config.rounds,
    }
    if config.steps:
        common: dict[str, Any] = {"autocast": autocast, "clip_norm": settings.clip_norm}
        result["training"] = measure_training(
            lambda: Learner(
                model=own,
                loss=own_loss(settings.label_smoothing),
                optimizer=instantiate(config.optimizer)(own.parameters(), lr=LEARNING_RATE),
                **common,
            ),
            lambda: Learner(
                model=reference(),
                loss=plain_loss(settings.label_smoothing, pad_id=tokenizer.pad_id),
                optimizer=torch.optim.Adam(reference().parameters(), lr=LEARNING_RATE),
                **common,
            ),
            stream(pairs),
            rounds=config.rounds,
            steps=config.steps,
            warmup_steps=config.warmup_steps,
            peak=lambda: matrix_peak(device, dtype),
        )
    if config.sentences:
        lengths = pairs.sampler.target_lengths.sum() / pairs.sampler.source_lengths.sum()
        searcher = searcher_for(describe(config.search), float(lengths))
        for model in (own, reference()):
            never_end(model, tokenizer.eos_id)
        result["decoding"] = measure_decoding(
            Translator(own, tokenizer, searcher, batch_tokens=settings.batch_tokens),
            Translator(reference(), tokenizer, searcher, batch_tokens=settings.batch_tokens),
            lines,
            singles=config.single_sentences,
            rounds=config.rounds,
        )
    result["plain"] = {"parameters": reference().num_parameters()}
    show(result, Console(stderr=True))
    if config.out is None:
        print(json.dumps(result, indent=2))
    else:
        write_json(Path(str(config.out)), result)


def stream(pairs: Pairs) -> Iterator[Batch]:
    """The batches of one epoch after the other, without an end."""
    epoch = 0
    while True:
        yield from pairs.epoch(epoch, start=0)
        epoch += 1


def searcher_for(description: dict[str, Any], target_per_source: float) -> Any:
    """The search, with the corpus's own ratio of lengths as its limit."""
    limits = {"max_length_factor": target_per_source, "max_length_margin": 1}
    return build({**description, "arguments": {**description["arguments"], **limits}}, search)
