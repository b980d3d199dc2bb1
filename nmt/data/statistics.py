"""Statistics of a split: line lengths, unknown pieces, and overlap with another split."""

from __future__ import annotations

from dataclasses import dataclass

import datasets
import numpy as np
from numpy.typing import NDArray

from nmt.data.encoding import IdColumn

CHUNK_ROWS = 10_000
"""Number of rows that are held as Python strings at a time."""


@dataclass(frozen=True)
class SideStatistics:
    """Statistics of one side of an encoded split.

    Attributes:
        lines: number of lines.
        words, characters: totals over all lines; words are separated by white space.
        pieces: total over all lines, without `eos`.
        unknown: number of pieces that are `unk`.
        mean, median, percentile_95, percentile_99, longest: of the number of pieces per line.
    """

    lines: int
    words: int
    characters: int
    pieces: int
    unknown: int
    mean: float
    median: int
    percentile_95: int
    percentile_99: int
    longest: int

    @classmethod
    def of(cls, dataset: datasets.Dataset, side: str, *, unk_id: int) -> SideStatistics:
        """Computes the statistics of one side, "source" or "target", of a non-empty split from `encode_corpus`."""
        words = characters = unknown = 0
        columns = dataset.select_columns([side, f"{side}_ids"])
        for table in columns.with_format("arrow").iter(CHUNK_ROWS):
            texts = table[side].to_pylist()
            characters += sum(map(len, texts))
            words += sum(len(text.split()) for text in texts)
            ids = table[f"{side}_ids"].combine_chunks().flatten().to_numpy()  # (pieces of these rows,)
            unknown += int(np.count_nonzero(ids == unk_id))
        lengths = IdColumn(dataset, f"{side}_ids").lengths()  # (lines,)
        return cls(
            lines=len(dataset),
            words=words,
            characters=characters,
            pieces=int(lengths.sum()),
            unknown=unknown,
            mean=float(lengths.mean()),
            median=_percentile(lengths, 50),
            percentile_95=_percentile(lengths, 95),
            percentile_99=_percentile(lengths, 99),
            longest=int(lengths.max()),
        )


def count_leaks(train: datasets.Dataset, other: datasets.Dataset) -> tuple[int, int]:
    """Counts the rows of `other` whose pair occurs in `train` too, and those of which at least the source line does.

    Only `other`, which should be the smaller split, is held in memory.
    """
    other_pairs = list(zip(other["source"][:], other["target"][:], strict=True))
    other_sources = {source for source, _ in other_pairs}
    unique_pairs = set(other_pairs)
    leaked_pairs: set[tuple[str, str]] = set()
    leaked_sources: set[str] = set()
    for table in train.select_columns(["source", "target"]).with_format("arrow").iter(CHUNK_ROWS):
        sources = table["source"].to_pylist()
        if other_sources.isdisjoint(sources):
            continue  # most tables: converting their targets would take as long again
        pairs = zip(sources, table["target"].to_pylist(), strict=True)
        leaked_pairs |= unique_pairs.intersection(pairs)
        leaked_sources |= other_sources.intersection(sources)
    num_leaked_pairs = sum(pair in leaked_pairs for pair in other_pairs)
    num_leaked_sources = sum(source in leaked_sources for source, _ in other_pairs)
    return num_leaked_pairs, num_leaked_sources


def _percentile(values: NDArray[np.int64], percent: int) -> int:
    """The percentile as a value that occurs, not as a mean of two."""
    return int(np.percentile(values, percent, method="inverted_cdf"))
