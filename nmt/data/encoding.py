"""A split as piece ids: tokenized once, memory-mapped, cached by the content of the text and of the tokenizer."""

from __future__ import annotations

import hashlib

import datasets
import numpy as np
import pyarrow.compute  # type: ignore[import-untyped]

from nmt.data.corpus import quiet
from nmt.data.tokenizer import Tokenizer

WORKER_ROWS = 100_000
"""A further process pays from about this many pairs on; below, starting it takes longer than its share of the work."""


def encode_corpus(dataset: datasets.Dataset, tokenizer: Tokenizer, *, num_workers: int) -> datasets.Dataset:
    """The pairs with their ids beside them: the text stays as it is, `source_ids` and `target_ids` (int32) are added.

    Ids are pieces only, without bos and eos.

    Args:
        dataset: the columns "source" and "target", as `Corpus.split` gives them.
        num_workers: processes at most; a small corpus is encoded by fewer.

    Raises:
        ValueError: num_workers is not positive.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers={num_workers} must be at least 1")
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


def lengths(dataset: datasets.Dataset, column: str) -> np.ndarray:
    """How many ids each row of `column` has: (rows,) int64, without a Python loop over the rows."""
    rows = dataset.select_columns([column]).with_format("arrow")[:][column]
    return np.asarray(pyarrow.compute.list_value_length(rows)).astype(np.int64)


def _encode(batch: dict[str, list[str]], *, tokenizer: Tokenizer) -> dict[str, list[list[int]]]:
    return {
        "source_ids": tokenizer.encode_source(batch["source"]),
        "target_ids": tokenizer.encode_target(batch["target"]),
    }
