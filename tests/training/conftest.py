"""A tiny training run whose parts each test can change."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
import torch

from nmt import models
from nmt.data.batch import Batch, make_batch
from nmt.data.cleaning import Cleaning
from nmt.data.loader import BatchLoader
from nmt.data.tokenizer import Tokenizer
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.threads import keep_threads
from nmt.training.checkpoint import Progress, read_progress
from nmt.training.distributed import Processes
from nmt.training.history import History
from nmt.training.parts import TrainingParts
from nmt.training.progress import ProgressBar
from nmt.training.schedule import Plateau, Schedule
from nmt.training.settings import TrainerSettings
from nmt.training.trainer import Trainer
from nmt.training.validation import AttentionFigures, TranslationScores, ValidationSplit

SETTINGS: dict[str, Any] = {
    "max_steps": None,
    "max_epochs": None,
    "max_minutes": None,
    "accumulate": 1,
    "clip_norm": 1.0,
    "label_smoothing": 0.1,
    "consistency": 0.0,
    "simcut": 0.0,
    "simcut_cutoff": 0.05,
    "ema_decay": 0.0,
    "alignment_weight": 0.0,
    "alignment_layer": None,
    "alignment_head": 0,
    "alignment_complete": False,
    "precision": "fp32",
    "log_every": 2,
    "validate_every": 3,
    "save_every": None,
    "save_minutes": None,
    "skip_nonfinite": 0,
    "patience": None,
    "select": "bleu",
    "average_checkpoints": 1,
}
MODELS: dict[str, dict[str, Any]] = {
    "BahdanauRNN": {
        "embedding_size": 8,
        "hidden_size": 8,
        "num_layers": 1,
        "variational_dropout": False,
        "recurrent_dropout": 0.0,
        "encoder_dropout": 0.0,
        "score": {"class": "AdditiveScore", "arguments": {"query_size": 8, "value_size": 8, "attention_size": 8}},
        "cell": {"class": "LSTMCell"},
        "span": {"class": "GlobalSpan"},
    },
    "LuongRNN": {
        "embedding_size": 8,
        "hidden_size": 8,
        "num_layers": 1,
        "variational_dropout": False,
        "recurrent_dropout": 0.0,
        "encoder_dropout": 0.0,
        "input_feeding": True,
        "score": {"class": "GeneralScore", "arguments": {"query_size": 8, "value_size": 8}},
        "cell": {"class": "LSTMCell"},
        "span": {"class": "GlobalSpan"},
    },
    "Transformer": {
        "model_size": 8,
        "feedforward_size": 16,
        "num_heads": 2,
        "num_key_value_heads": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "activation_dropout": 0.0,
        "attention_dropout": 0.0,
        "layer_dropout": 0.0,
        "pre_norm": True,
        "encoder_attention": None,
        "positions": {"class": "SinusoidalPositions", "arguments": {"model_size": 8, "max_length": 64}},
    },
}


def score_of_weights(model: Seq2Seq) -> float:
    """A validation score above 1 that depends on every weight, and on nothing else."""
    return 1e6 - float(sum(parameter.detach().abs().sum() for parameter in model.parameters()))


class Bench:
    """A run folder and tiny parts to train in it. Each `fit` builds all objects anew, as a new process does.

    Attributes:
        model: the model of the last `fit`.
        log: the file with the lines of all `fit`s.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, dataset: datasets.Dataset) -> None:
        self.run = RunFolder(folder)
        self.tokenizer = tokenizer
        self.dataset = dataset
        self.model: Seq2Seq
        self.log = folder / "log.txt"
        self.run.best.parent.mkdir(parents=True)

    def make_model(self, name: str, *, dropout: float, seed: int, **changes: Any) -> Seq2Seq:
        torch.manual_seed(seed)
        size = self.tokenizer.source_size
        arguments = (
            MODELS[name]
            | changes
            | {
                "source_vocab_size": size,
                "target_vocab_size": size,
                "shared_vocab": True,
                "tie_output": True,
                "dropout": dropout,
                "embedding_dropout": dropout,
                "word_dropout": 0.0,
            }
        )
        model: Seq2Seq = build({"class": name, "arguments": arguments}, models)
        return model

    def make_loader(self, *, batch_tokens: int = 128, subword_alpha: float = 0.0) -> BatchLoader:
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

    def make_batch(self, *pairs: tuple[str, str]) -> Batch:
        """A batch of these sentence pairs, which are lines 0, 1, … of their split."""
        sources, targets = zip(*pairs, strict=True)
        return make_batch(
            self.tokenizer.encode_source(sources),
            self.tokenizer.encode_target(targets),
            pad_id=self.tokenizer.pad_id,
            bos_id=self.tokenizer.bos_id,
            eos_id=self.tokenizer.eos_id,
            indices=range(len(pairs)),
        )

    def fixed_loader(self, *batches: Batch) -> BatchLoader:
        """Stands in for a loader: the same batches in every epoch."""
        sampler = SimpleNamespace(epoch=lambda epoch: batches, order="fixed")
        loader: Any = SimpleNamespace(
            tokenizer=self.tokenizer, sampler=sampler, epoch=lambda epoch, start: iter(batches[start:])
        )
        return loader

    def make_validation_split(self, validate: Callable[[Seq2Seq], float]) -> ValidationSplit:
        """Two batches for the loss; `validate` returns the BLEU, and chrF is 100 minus that."""

        def compute_scores(model: Seq2Seq) -> TranslationScores:
            bleu = validate(model)
            return TranslationScores(bleu=bleu, chrf=100 - bleu)

        batches = list(self.make_loader().epoch(0, start=0))[:2]
        return ValidationSplit(
            batches=batches,
            compute_scores=compute_scores,
            measure_attention=lambda model: AttentionFigures(),
            num_pairs=16,
        )

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights of the model of the last `fit`."""
        return {name: tensor.detach().clone() for name, tensor in self.model.named_parameters()}

    def fit(
        self,
        *,
        validate: Callable[[Seq2Seq], float] | None = score_of_weights,
        stop_at: int | None = None,
        name: str = "LuongRNN",
        model: Seq2Seq | None = None,
        dropout: float = 0.0,
        seed: int = 1,
        schedule: Schedule | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
        loader: BatchLoader | None = None,
        **settings: Any,
    ) -> Progress:
        """Trains `model`, or a new one of class `name`, until a limit or the interrupt at step `stop_at`.

        Without `validate`, the run is not validated.
        """
        self.model = model if model is not None else self.make_model(name, dropout=dropout, seed=seed)
        updates = optimizer(self.model.parameters(), lr=1.0)
        steps = [read_progress(self.run.last).step if self.run.last.is_file() else 0]
        updates.register_step_post_hook(lambda *_: steps.append(steps[-1] + 1))
        with ProgressBar("tiny", log=self.log) as bar:
            parts = TrainingParts(
                model=self.model,
                optimizer=updates,
                schedule=schedule or Plateau(learning_rate=0.01, warmup_steps=2, factor=0.5, patience=1),
                train_loader=loader if loader is not None else self.make_loader(),
                validation_split=None if validate is None else self.make_validation_split(validate),
                run_folder=self.run,
                history=History(self.run.history, tracking=None),
                bar=bar,
                stop_requested=lambda: stop_at is not None and steps[-1] >= stop_at,
                adapt_threads=keep_threads,
                processes=Processes(),
                seed=1,
            )
            trainer = Trainer(TrainerSettings(**(SETTINGS | settings)), parts)
            trainer.resume()
            return trainer.fit()

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The records of the history: all, or those of one kind."""
        records = [json.loads(line) for line in self.run.history.read_text().splitlines()]
        return [record for record in records if kind is None or record["kind"] == kind]

    def reason(self) -> str:
        """The line that says why the last `fit` ended."""
        return [line for line in self.log.read_text().splitlines() if "ended after" in line][-1]


class Scripted:
    """Returns given validation scores, and keeps the weights that were validated."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = list(scores)
        self.weights: list[dict[str, torch.Tensor]] = []

    def __call__(self, model: Seq2Seq) -> float:
        assert not model.training
        self.weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return self.scores[len(self.weights) - 1]


@pytest.fixture
def new_bench(tmp_path: Path, tokenizer: Tokenizer, encoded: datasets.Dataset) -> Callable[[str], Bench]:
    return lambda name: Bench(tmp_path / name, tokenizer, encoded)


@pytest.fixture
def bench(new_bench: Callable[[str], Bench]) -> Bench:
    return new_bench("bench")


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted
