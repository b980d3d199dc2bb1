"""The content of evaluation/SPLIT.json: what `nmt evaluate` writes and a report reads, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from nmt.evaluation.languages import Unit
from nmt.evaluation.metrics import LengthBucket, Metric
from nmt.run.format import Count, Number, Versioned, read_versioned
from nmt.run.registry import TypedDescription


class MetricScores(msgspec.Struct):
    """The scores of `nmt.evaluation.Metrics.score`."""

    bleu: Metric
    chrf: Metric
    ter: Metric
    bleu_lowercase_tokenized: Metric


class SentenceSample(msgspec.Struct, kw_only=True):
    """One translated sentence.

    Attributes:
        index: of the sentence in its split, from 0.
        score: by which the search ranked the translation.
        source_tokens: (S,) pieces of the source, with the end-of-sentence piece.
        target_tokens: (T,) pieces of the translation, likewise.
        attention: (T, S) the alignment matrix; None for a model without attention.
    """

    index: Count
    source: str
    reference: str
    hypothesis: str
    score: Number
    source_tokens: list[str]
    target_tokens: list[str]
    attention: list[list[Number]] | None


class Evaluation(Versioned, kw_only=True):
    """A trained model on one split: scores, speed, and a few translations.

    Attributes:
        source: language code of the source, such as "en".
        target: language code of the target.
        sentences: number of sentences in the split.
        step: the training step of the weights.
        bleu_tokenizer: sacreBLEU's name of the tokenizer of every BLEU.
        length_unit: in which `bleu_by_length` counts the length of a source sentence.
        seconds: for translating the split.
        threads: of the CPU, as torch counts them.
    """

    split: str
    source: str
    target: str
    sentences: Count
    step: Count
    bleu_tokenizer: str
    metrics: MetricScores
    length_unit: Unit
    bleu_by_length: Annotated[list[LengthBucket], msgspec.Meta(min_length=1)]
    search: TypedDescription
    seconds: Number
    sentences_per_second: Number
    device: str
    threads: Count
    samples: list[SentenceSample]


def read_evaluation(path: Path) -> Evaluation:
    """Reads evaluation/SPLIT.json.

    Raises:
        UserError: the file is missing or damaged, or has another format than this program's.
    """
    return read_versioned(path, Evaluation)
