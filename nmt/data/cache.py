"""What is learned from a split is kept in the cache of the `datasets` library, beside the text that it comes from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import datasets

LARGE = 100_000
"""A split with fewer pairs is looked at faster than a cache is worth."""


def cached(kind: str, *parts: object) -> Path:
    """Where the result of work of a kind lies, named by all that it depends on; the folder above it is made."""
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "nmt"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{kind}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"
