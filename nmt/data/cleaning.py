"""Drops training pairs that teach nothing or teach wrong things, and counts them by reason.

A pair is kept or dropped for exactly one reason, so the counts add up to the number of pairs. The reasons are tried in
this order, and the first that applies counts. Lengths are in pieces, so text that only looks empty (white space,
control characters) is empty.

1. both sides empty
2. source empty
3. target empty
4. too long: a side has more pieces than the loader's `max_length`; this rule is always on
5. length ratio: one side has more than `max_ratio` times the pieces of the other, as in Moses' clean-corpus-n.perl; a
   tag is no piece of the text
6. duplicate: both texts equal those of an earlier kept pair, character for character, and so do their tags, if any

Kept pairs are not changed. Those with control characters are counted, because text with many of them is often damaged
in other ways too; U+0080 to U+009F indicate a wrongly converted file.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nmt.data.cache import MIN_CACHED_PAIRS, cache_path, dataset_fingerprint
from nmt.data.pair_measurements import is_repeated, measure_pairs
from nmt.errors import UserError
from nmt.files import read_record, write_json

if TYPE_CHECKING:
    from datasets import Dataset

RULES_VERSION = 5
"""The version of the rules and of the cached report; it is part of the cache key, so increase it with every change."""

TOO_LONG = "too long"
LENGTH_RATIO = "length ratio"
DUPLICATE = "duplicate"


class _CachedReport(msgspec.Struct):
    """A `CleaningReport` as JSON."""

    pairs: int
    kept_bits: str  # base64 of one bit per pair, 1 = kept
    dropped: dict[str, int]
    control_characters: int


@dataclass(frozen=True, kw_only=True)
class CleaningReport:
    """Which pairs of a split are kept, and how many were dropped for which reason.

    Attributes:
        num_pairs: number of pairs in the split.
        kept: (kept,) the indices of the pairs to train on, ascending.
        dropped: number of dropped pairs by reason, in the order in which the reasons are tried. A rule that is
            switched off has no entry.
        num_control: number of kept pairs that contain control characters or byte-order marks.
    """

    num_pairs: int
    kept: NDArray[np.int64]
    dropped: dict[str, int]
    num_control: int

    def __post_init__(self) -> None:
        assert len(self.kept) + sum(self.dropped.values()) == self.num_pairs

    def save(self, path: Path) -> None:
        """Writes the counts, and one bit per pair, as JSON for `load`."""
        is_kept = np.zeros(self.num_pairs, dtype=bool)  # (pairs,)
        is_kept[self.kept] = True
        cached = _CachedReport(
            pairs=self.num_pairs,
            kept_bits=base64.b64encode(np.packbits(is_kept).tobytes()).decode(),
            dropped=self.dropped,
            control_characters=self.num_control,
        )
        write_json(path, msgspec.to_builtins(cached))

    @classmethod
    def load(cls, path: Path) -> CleaningReport:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        cached = read_record(path, _CachedReport)
        try:
            kept_bytes = np.frombuffer(base64.b64decode(cached.kept_bits), dtype=np.uint8)  # (pairs / 8,), rounded up
        except ValueError as error:
            raise UserError(f"{path} is damaged: {error}") from None
        if len(kept_bytes) != (cached.pairs + 7) // 8:  # first: unpacking allocates one byte per pair
            raise UserError(f"{path} is damaged: it does not have one bit per pair")
        kept = np.flatnonzero(np.unpackbits(kept_bytes, count=cached.pairs))  # (kept,) indices of the 1 bits
        if len(kept) + sum(cached.dropped.values()) != cached.pairs:
            raise UserError(f"{path} is damaged: its counts do not add up")
        return cls(num_pairs=cached.pairs, kept=kept, dropped=cached.dropped, num_control=cached.control_characters)

    def record(self) -> dict[str, Any]:
        """The counts, for cleaning.json in the run folder."""
        return {
            "pairs": self.num_pairs,
            "kept": len(self.kept),
            "dropped": self.dropped,
            "control_characters": self.num_control,
        }

    def lines(self) -> list[str]:
        """The counts and percentages as aligned lines, for the terminal."""
        counts = [("training pairs", self.num_pairs), ("kept", len(self.kept))]
        counts += [(f"dropped: {reason}", count) for reason, count in self.dropped.items()]
        if self.num_control > 0:
            counts.append(("kept with control characters", self.num_control))
        width = max(len(label) for label, _ in counts)
        digits = len(f"{self.num_pairs:,}")
        return [
            f"{label:<{width}}  {count:>{digits},}  {count / max(self.num_pairs, 1):>7.2%}" for label, count in counts
        ]


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """The rules of this module, each of which can be switched off.

    Args:
        drop_empty: drop pairs with an empty side.
        max_ratio: maximum number of pieces of one side per piece of the other; None = no limit. The rule does not
            apply to pairs with an empty side.
        drop_duplicates: drop pairs that occurred before.

    Raises:
        UserError: max_ratio is not a number of at least 1.
    """

    drop_empty: bool
    max_ratio: float | None
    drop_duplicates: bool

    def __post_init__(self) -> None:
        ratio = self.max_ratio
        if ratio is not None and (not isinstance(ratio, int | float) or not ratio >= 1):
            raise UserError(f"cleaning.max_ratio={ratio} must be a number of at least 1, or null for no limit")

    def apply(self, dataset: Dataset, *, max_length: int, tag_ids: Collection[int] = ()) -> CleaningReport:
        """Applies the rules to an encoded split. The report of a large split is cached.

        Reads the split once. Peak memory is about 70 bytes per pair, and the texts of `CHUNK_PAIRS` pairs.

        Args:
            dataset: with the columns of `encode_corpus`.
            max_length: maximum number of pieces per side, without `eos`.
            tag_ids: the ids of the tags with which sources may begin.

        Raises:
            UserError: no pair is left; the message says why, and what to change.
        """
        if len(dataset) == 0:
            raise UserError("there are no pairs to learn from")
        if len(dataset) < MIN_CACHED_PAIRS:
            return self._apply_rules(dataset, max_length, tag_ids)
        key = (RULES_VERSION, dataset_fingerprint(dataset), self, max_length)
        path = cache_path("cleaning", *key).with_suffix(".json")
        with suppress(UserError):  # not cached yet, or damaged
            return CleaningReport.load(path)
        report = self._apply_rules(dataset, max_length, tag_ids)
        report.save(path)
        return report

    def _apply_rules(self, dataset: Dataset, max_length: int, tag_ids: Collection[int]) -> CleaningReport:
        """Applies the rules in the order of the module's docstring; see `apply`."""
        pairs = measure_pairs(dataset, tag_ids=tag_ids, with_digests=self.drop_duplicates)
        longer = np.maximum(pairs.source_lengths, pairs.target_lengths)  # (pairs,)
        is_kept = np.ones(len(dataset), dtype=bool)  # (pairs,)
        dropped: dict[str, int] = {}

        def drop(reason: str, applies: NDArray[np.bool_]) -> None:
            dropped[reason] = int((is_kept & applies).sum())
            is_kept[applies] = False

        if self.drop_empty:
            drop("both sides empty", longer == 0)
            drop("source empty", pairs.source_lengths == 0)
            drop("target empty", pairs.target_lengths == 0)
        drop(TOO_LONG, longer > max_length)
        if self.max_ratio is not None:
            lengths = pairs.source_lengths - pairs.has_tag, pairs.target_lengths  # each (pairs,)
            shorter, longer_text = np.minimum(*lengths), np.maximum(*lengths)  # (pairs,)
            drop(LENGTH_RATIO, (shorter > 0) & (longer_text > self.max_ratio * shorter))
        if self.drop_duplicates:
            drop(DUPLICATE, is_repeated(pairs.digests, among=is_kept))
        report = CleaningReport(
            num_pairs=len(dataset),
            kept=np.flatnonzero(is_kept),
            dropped=dropped,
            num_control=int((is_kept & pairs.has_control).sum()),
        )
        if len(report.kept) == 0:
            raise UserError(_explain_nothing_left(dropped, longer[longer > max_length]))
        return report


def _explain_nothing_left(dropped: dict[str, int], too_long: NDArray[np.int32]) -> str:
    """Says why no pair can be used, and what to change; `too_long` holds the lengths of those that are too long."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in dropped.items() if count)
    main_reason = max(dropped, key=lambda reason: dropped[reason])
    remedy = "check that the files contain text in both languages"
    if main_reason == TOO_LONG:
        remedy = (
            f"raise loader.max_length (and the model's max_length, if it has one), since the shortest pair has "
            f"{too_long.min()} pieces on its longer side"
        )
    if main_reason == LENGTH_RATIO:
        remedy = "raise cleaning.max_ratio, or set it to null"
    return f"no pair of {sum(dropped.values()):,} can be used ({reasons}): {remedy}"
