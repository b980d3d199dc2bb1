"""How well the attention of a trained system aligns the words of a split with gold links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING

from nmt.alignment.extraction import Extraction
from nmt.alignment.quality import LinkCounts, WeightMeter, WeightStatistics
from nmt.alignment.word_attention import attend_words
from nmt.data.gold_links import read_gold
from nmt.data.pharaoh import GoldLinks
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
        name: the name of the split, for error messages.
    """
    lines = list(zip(pairs["source"], pairs["target"], strict=True))
    counts, statistics = measure_attention(translator, lines, read_gold(pairs, name), extraction, split=split)
    return AlignmentQuality(
        error_rate=counts.error_rate,
        precision=counts.precision,
        recall=counts.recall,
        **asdict(statistics),
        extraction=extraction,
    )


def measure_attention(
    translator: Translator,
    lines: Sequence[tuple[str, str]],
    gold: Sequence[GoldLinks],
    extraction: Extraction,
    *,
    split: Splitter,
) -> tuple[LinkCounts, WeightStatistics]:
    """Reads links from the attention to given references; returns their counts and the properties of the weights.

    Args:
        translator: its model has attention.
        lines: sources and references.
        gold: the gold links of each pair; if empty, all counts are zero.
        extraction: how links are read.
        split: how words are counted.
    """
    counts, meter = LinkCounts(), WeightMeter()
    for start in range(0, len(lines), CHUNK_PAIRS):
        chunk = slice(start, start + CHUNK_PAIRS)
        attention = attend_words(translator, lines[chunk], split=split, layer=extraction.layer, warn=None)
        for one, links in zip_longest(attention, gold[chunk]):
            weights = one.select(extraction)  # (I, J + 1)
            meter.add(weights[:, :-1], weights[:, -1])
            if links is not None:
                counts += LinkCounts.of(extraction.links(weights[:, :-1]), links)
    return counts, meter.statistics()
