"""The text of a training run and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datasets import Dataset

from nmt.cli.training.corpus import build_corpus
from nmt.cli.training.initial_run import load_initial_tokenizer
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.tokenizer import build_tokenizer
from nmt.cli.training.validation import choose_metrics, load_validation_split
from nmt.data.corpus import Corpus
from nmt.data.tokenizer import MASK, Tokenizer
from nmt.evaluation import Metrics
from nmt.run import RunFolder
from nmt.training.distributed import Processes


@dataclass(frozen=True)
class PreparedText:
    """The text of a run, and what follows from it alone.

    Attributes:
        metrics: of the target language.
        validation_split: None = the run is not validated.
        remarks: on the validation text, each in one line.
    """

    corpus: Corpus
    metrics: Metrics
    train_split: Dataset
    validation_split: Dataset | None
    tokenizer: Tokenizer
    remarks: list[str]


def prepare_text(
    settings: TrainSettings, processes: Processes, sample: Callable[[Dataset], Dataset] | None
) -> PreparedText:
    """Reads the corpus and trains the tokenizer. The main process does the work, and the others receive the result.

    Args:
        sample: see `prepare_run`.

    Raises:
        UserError: a setting or the corpus is wrong.
    """
    corpus = build_corpus(settings)
    metrics = choose_metrics(settings, corpus.target)
    train_split = processes.main_first(lambda: corpus.split(settings.train_split))
    validation_split, remarks = processes.main_first(lambda: load_validation_split(settings, corpus))
    if sample is not None:
        train_split = sample(train_split)
    tokenizer = processes.broadcast(_tokenizer(settings, corpus, train_split) if processes.is_main else None)
    assert tokenizer is not None
    return PreparedText(corpus, metrics, train_split, validation_split, tokenizer, remarks)


def _tokenizer(settings: TrainSettings, corpus: Corpus, split: Dataset) -> Tokenizer:
    """The tokenizer of the run that is resumed, or of the run with which training starts, or a new one."""
    if settings.resume == "true":
        return RunFolder(settings.run).tokenizer()
    if settings.init is not None:
        return load_initial_tokenizer(settings, corpus)
    tags = [*corpus.own_tags] + ([] if settings.objective is None else [MASK])
    tokenizer = build_tokenizer(settings.tokenizer, split, tags=tags, symbols=corpus.main.symbols)
    return tokenizer.with_source_tag(corpus.main_tag)
