"""How well the attention of a trained system aligns the words of a split with gold links."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from nmt.alignment.extraction import Extraction
from nmt.alignment.quality import LinkCounts, WeightMeter
from nmt.alignment.word_attention import attend_words
from nmt.data.gold_links import read_gold
from nmt.data.words import Splitter
from nmt.evaluation.record import AlignmentQuality
from nmt.translator import Translator

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK_PAIRS = 256
"""Number of pairs whose attention is in memory at a time."""


def measure_alignment(
    translator: Translator, pairs: Dataset, extraction: Extraction, *, split: Splitter, name: str
) -> AlignmentQuality:
    """Aligns each source to its reference, and compares the links with the gold links.

    Args:
        translator: its model has attention.
        pairs: with the columns "source", "target" and "alignment".
        extraction: how links are read.
        split: how words are counted.
        name: of the split, for error messages.
    """
    gold = read_gold(pairs, name)
    lines = list(zip(pairs["source"], pairs["target"], strict=True))
    counts, meter = LinkCounts(), WeightMeter()
    for start in range(0, len(lines), CHUNK_PAIRS):
        chunk = slice(start, start + CHUNK_PAIRS)
        attention = attend_words(translator, lines[chunk], split=split, layer=extraction.layer, warn=ignore)
        for one, links in zip(attention, gold[chunk], strict=True):
            weights = one.select(extraction)  # (I, J + 1)
            counts += LinkCounts.of(extraction.links(weights[:, :-1]), links)
            meter.add(weights[:, :-1], weights[:, -1])
    return AlignmentQuality(
        error_rate=counts.error_rate,
        precision=counts.precision,
        recall=counts.recall,
        **asdict(meter.statistics()),
        extraction=extraction,
    )


def ignore(index: int, message: str) -> None:
    """Ignores that a line is cut off: the evaluation reports it already."""
