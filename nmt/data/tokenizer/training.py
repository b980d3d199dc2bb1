"""The tokenizer of a split: learned from at most so many of its pairs, and where they are many, only once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import datasets
import numpy as np
import sentencepiece

from nmt.data.cache import LARGE, cached
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

ROWS = 10_000
"""Lines that are held as Python strings at a time."""


def learn_tokenizer(dataset: datasets.Dataset, train: partial[Tokenizer], *, max_pairs: int | None) -> Tokenizer:
    """Learns from the columns "source" and "target"; the work on a large split is found again by any later process.

    Args:
        train: `Tokenizer.train` with all of its settings.
        max_pairs: learn from so many pairs, evenly spread over a larger split; None = from all. The time and the
            memory that learning takes grow with them.

    Raises:
        ValueError: max_pairs is not positive, or what `Tokenizer.train` raises.
    """
    if max_pairs is not None and (not isinstance(max_pairs, int) or max_pairs < 1):
        raise UserError(f"tokenizer.max_pairs={max_pairs} must be a whole number above 0, or null for all")
    sides = ("source", "target")
    if len(dataset) < LARGE:
        return train(*(lines(dataset, side, most=max_pairs) for side in sides))
    place = cached(
        "tokenizer", dataset._fingerprint, sorted(train.keywords.items()), max_pairs, sentencepiece.__version__
    )
    if place.is_dir():
        try:
            return Tokenizer.load(place)
        except ValueError:  # another process is writing it, or it is damaged
            pass
    learned = train(*(lines(dataset, side, most=max_pairs) for side in sides))
    place.mkdir(exist_ok=True)
    learned.save(place)
    return learned


def lines(dataset: datasets.Dataset, side: str, *, most: int | None) -> Iterator[str]:
    """The lines of one side, or `most` of them in even distances, a few of them in memory at a time."""
    number = len(dataset) if most is None else min(most, len(dataset))
    chosen = np.arange(number) * len(dataset) // max(1, number)
    start = 0
    for table in dataset.select_columns([side]).with_format("arrow").iter(batch_size=ROWS):
        low, high = np.searchsorted(chosen, (start, start + len(table)))
        yield from table.column(side).take(chosen[low:high] - start).to_pylist()
        start += len(table)
