"""A split as piece ids: tokenized once, memory-mapped, cached by the content of the text and of the tokenizer."""

from __future__ import annotations

import hashlib
import os

import datasets
import numpy as np
from numpy.typing import NDArray

from nmt.data.corpus import quiet
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

WORKER_ROWS = 100_000
"""A further process pays from about this many pairs on; below, starting it takes longer than its share of the work."""


def encode_corpus(dataset: datasets.Dataset, tokenizer: Tokenizer, *, num_workers: int | None) -> datasets.Dataset:
    """The pairs with their ids beside them: the text stays as it is, `source_ids` and `target_ids` (int32) are added.

    Ids are pieces only, without bos and eos.

    Args:
        dataset: the columns "source" and "target", as `Corpus.split` gives them.
        num_workers: processes at most; a small corpus is encoded by fewer. None = one for each core.

    Raises:
        ValueError: num_workers is not positive.
    """
    if num_workers is None:
        num_workers = num_cores()
    if num_workers < 1:
        raise UserError(f"num_workers={num_workers} must be at least 1")
    ids = datasets.Sequence(datasets.Value("int32"))
    features = datasets.Features({**dataset.features, "source_ids": ids, "target_ids": ids})
    workers = min(num_workers, 1 + len(dataset) // WORKER_ROWS)
    # Named by content, so that equal text and an equal tokenizer find each other's work in any process.
    name = f"{dataset._fingerprint} {tokenizer.fingerprint}"
    with quiet():
        return dataset.map(
            _encode,
            fn_kwargs={"tokenizer": tokenizer},
            batched=True,
            features=features,
            num_proc=workers if workers > 1 else None,
            new_fingerprint=hashlib.sha256(name.encode()).hexdigest()[:32],
        )


class Pieces:
    """One side of an encoded split: the ids of any rows, as views of the memory-mapped file.

    Through the library a row costs some twenty times as much, because it makes a Python list of every row's ids.

    Args:
        dataset: with the columns of `encode_corpus`.
        column: "source_ids" or "target_ids".
    """

    def __init__(self, dataset: datasets.Dataset, column: str) -> None:
        # The whole column, of which nothing is read yet.
        chunks = dataset.select_columns([column]).with_format("arrow")[:].column(column).chunks
        self._values: list[NDArray[np.int32]] = [chunk.values.to_numpy() for chunk in chunks]
        self._offsets: list[NDArray[np.int32]] = [chunk.offsets.to_numpy() for chunk in chunks]
        self._ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)

    def __getitem__(self, rows: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """The ids of some rows, in their order."""
        chunks = np.searchsorted(self._ends, rows, side="right")
        places = (rows - self._ends[chunks]).tolist()  # from the chunk's end, so below zero
        found = []
        for chunk, place in zip(chunks.tolist(), places, strict=True):
            offsets = self._offsets[chunk]  # one more than the chunk has rows
            found.append(self._values[chunk][offsets[place - 1] : offsets[place]])
        return found

    def lengths(self) -> NDArray[np.int64]:
        """How many ids each row has: (rows,)."""
        differences = [np.diff(offsets) for offsets in self._offsets]
        return np.concatenate([np.zeros(0, dtype=np.int64), *differences])


def lengths(dataset: datasets.Dataset, column: str) -> NDArray[np.int64]:
    """How many ids each row of `column` has: (rows,)."""
    return Pieces(dataset, column).lengths()


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _encode(batch: dict[str, list[str]], *, tokenizer: Tokenizer) -> dict[str, list[list[int]]]:
    return {
        "source_ids": tokenizer.encode_source(batch["source"]),
        "target_ids": tokenizer.encode_target(batch["target"]),
    }
