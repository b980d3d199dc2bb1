"""The table of all sentences of a split: what each system made of them, and the attention behind it."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from nmt.evaluation import Metrics
from nmt.evaluation.languages import Unit, sentence_length
from nmt.report.differences import Segment, mark_differences
from nmt.report.record import ComparedSentence, Comparison, SystemTranslation
from nmt.report.runs import ComparedSystem

MAX_ATTENTION_CHARACTERS = 3_000_000
"""Maximum size of the attention weights in a page; a page should stay below 5 MB."""


@dataclass(frozen=True)
class SentenceRow:
    """A row of the table.

    Attributes:
        sentence: source, reference and translations.
        spread: the difference between the highest and the lowest chrF.
        segments: of each translation, marked where it differs from the reference.
    """

    sentence: ComparedSentence
    spread: float
    segments: list[list[Segment]]


def compare_sentences(runs: Sequence[ComparedSystem], *, unit: Unit, metrics: Metrics) -> list[ComparedSentence]:
    """Every sentence of the split with the translations of all runs."""
    chrf = [metrics.sentence_chrf(run.hypotheses, *run.all_references) for run in runs]
    return [
        ComparedSentence(
            index=index,
            length=sentence_length(source, unit),
            source=source,
            reference=reference,
            translations=[
                SystemTranslation(system=run.name, text=run.hypotheses[index], chrf=scores[index])
                for run, scores in zip(runs, chrf, strict=True)
            ],
        )
        for index, (source, reference) in enumerate(zip(runs[0].sources, runs[0].references, strict=True))
    ]


def layout_sentences(comparison: Comparison) -> list[SentenceRow]:
    """The rows of the table, in the order of the split."""
    rows = []
    for sentence in comparison.translations:
        scores = [translation.chrf for translation in sentence.translations]
        segments = [mark_differences(each.text, sentence.reference) for each in sentence.translations]
        rows.append(SentenceRow(sentence, max(scores) - min(scores), segments))
    return rows


def pack_attention(runs: Sequence[ComparedSystem]) -> str:
    """The attention of all sentences for the script of the page: base64 of compressed JSON (zlib, RFC 1950).

    The JSON value is a list with one item per sentence: a list with the attention of each run, or null. If all of them
    would be larger than MAX_ATTENTION_CHARACTERS, the last sentences are left out.
    """
    sentences = list(zip(*(run.attention for run in runs), strict=True))
    while True:
        packed = base64.b64encode(zlib.compress(msgspec.json.encode(sentences), 9)).decode("ascii")
        if len(packed) <= MAX_ATTENTION_CHARACTERS:
            return packed
        del sentences[len(sentences) // 2 :]
