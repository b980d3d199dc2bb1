"""Encodes a split as piece ids, once: the result is memory-mapped and cached by the content of text and tokenizer."""

from __future__ import annotations

import hashlib
import os

import datasets
import numpy as np
from numpy.typing import NDArray

from nmt.data.cache import dataset_fingerprint
from nmt.data.corpus import quiet
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

PAIRS_PER_WORKER = 100_000
"""Pairs per additional worker process; for fewer pairs, starting it takes longer than it saves."""


def encode_corpus(dataset: datasets.Dataset, tokenizer: Tokenizer, *, num_workers: int | None) -> datasets.Dataset:
    """Adds the columns `source_ids` and `target_ids` (int32): the piece ids, without bos and eos.

    Spaces at both ends of a text are not encoded, neither here nor in translation, since they say nothing. The text
    columns stay as they are. The result is memory-mapped and cached.

    Args:
        dataset: with the columns "source" and "target", as `Corpus.split` returns it. Without a column "tag", all
            sources get the tokenizer's `source_tag`.
        num_workers: maximum number of processes; a small corpus uses fewer. None = one per core.

    Raises:
        UserError: num_workers is not positive.
    """
    ids = datasets.Sequence(datasets.Value("int32"))
    features = datasets.Features({**dataset.features, "source_ids": ids, "target_ids": ids})
    # The cache key names the content, so any process with the same text and an equal tokenizer reuses the result.
    key = f"{dataset_fingerprint(dataset)} {tokenizer.fingerprint}"
    with quiet():
        return dataset.map(
            _encode_batch,
            fn_kwargs={"tokenizer": tokenizer},
            batched=True,
            features=features,
            num_proc=count_workers(dataset, num_workers),
            new_fingerprint=hashlib.sha256(key.encode()).hexdigest()[:32],
        )


def count_workers(dataset: datasets.Dataset, num_workers: int | None) -> int | None:
    """How many processes to start for a dataset, at most `num_workers` (None = one per core); None for no extra one.

    Raises:
        UserError: num_workers is not positive.
    """
    if num_workers is None:
        num_workers = num_cores()
    if num_workers < 1:
        raise UserError(f"num_workers={num_workers} must be at least 1")
    workers = min(num_workers, 1 + len(dataset) // PAIRS_PER_WORKER)
    return workers if workers > 1 else None


class IdColumn:
    """The piece ids of one side of an encoded split, or another column of int32 lists, as views of the mapped file.

    The library's own indexing takes about twenty times as long, because it makes a Python list of each row's ids.

    Args:
        dataset: with the columns of `encode_corpus`.
        column: "source_ids", "target_ids" or the other column.
    """

    def __init__(self, dataset: datasets.Dataset, column: str) -> None:
        # Arrow stores a column in chunks; each chunk has all ids end to end and the offsets of the rows in them.
        # This only maps the file; the ids are read from the disk when they are used.
        chunks = dataset.select_columns([column]).with_format("arrow")[:].column(column).chunks
        self._values: list[NDArray[np.int32]] = [chunk.values.to_numpy() for chunk in chunks]
        self._offsets: list[NDArray[np.int32]] = [chunk.offsets.to_numpy() for chunk in chunks]  # (chunk's rows + 1,)
        self._ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)  # (chunks,) the row after each chunk

    def __getitem__(self, indices: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """The ids of the rows at `indices` (N,), in the same order."""
        chunks = np.searchsorted(self._ends, indices, side="right")  # (N,) which chunk holds each row
        rows = indices - self._ends[chunks]  # (N,) counted from the end of the chunk, so negative
        selected = []
        for chunk, row in zip(chunks.tolist(), rows.tolist(), strict=True):
            offsets = self._offsets[chunk]  # there is one more offset than rows, hence row - 1
            selected.append(self._values[chunk][offsets[row - 1] : offsets[row]])
        return selected

    def lengths(self) -> NDArray[np.int64]:
        """The number of ids of every row: (rows,)."""
        lengths = [np.diff(offsets) for offsets in self._offsets]
        return np.concatenate([np.zeros(0, dtype=np.int64), *lengths])  # int64 also when there is no chunk


def num_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _encode_batch(batch: dict[str, list[str]], *, tokenizer: Tokenizer) -> dict[str, list[list[int]]]:
    return {
        "source_ids": tokenizer.encode_source([text.strip(" ") for text in batch["source"]], tags=batch.get("tag")),
        "target_ids": tokenizer.encode_target([text.strip(" ") for text in batch["target"]]),
    }
