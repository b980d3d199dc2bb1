"""Files of ours in the cache of the `datasets` library, beside the text from which they were computed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import datasets

from nmt.files import make_folder

MIN_CACHED_PAIRS = 100_000
"""Minimum size of a split, in pairs, for which results are cached; smaller ones are faster to compute again."""


def cache_path(kind: str, *key: object) -> Path:
    """The path for a cached result of one kind ("tokenizer", "cleaning"); creates its folder.

    Args:
        key: everything on which the result depends; equal keys (by `repr`) give the same path.

    Raises:
        UserError: the cache folder cannot be written to.
    """
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "nmt"
    make_folder(folder)
    return folder / f"{kind}-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"


def dataset_fingerprint(dataset: datasets.Dataset) -> str:
    """Identifies the rows of a dataset: equal in every process that reads the same text in the same way."""
    # A private attribute, because the library has no public one. It is the key of the library's own cache, and `map`
    # accepts it as `new_fingerprint`. Hashing the rows ourselves would read the whole corpus at every start.
    return dataset._fingerprint
