"""What cleaning needs to know about each pair of a split: lengths, control characters, and a digest of its text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pyarrow.compute  # type: ignore[import-untyped]
from numpy.typing import NDArray

if TYPE_CHECKING:
    from datasets import Dataset

CHUNK_PAIRS = 50_000
"""Number of pairs whose texts are in memory at a time."""

DIGEST_BYTES = 16
"""Size of a pair's digest. Among 10 million different pairs, two have equal 128-bit digests with a probability of
10^14 / 2^129 ≈ 10^-25, so equal digests are taken as equal texts."""

CONTROL_CHARACTERS = "[\\x00-\\x08\\x0a-\\x1f\\x7f\u0080-\u009f\ufeff\ufffe]"
"""Regular expression for control characters, except the tab, and byte-order marks."""


@dataclass(frozen=True, kw_only=True)
class PairMeasurements:
    """The measurements of all pairs of a split.

    Attributes:
        source_lengths, target_lengths: (pairs,) int32, number of pieces without `eos`.
        has_tag: (pairs,) whether the source begins with a tag, which is one of its pieces.
        has_control: (pairs,) whether a side contains control characters or byte-order marks.
        digests: (pairs,) of `DIGEST_BYTES` bytes each, equal for equal texts and tags; (0,) if not requested.
    """

    source_lengths: NDArray[np.int32]
    target_lengths: NDArray[np.int32]
    has_tag: NDArray[np.bool_]
    has_control: NDArray[np.bool_]
    digests: NDArray[np.void]


def measure_pairs(dataset: Dataset, *, tag_ids: Collection[int], with_digests: bool) -> PairMeasurements:
    """Measures all pairs of an encoded split in one pass over the file; `tag_ids` are the ids of all tags."""
    source_lengths, target_lengths = (np.zeros(len(dataset), dtype=np.int32) for _ in range(2))
    has_tag, has_control = (np.zeros(len(dataset), dtype=bool) for _ in range(2))
    digests = np.zeros(len(dataset) if with_digests else 0, dtype=f"V{DIGEST_BYTES}")
    start = 0
    for table in dataset.with_format("arrow").iter(batch_size=CHUNK_PAIRS):
        rows = slice(start, start + len(table))
        source_lengths[rows] = _list_lengths(table, "source_ids")
        target_lengths[rows] = _list_lengths(table, "target_ids")
        has_tag[rows] = _has_tag(table, tag_ids)
        has_control[rows] = _has_control(table, "source") | _has_control(table, "target")
        if with_digests:
            digests[rows] = digest_pairs(table)
        start += len(table)
    return PairMeasurements(
        source_lengths=source_lengths,
        target_lengths=target_lengths,
        has_tag=has_tag,
        has_control=has_control,
        digests=digests,
    )


def digest_pairs(table: pyarrow.Table) -> NDArray[np.void]:
    """A 128-bit BLAKE2b digest of each row's tag, if any, and both texts: (rows,)."""
    sources, targets = (table.column(side).cast(pyarrow.binary()).to_pylist() for side in ("source", "target"))
    tags = table.column("tag").to_pylist() if "tag" in table.column_names else [""] * len(sources)
    digests = b"".join(
        # A space ends the tag. The length says where the source ends: ("a", "bc") and ("ab", "c") are different pairs.
        blake2b(b"%b %d %b%b" % (tag.encode(), len(source), source, target), digest_size=DIGEST_BYTES).digest()
        for source, target, tag in zip(sources, targets, tags, strict=True)
    )
    return np.frombuffer(digests, dtype=f"V{DIGEST_BYTES}")


def is_repeated(digests: NDArray[np.void], *, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marks the elements (N,) whose digest occurred earlier, both among the elements where `among` (N,) is True."""
    candidates = np.flatnonzero(among)  # (candidates,) indices, ascending
    # A stable sort puts the occurrences of a digest next to each other, the first one first.
    order = candidates[np.argsort(digests[candidates], kind="stable")]  # (candidates,)
    repeated = np.zeros_like(among)  # (N,)
    repeated[order[1:]] = digests[order[1:]] == digests[order[:-1]]
    return repeated


def _list_lengths(table: pyarrow.Table, column: str) -> NDArray[np.int32]:
    """The number of ids in each row: (rows,)."""
    return pyarrow.compute.list_value_length(table.column(column)).to_numpy()


def _has_tag(table: pyarrow.Table, tag_ids: Collection[int]) -> NDArray[np.bool_]:
    """Whether each source begins with one of the tags: (rows,)."""
    lengths = _list_lengths(table, "source_ids")  # (rows,)
    ids = table.column("source_ids").combine_chunks().flatten().to_numpy()  # (pieces of these rows,)
    has_tag = lengths > 0  # (rows,)
    has_tag[has_tag] = np.isin(ids[(np.cumsum(lengths) - lengths)[has_tag]], list(tag_ids))
    return has_tag


def _has_control(table: pyarrow.Table, column: str) -> NDArray[np.bool_]:
    """Whether each text contains control characters or byte-order marks: (rows,)."""
    return pyarrow.compute.match_substring_regex(table.column(column), CONTROL_CHARACTERS).to_numpy().astype(bool)
