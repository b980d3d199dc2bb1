"""The content of evaluation/SPLIT.json: what `nmt evaluate` writes and a report reads, defined once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from nmt.alignment.extraction import Extraction
from nmt.evaluation.captions import CaptionScores
from nmt.evaluation.languages import Unit
from nmt.evaluation.metrics import LengthBucket, Metric
from nmt.evaluation.pronouns import PronounScores
from nmt.run.format import Count, Number, Versioned, read_versioned
from nmt.run.registry import TypedDescription

SUFFIXES = (".source.txt", ".hyp.txt", ".ref.txt", ".attention.gz")
"""Ends of the names of the files beside SPLIT.json; the last one is described in `nmt.evaluation.attention_file`."""

PRONOUN_SPLIT = "pronouns"
"""The split of the built-in corpus whose pairs all have an ambiguous pronoun."""


class MetricScores(msgspec.Struct, omit_defaults=True):
    """The scores of `nmt.evaluation.Metrics.score`; None for one that the target language does not have.

    `comet` is added on request, see `nmt.evaluation.comet`.
    """

    bleu: Metric
    chrf: Metric
    ter: Metric
    bleu_lowercase_tokenized: Metric
    bleu_lowercase_moses: Metric | None = None
    comet: Metric | None = None

    def known(self) -> dict[str, Metric]:
        """The scores that there are, by their keys."""
        return {key: metric for key, metric in msgspec.structs.asdict(self).items() if metric is not None}


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


class AlignmentQuality(msgspec.Struct, kw_only=True):
    """How well the attention of a model aligns the words of a split with gold links: source and reference.

    The attention comes from forcing the references. See `nmt.alignment.quality` for the formulas.

    Attributes:
        error_rate: alignment error rate, 0 to 1.
        precision: fraction of the links that are at least possible, 0 to 1.
        recall: fraction of the sure gold links that are found, 0 to 1.
        entropy: mean entropy of a target word's weights, in nats.
        coverage: mean over source words of the attention that a word gets, counted up to 1.
        monotonicity: fraction of the steps between target words at which the attention does not move back.
        eos_weight: mean weight of the end-of-sentence position.
        extraction: which layer and head was read, and how; all figures refer to these weights.
    """

    error_rate: Number
    precision: Number
    recall: Number
    entropy: Number
    coverage: Number
    monotonicity: Number
    eos_weight: Number
    extraction: Extraction


class Evaluation(Versioned, kw_only=True):
    """A trained model on one split: scores, speed, and a few translations.

    Attributes:
        source: language code of the source, such as "en".
        target: language code of the target.
        sentences: number of sentences in the split.
        step: the training step of the weights.
        bleu_tokenizer: sacreBLEU's name of the tokenizer of every BLEU.
        further_references: of every sentence, beside that of the split; each item is a list with one for each.
        length_unit: in which `bleu_by_length` counts the length of a source sentence.
        seconds: for translating the split.
        threads: of the CPU, as torch counts them.
        precision: number format of the model: fp32, bf16 or int8.
        other_corpus: the name of the corpus that holds the split, see `name_corpus`; None for the run's own.
        truncated: numbers of the lines, from 1, whose translation the search's length limit has cut off.
        alignment: None for a split without gold links, for a model without attention, and if heads were silenced.
        pronouns: how pronouns were translated; None for a split without `Corpus.pronoun_examples`.
        captions: how captions of pictures were written; None for a split without `Corpus.caption_examples`.
        heads_off: names of the attention heads that were silenced, sorted.
        cut_lines: number of source sentences that were too long for the model and were cut off.
        model_hash: identifies weights and tokenizer, see `nmt.run.model_hash`.
        text_hash: identifies source sentences and references.
        links_hash: identifies the gold links; None without.
        checksum: of this record and the files beside it, see `compute_checksum`.
    """

    split: str
    source: str
    target: str
    sentences: Count
    step: Count
    bleu_tokenizer: str
    further_references: list[list[str]] = msgspec.field(default_factory=list)
    metrics: MetricScores
    length_unit: Unit
    bleu_by_length: Annotated[list[LengthBucket], msgspec.Meta(min_length=1)]
    search: TypedDescription
    seconds: Number
    sentences_per_second: Number
    device: str
    threads: Count
    precision: str = "fp32"
    other_corpus: str | None = None
    truncated: list[Count] = msgspec.field(default_factory=list)
    samples: list[SentenceSample]
    alignment: AlignmentQuality | None = None
    pronouns: PronounScores | None = None
    captions: CaptionScores | None = None
    heads_off: list[str] = msgspec.field(default_factory=list)
    cut_lines: Count
    model_hash: str
    text_hash: str
    links_hash: str | None = None
    checksum: str


def list_files(folder: Path, split: str) -> list[Path]:
    """The files beside SPLIT.json: source sentences, translations, references, and attention between words."""
    return [folder / f"{split}{suffix}" for suffix in SUFFIXES]


def compute_checksum(evaluation: Evaluation, contents: Sequence[bytes]) -> str:
    """SHA-256 of an evaluation without its checksum, and of the contents of the files beside it."""
    record = msgspec.json.encode(msgspec.structs.replace(evaluation, checksum=""))
    digests = [hashlib.sha256(content).digest() for content in (record, *contents)]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def read_evaluation(path: Path) -> Evaluation:
    """Reads evaluation/SPLIT.json.

    Raises:
        UserError: the file is missing or damaged, or has another format than this program's.
    """
    return read_versioned(path, Evaluation)


def is_same_system(a: Evaluation, b: Evaluation) -> bool:
    """Whether the same weights were evaluated by the same search and metrics."""
    keys = ("step", "model_hash", "search", "precision", "bleu_tokenizer", "source", "target", "heads_off")
    return all(getattr(a, key) == getattr(b, key) for key in keys)


def find_pronouns(folder: Path, evaluation: Evaluation) -> Evaluation | None:
    """The evaluation of pronouns by the same system: of the same split, or else PRONOUN_SPLIT; None if there is none.

    Args:
        folder: of the evaluations.
        evaluation: of the system on any split.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / f"{PRONOUN_SPLIT}.json"
    if evaluation.pronouns is None and path.is_file() and is_same_system(evaluation, other := read_evaluation(path)):
        evaluation = other
    return None if evaluation.pronouns is None else evaluation
