"""How a run is validated: on which pairs, with which metrics, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from datasets import Dataset

from nmt.cli.shell.trained_run import load_metrics
from nmt.cli.training.settings import TrainSettings
from nmt.data.corpus import Corpus
from nmt.data.loader import BatchLoader
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.languages import bleu_tokenizer_of, is_mostly_unspaced
from nmt.evaluation.metrics import EXTRAS
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import Description
from nmt.search.protocol import Search
from nmt.training.distributed import Processes
from nmt.training.schedule import Schedule
from nmt.training.validation import AttentionFigures, TranslationScores, ValidationSplit
from nmt.translator import Translator

AUTO = "auto"
"""The value of `bleu_tokenizer` that stands for the one that suits the target language."""

SPACE_TOKENIZERS = ("13a", "intl", "none")
"""Tokenizers that split words at spaces only."""


def check_schedule(schedule: Schedule, settings: TrainSettings) -> None:
    """Raises UserError if the schedule depends on validations and there are none."""
    if settings.validation_split is None and schedule.needs_validation:
        raise UserError(
            "the schedule lowers the learning rate by the validations, which validation_split=null leaves out: choose "
            "another one, such as schedule=cosine"
        )


def load_validation_split(settings: TrainSettings, corpus: Corpus) -> tuple[Dataset | None, list[str]]:
    """The pairs to validate on, and remarks on their choice. Without validation there are none.

    Raises:
        UserError: the corpus has no such split; the message says what can be done without one.
    """
    name = settings.validation_split
    if name is None:
        return None, [
            "no validation: the last weights are kept; trainer.patience and trainer.average_checkpoints have no effect"
        ]
    try:
        split = corpus.split(name)
    except UserError as error:
        if name in corpus.splits():
            raise
        raise UserError(
            f"{error}. Without validation text, hold_out=500 takes pairs out of {settings.train_split}, and "
            f"validation_split=null trains without validation"
        ) from None
    remarks = []
    if settings.hold_out is not None:
        remarks.append(f"{name}: {len(split):,} pairs, held out of {settings.train_split}")
    limit = settings.max_validation_pairs
    if limit is not None and limit < len(split):
        remarks.append(f"{name}: {limit:,} of its {len(split):,} pairs are used, spread evenly over it")
        split = spread_evenly(split, limit)
    return split, remarks


def choose_metrics(settings: TrainSettings, language: str) -> Metrics:
    """The metrics with the tokenizer that is asked for, or with which a resumed run was started.

    Args:
        language: code of the target language.

    Raises:
        UserError: there is no such tokenizer, it cannot be used here, or the resumed run has another one.
    """
    name = settings.bleu_tokenizer
    if settings.resume != "true":
        return Metrics.for_language(language) if name == AUTO else Metrics(language=language, bleu_tokenizer=name)
    stored = load_metrics(RunFolder(settings.run), None)
    if name not in (AUTO, stored.bleu_tokenizer):
        raise UserError(
            f"the run was started with bleu_tokenizer={stored.bleu_tokenizer}, not {name}, and their scores cannot be "
            f"compared: resume it with the same"
        )
    return stored


def describe_metrics(metrics: Metrics) -> Description:
    """The metrics as the run folder stores them."""
    arguments = {"language": metrics.language, "bleu_tokenizer": metrics.bleu_tokenizer}
    return {"class": type(metrics).__name__, "arguments": arguments}


def remark_on_tokenizer(metrics: Metrics, settings: TrainSettings, split: Dataset) -> list[str]:
    """Says whether a better tokenizer could be installed, and whether BLEU takes whole sentences of a split for words.

    Args:
        split: of which the first pairs are looked at.
    """
    if settings.objective is not None:
        return []  # nothing is translated
    tokenizer = metrics.bleu_tokenizer
    best = bleu_tokenizer_of(metrics.language)
    if settings.bleu_tokenizer == AUTO and best in EXTRAS and tokenizer == "char":
        return [f"BLEU counts characters (bleu_tokenizer=char): with pip install '{EXTRAS[best]}' a run counts words"]
    if tokenizer in SPACE_TOKENIZERS and is_mostly_unspaced(split[:1000]["target"]):
        return [
            f"the target text has no spaces between words, so bleu_tokenizer={tokenizer} takes whole sentences for "
            f"words: set bleu_tokenizer=char (zh for Chinese), or data.target to the code of its language"
        ]
    return []


def make_validation_split(
    split: Dataset,
    loader: BatchLoader,
    tokenizer: Tokenizer,
    searcher: Search,
    metrics: Metrics,
    processes: Processes,
    *,
    measure_attention: Callable[[Seq2Seq], AttentionFigures],
    before_batch: Callable[[], None],
) -> ValidationSplit:
    """The validation of a run: the loss on the batches of `loader`, and scores with the search used for testing.

    The processes divide the sentences among them, and each of them receives the scores. `before_batch` is
    called before each batch of them. `measure_attention` is as in ValidationSplit.
    """
    sources, references = split["source"][:], split["target"][:]

    def compute_scores(model: Seq2Seq) -> TranslationScores:
        translator = Translator(model, tokenizer, searcher, batch_tokens=None)
        translator.before_batch = before_batch
        share = translator.translate(sources[processes.rank :: processes.size])
        hypotheses = processes.gather([translation.text for translation in share])
        return TranslationScores(bleu=metrics.bleu(hypotheses, references), chrf=metrics.chrf(hypotheses, references))

    return ValidationSplit(
        batches=list(loader.epoch(0, start=0)),
        compute_scores=compute_scores,
        measure_attention=measure_attention,
        num_pairs=len(references),
    )


def spread_evenly(split: Dataset, limit: int) -> Dataset:
    """At most `limit` pairs of a split, spread evenly over it."""
    if len(split) <= limit:
        return split
    return split.select([number * len(split) // limit for number in range(limit)])
