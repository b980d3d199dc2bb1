"""A digest of the text of a split, which tells whether two corpora hold the same text, wherever and however stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

PAIRS_PER_BLOCK = 10_000
"""Number of pairs that are read at a time."""


def text_digest(split: Dataset, columns: Sequence[str] = ("source", "target")) -> str:
    """The SHA-256 of all pairs of a split, in order, and of their tags and weights, if any.

    A text contains no line end, so line ends separate the texts.
    """
    columns = [*columns, *(column for column in ("tag", "weight") if column in split.column_names)]
    digest = hashlib.sha256()
    for block in split.select_columns(list(columns)).iter(PAIRS_PER_BLOCK):
        for texts in zip(*(block[column] for column in columns), strict=True):
            digest.update("".join(f"{text}\n" for text in texts).encode("utf-8", errors="surrogatepass"))
    return digest.hexdigest()
