"""All that `Trainer.fit` takes, tiny."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch

from nmt import models
from nmt.data.cleaning import Cleaning
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.tokenizer import Tokenizer
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.training.checkpoint import Progress, read_progress
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.progress import ProgressBar
from nmt.training.schedule import Plateau, Schedule
from nmt.training.trainer import Trainer

SETTINGS: dict[str, Any] = {
    "max_steps": None,
    "max_epochs": None,
    "max_minutes": None,
    "accumulate": 1,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "precision": "fp32",
    "log_every": 2,
    "validate_every": 3,
    "save_every": None,
    "save_minutes": None,
    "skip_nonfinite": 0,
    "patience": None,
    "average_checkpoints": 1,
}
MODELS: dict[str, dict[str, Any]] = {
    "BahdanauLSTM": {"embedding_size": 8, "hidden_size": 8, "num_layers": 1, "attention_size": 8},
    "LuongLSTM": {
        "embedding_size": 8,
        "hidden_size": 8,
        "num_layers": 1,
        "input_feeding": True,
        "score": {"class": "GeneralScore", "arguments": {"query_size": 8, "value_size": 8}},
    },
    "Transformer": {
        "model_size": 8,
        "feedforward_size": 16,
        "num_heads": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "pre_norm": True,
        "max_length": 64,
    },
}


def size_of(model: Seq2Seq) -> float:
    """A score that depends on every weight, and on nothing else."""
    return -float(sum(parameter.abs().sum() for parameter in model.parameters()))


class Bench:
    """A run folder and what trains in it; each `fit` is a new process's worth of new objects."""

    def __init__(self, folder: Path, tokenizer: Tokenizer, dataset: datasets.Dataset) -> None:
        self.run = RunFolder(folder)
        self.tokenizer = tokenizer
        self.dataset = dataset
        self.model: Seq2Seq
        self.said = folder / "log.txt"
        self.run.best.parent.mkdir(parents=True)

    def make_model(self, name: str, *, dropout: float, seed: int) -> Seq2Seq:
        torch.manual_seed(seed)
        size = self.tokenizer.source_size
        arguments = MODELS[name] | {
            "source_vocab_size": size,
            "target_vocab_size": size,
            "shared_vocab": True,
            "tie_output": True,
            "dropout": dropout,
        }
        model: Seq2Seq = build({"class": name, "arguments": arguments}, models)
        return model

    def make_pairs(self, *, batch_tokens: int = 128, subword_alpha: float = 0.0) -> BatchLoader:
        return BatchLoader(
            self.dataset,
            self.tokenizer,
            cleaning=Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False),
            max_length=64,
            batch_tokens=batch_tokens,
            subword_alpha=subword_alpha,
            seed=1,
            rank=0,
            num_ranks=1,
            pin_memory=False,
        )

    def fit(
        self,
        *,
        validate: Callable[[Seq2Seq], float] = size_of,
        stop_at: int | None = None,
        name: str = "LuongLSTM",
        model: Seq2Seq | None = None,
        dropout: float = 0.0,
        seed: int = 1,
        schedule: Schedule | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        pairs: BatchLoader | None = None,
        **settings: Any,
    ) -> Progress:
        self.model = model if model is not None else self.make_model(name, dropout=dropout, seed=seed)
        pairs = pairs if pairs is not None else self.make_pairs()
        begun = read_progress(self.run.last) if self.run.last.is_file() else Progress()
        history = History(self.run.history, tensorboard=None, records=begun.records, last_step=begun.step)
        updates = optimizer(self.model.parameters(), lr=1.0)
        steps = [begun.step]
        updates.register_step_post_hook(lambda *_: steps.append(steps[-1] + 1))
        with ProgressBar("tiny", log=self.said) as bar:
            return Trainer(**(SETTINGS | settings)).fit(
                self.model,
                pairs=pairs,
                validation=list(self.make_pairs().epoch(0, start=0))[:2],
                validate=validate,
                optimizer=updates,
                schedule=schedule or Plateau(learning_rate=0.01, warmup_steps=2, factor=0.5, patience=1),
                run=self.run,
                history=history,
                bar=bar,
                stop=lambda: stop_at is not None and steps[-1] >= stop_at,
                processes=Processes(),
                seed=1,
            )

    def records(self, kind: str) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in self.run.history.read_text().splitlines()]
        return [record for record in records if record["kind"] == kind]

    def reason(self) -> str:
        """Why the last fit ended, as a person was told."""
        return [line for line in self.said.read_text().splitlines() if "ended after" in line][-1]


class Scripted:
    """Validation scores that are known beforehand, and what was validated."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = list(scores)
        self.weights: list[dict[str, torch.Tensor]] = []

    def __call__(self, model: Seq2Seq) -> float:
        assert not model.training
        self.weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return self.scores[len(self.weights) - 1]


@pytest.fixture(scope="session")
def tokenizer(corpus_folder: Path) -> Tokenizer:
    english, german = ((corpus_folder / f"train.{name}").read_text().splitlines() for name in ("en", "de"))
    return Tokenizer.train(
        english,
        german,
        vocab_size=40,
        model_type="unigram",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
    )


@pytest.fixture(scope="session")
def encoded(corpus_folder: Path, tokenizer: Tokenizer) -> datasets.Dataset:
    """Forty pairs of the tiny corpus, encoded."""
    english, german = ((corpus_folder / f"train.{name}").read_text().splitlines()[:40] for name in ("en", "de"))
    return encode_corpus(datasets.Dataset.from_dict({"source": english, "target": german}), tokenizer, num_workers=1)


@pytest.fixture
def new_bench(tmp_path: Path, tokenizer: Tokenizer, encoded: datasets.Dataset) -> Callable[[str], Bench]:
    return lambda name: Bench(tmp_path / name, tokenizer, encoded)


@pytest.fixture
def bench(new_bench: Callable[[str], Bench]) -> Bench:
    return new_bench("bench")


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted
