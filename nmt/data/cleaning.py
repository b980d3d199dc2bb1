"""Which training pairs are left out, and why: every pair is kept or has one reason, so that the sums can be checked.

The reasons, in the order in which they are tried; the first that applies counts. Lengths are in pieces, so that text
that only looks empty (white space, control characters) is empty.

1. both sides empty
2. source empty
3. target empty
4. too long: a side has more pieces than the trainer's `max_length`, `eos` included; this one cannot be switched off
5. length ratio: one side has more than `max_ratio` times the pieces of the other, as in Moses' clean-corpus-n.perl
6. duplicate: both texts are those of an earlier pair that is kept, character for character

What was kept is learned from as it is. Control characters in it are counted, because a text that has many is often
damaged in other ways too: the tokenizer drops most of them or takes them for spaces, but NUL and U+0080 to U+009F, a
sign of a wrongly converted file, become `unk`.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pyarrow.compute  # type: ignore[import-untyped]
from numpy.typing import NDArray

from nmt.data.cache import LARGE, cached
from nmt.errors import UserError
from nmt.files import read_json, write_json

if TYPE_CHECKING:
    from datasets import Dataset

ROWS = 50_000
"""Pairs that are looked at in one go."""

CANDIDATES = 500_000
"""Pairs whose texts are compared in one go."""

RULES = 1
"""The version of what examining finds; part of the cache's key, so that changed rules look anew."""

CONTROL = "[\\x00-\\x08\\x0a-\\x1f\\x7f\u0080-\u009f\ufeff\ufffe]"
"""Control characters but the tab, and byte-order marks."""

LONG = "too long"
RATIO = "length ratio"
DUPLICATE = "duplicate"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a split's pairs.

    Attributes:
        num_pairs: in the split.
        kept: (kept,) the rows of the pairs to learn from, ascending.
        dropped: the number of pairs by reason, in the order in which the reasons are tried. A rule that is switched off
            is not in it.
        num_control: kept pairs with control characters or byte-order marks inside.
    """

    num_pairs: int
    kept: NDArray[np.int64]
    dropped: dict[str, int]
    num_control: int

    def __post_init__(self) -> None:
        assert len(self.kept) + sum(self.dropped.values()) == self.num_pairs

    def save(self, path: Path) -> None:
        """Writes what `load` reads: the numbers, and a bit for each pair."""
        left = np.zeros(self.num_pairs, dtype=bool)
        left[self.kept] = True
        write_json(path, self.record() | {"left": base64.b64encode(np.packbits(left).tobytes()).decode()})

    @classmethod
    def load(cls, path: Path) -> Report:
        """Reads what `save` wrote. Raises ValueError if it is not there, or damaged."""
        facts = read_json(path)
        bits = np.frombuffer(base64.b64decode(facts["left"]), dtype=np.uint8)
        return cls(
            num_pairs=facts["pairs"],
            kept=np.flatnonzero(np.unpackbits(bits, count=facts["pairs"])),
            dropped=facts["dropped"],
            num_control=facts["control_characters"],
        )

    def record(self) -> dict[str, Any]:
        """The numbers, for a file."""
        return {
            "pairs": self.num_pairs,
            "kept": len(self.kept),
            "dropped": self.dropped,
            "control_characters": self.num_control,
        }

    def lines(self) -> list[str]:
        """The numbers as aligned lines for a person."""
        rows = [("training pairs", self.num_pairs), ("kept", len(self.kept))]
        rows += [(f"dropped: {reason}", count) for reason, count in self.dropped.items()]
        rows += [("kept with control characters", self.num_control)] * (self.num_control > 0)
        width = max(len(what) for what, _ in rows)
        digits = len(f"{self.num_pairs:,}")
        return [f"{what:<{width}}  {count:>{digits},}  {share(count, self.num_pairs)}" for what, count in rows]


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """The rules of this module, each of which can be switched off.

    Args:
        drop_empty: leave out pairs with an empty side.
        max_ratio: the most pieces of one side for each piece of the other; None = any. Pairs with an empty side have no
            ratio.
        drop_duplicates: leave out pairs that have come before.

    Raises:
        ValueError: max_ratio is below 1.
    """

    drop_empty: bool
    max_ratio: float | None
    drop_duplicates: bool

    def __post_init__(self) -> None:
        if self.max_ratio is not None and not self.max_ratio >= 1:
            raise UserError(f"cleaning.max_ratio={self.max_ratio} must be at least 1, or null for any ratio")

    def examine(self, dataset: Dataset, *, max_length: int) -> Report:
        """Tries the rules on an encoded split; what is found in a large one is found again by any later process.

        What is held in memory is some 50 bytes a pair, and the texts of at most `CANDIDATES` that may be duplicates.

        Args:
            dataset: with the columns of `encode_corpus`.
            max_length: the most pieces of a side, `eos` included.

        Raises:
            ValueError: no pair is left.
        """
        if len(dataset) == 0:
            raise UserError("there are no pairs to learn from")
        if len(dataset) < LARGE:
            return self._examine(dataset, max_length=max_length)
        path = cached("cleaning", RULES, dataset._fingerprint, self, max_length).with_suffix(".json")
        with suppress(ValueError):
            return Report.load(path)
        report = self._examine(dataset, max_length=max_length)
        report.save(path)
        return report

    def _examine(self, dataset: Dataset, *, max_length: int) -> Report:
        facts = [facts_of(table) for table in dataset.with_format("arrow").iter(batch_size=ROWS)]
        sources, targets, hashes, control = (np.concatenate(columns) for columns in zip(*facts, strict=True))
        del facts
        left = np.ones(len(dataset), dtype=bool)
        dropped: dict[str, int] = {}

        def drop(reason: str, wrong: NDArray[np.bool_]) -> None:
            dropped[reason] = int((left & wrong).sum())
            left[wrong] = False

        if self.drop_empty:
            drop("both sides empty", (sources == 0) & (targets == 0))
            drop("source empty", sources == 0)
            drop("target empty", targets == 0)
        drop(LONG, np.maximum(sources, targets) >= max_length)
        if self.max_ratio is not None:
            shorter, longer = np.minimum(sources, targets), np.maximum(sources, targets)
            drop(RATIO, (shorter > 0) & (longer > self.max_ratio * shorter))
        if self.drop_duplicates:
            again = np.zeros(len(dataset), dtype=bool)
            again[duplicates(dataset, np.flatnonzero(left), hashes)] = True
            drop(DUPLICATE, again)
        report = Report(
            num_pairs=len(dataset),
            kept=np.flatnonzero(left),
            dropped=dropped,
            num_control=int((left & control).sum()),
        )
        if len(report.kept) == 0:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in dropped.items() if count)
            raise UserError(f"no pair of {len(dataset):,} can be used with max_length={max_length}: {reasons}")
        return report


def facts_of(table: Any) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint64], NDArray[np.bool_]]:
    """Of each row of an encoded split: pieces of the source and of the target, a hash of both, and control characters.

    Equal pairs have equal hashes.
    """
    sides = [table.column(f"{side}_ids").combine_chunks() for side in ("source", "target")]
    lengths = [pyarrow.compute.list_value_length(ids).to_numpy().astype(np.int32) for ids in sides]
    values = [pyarrow.compute.list_flatten(ids).to_numpy() for ids in sides]
    source_hashes, target_hashes = (hash_lists(ids, of) for ids, of in zip(values, lengths, strict=True))
    control = [
        pyarrow.compute.match_substring_regex(table.column(side), CONTROL).to_numpy() for side in ("source", "target")
    ]
    return lengths[0], lengths[1], mix(source_hashes) + target_hashes, (control[0] | control[1]).astype(bool)


def hash_lists(values: NDArray[np.int32], lengths: NDArray[np.int32]) -> NDArray[np.uint64]:
    """A hash of each of the lists that lie end to end in `values`."""
    ends = np.cumsum(lengths, dtype=np.int64)
    positions = np.arange(len(values)) - np.repeat(ends - lengths, lengths)
    mixed = mix((values.astype(np.uint64) << np.uint64(32)) + positions.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)])  # modulo 2^64
    return np.asarray(sums[ends] - sums[ends - lengths])


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers that look random, each a function of its own: splitmix64 (Steele et al., 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def duplicates(dataset: Dataset, rows: NDArray[np.int64], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Those of `rows` whose texts are those of an earlier one.

    Hashes only tell which rows have to be compared; what is found has been compared as text.

    Args:
        rows: ascending.
        hashes: of all rows of the dataset; equal where the texts are.
    """
    order = rows[np.argsort(hashes[rows], kind="stable")]
    same = hashes[order[1:]] == hashes[order[:-1]]
    in_a_run = np.zeros(len(order), dtype=bool)
    in_a_run[1:] |= same
    in_a_run[:-1] |= same
    candidates = order[in_a_run]
    parts = 1 + len(candidates) // CANDIDATES
    found = [np.zeros(0, dtype=np.int64)]
    for part in range(parts):
        some = np.sort(candidates[hashes[candidates] % np.uint64(parts) == part])
        if len(some) > 0:
            table = texts_of(dataset, some)
            sources, targets = (numbered(table.column(side)) for side in ("source", "target"))
            _, first = np.unique(sources * (targets.max() + 1) + targets, return_index=True)
            found.append(np.delete(some, first))
    return np.concatenate(found)


def texts_of(dataset: Dataset, rows: NDArray[np.int64]) -> Any:
    """The columns source and target of some rows, which are ascending. To `select` them would be far slower."""
    chosen = []
    start = 0
    for table in dataset.select_columns(["source", "target"]).with_format("arrow").iter(batch_size=ROWS):
        low, high = np.searchsorted(rows, (start, start + len(table)))
        if low < high:
            chosen.append(table.take(rows[low:high] - start))
        start += len(table)
    return pyarrow.concat_tables(chosen)


def numbered(texts: Any) -> NDArray[np.int64]:
    """A number for each text, equal for equal texts."""
    # Large strings: one array of ordinary ones holds no more than 2 GB.
    encoded = texts.cast(pyarrow.large_string()).combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64)


def share(count: int, whole: int) -> str:
    return f"{count / max(whole, 1):>7.2%}"
