"""Trains the tokenizer of a split, on a sample of its pairs; the tokenizer of a large split is cached."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import datasets
import numpy as np
import sentencepiece

from nmt.data.cache import MIN_CACHED_PAIRS, cache_path, dataset_fingerprint
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

MAX_WEIGHTED_LINES = 2**31 - 1
"""Maximum number of lines of a dataset with weights, if there is no other limit."""

VERSION = 2
"""The version of how a tokenizer is trained; it is part of the cache key, so increase it with every change."""

CHUNK_LINES = 10_000
"""Number of lines that are held as Python strings at a time."""


def train_tokenizer(
    dataset: datasets.Dataset, *, max_pairs: int | None, exact_size: bool, **settings: Any
) -> Tokenizer:
    """Trains a tokenizer on the columns "source" and "target".

    Args:
        max_pairs: maximum number of pairs to train on, evenly spaced in a larger split; None = all. Time and memory of
            training grow with it.
        exact_size: refuse a vocabulary of fewer than `vocab_size` pieces, which is all that a small text allows.
        settings: the keyword arguments of `Tokenizer.train`, such as `vocab_size`.

    Raises:
        UserError: max_pairs is not positive, `Tokenizer.train` refuses its settings or the text, or the vocabulary has
            not the exact size.
    """
    tokenizer = _load_or_train(dataset, max_pairs=max_pairs, **settings)
    for side, size in (("source", tokenizer.source_size), ("target", tokenizer.target_size)):
        if exact_size and size < settings["vocab_size"]:
            text_name = "this corpus" if tokenizer.shared else f"the {side} side of this corpus"
            raise UserError(
                f"tokenizer.vocab_size={settings['vocab_size']} is more than {text_name} allows: at most {size}; lower "
                f"it, or set tokenizer.exact_size=false to use what there is"
            )
    return tokenizer


def _load_or_train(dataset: datasets.Dataset, *, max_pairs: int | None, **settings: Any) -> Tokenizer:
    """The tokenizer of a split, from the cache if the split is large; see `train_tokenizer`."""
    if max_pairs is not None and (not isinstance(max_pairs, int) or max_pairs < 1):
        raise UserError(f"tokenizer.max_pairs={max_pairs} must be a whole number above 0, or null for all")
    sides = ("source", "target")

    def train() -> Tokenizer:
        return Tokenizer.train(*(sample_lines(dataset, side, max_lines=max_pairs) for side in sides), **settings)

    if len(dataset) < MIN_CACHED_PAIRS:
        return train()
    sorted_settings = sorted(settings.items())
    versions = (VERSION, sentencepiece.__version__)
    path = cache_path("tokenizer", dataset_fingerprint(dataset), sorted_settings, max_pairs, versions)
    if path.is_dir():
        with suppress(UserError):  # damaged, or another process is still writing it
            return Tokenizer.load(path)
    tokenizer = train()
    path.mkdir(exist_ok=True)
    tokenizer.save(path)
    return tokenizer


def sample_lines(dataset: datasets.Dataset, side: str, *, max_lines: int | None) -> Iterator[str]:
    """Yields the lines of one side, or `max_lines` of them, evenly spaced.

    If the dataset has the column "weight", each line occurs that many times, on average.
    """
    if "weight" in dataset.column_names:
        ends = np.cumsum(dataset.select_columns(["weight"]).with_format("numpy")[:]["weight"])  # (pairs,)
        num_lines = min(max_lines or MAX_WEIGHTED_LINES, math.ceil(ends[-1]))
        indices = np.searchsorted(ends, np.arange(num_lines) * (ends[-1] / num_lines), side="right")  # (lines,)
    else:
        num_lines = len(dataset) if max_lines is None else min(max_lines, len(dataset))
        indices = np.arange(num_lines) * len(dataset) // max(1, num_lines)  # (lines,) ascending
    start = 0
    for table in dataset.select_columns([side]).with_format("arrow").iter(batch_size=CHUNK_LINES):
        low, high = np.searchsorted(indices, (start, start + len(table)))  # the indices in this table
        yield from table.column(side).take(indices[low:high] - start).to_pylist()
        start += len(table)
