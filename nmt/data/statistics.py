"""What a split is like: how long its lines are, how many pieces are unknown, and what it shares with another split."""

from __future__ import annotations

from dataclasses import dataclass

import datasets
import numpy as np
from numpy.typing import NDArray

from nmt.data.encoding import lengths

ROWS = 10_000
"""Rows that are looked at together."""


@dataclass(frozen=True)
class SideStatistics:
    """One side of an encoded split.

    Attributes:
        lines: all of them.
        words, characters: in all lines; words are what white space separates.
        pieces: in all lines, without `eos`.
        unknown: of these, `unk`.
        mean, median, percentile_95, percentile_99, longest: of the pieces of a line.
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
        """Counts one side, "source" or "target", of a split that `encode_corpus` gave; it has at least one row."""
        words = characters = unknown = 0
        columns = dataset.select_columns([side, f"{side}_ids"])
        for rows in columns.with_format("arrow").iter(ROWS):
            texts = rows[side].to_pylist()
            characters += sum(map(len, texts))
            words += sum(len(text.split()) for text in texts)
            unknown += int(np.count_nonzero(rows[f"{side}_ids"].combine_chunks().flatten().to_numpy() == unk_id))
        pieces: NDArray[np.int64] = lengths(dataset, f"{side}_ids")
        return cls(
            lines=len(dataset),
            words=words,
            characters=characters,
            pieces=int(pieces.sum()),
            unknown=unknown,
            mean=float(pieces.mean()),
            median=_percentile(pieces, 50),
            percentile_95=_percentile(pieces, 95),
            percentile_99=_percentile(pieces, 99),
            longest=int(pieces.max()),
        )


def leaked(train: datasets.Dataset, other: datasets.Dataset) -> tuple[int, int]:
    """How many pairs of `other` are in `train` as well, and of how many at least the source line is.

    Only the smaller split is held in memory.
    """
    pairs = list(zip(other["source"][:], other["target"][:], strict=True))
    wanted_pairs, wanted_sources = set(pairs), {source for source, _ in pairs}
    found_pairs, found_sources = set(), set()
    for rows in train.select_columns(["source", "target"]).with_format("arrow").iter(ROWS):
        sources = rows["source"].to_pylist()
        if wanted_sources.isdisjoint(sources):
            continue
        both = zip(sources, rows["target"].to_pylist(), strict=True)
        found_pairs |= wanted_pairs.intersection(both)
        found_sources |= wanted_sources.intersection(sources)
    return sum(pair in found_pairs for pair in pairs), sum(source in found_sources for source, _ in pairs)


def _percentile(values: NDArray[np.int64], share: int) -> int:
    """A value that so many per cent of all do not exceed: one that occurs, not a mean of two."""
    return int(np.percentile(values, share, method="inverted_cdf"))
