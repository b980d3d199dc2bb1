"""Holds out pairs of a training split for validation, for a corpus that has no validation text."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b

import datasets
import numpy as np
from numpy.typing import NDArray

from nmt.checks import check_sizes
from nmt.data.captions import CaptionExample
from nmt.data.corpus import Corpus, sort_splits
from nmt.data.pronouns import PronounExample
from nmt.data.words import Span
from nmt.errors import UserError

CHUNK_PAIRS = 50_000
"""Number of pairs whose texts are in memory at a time."""

BLANK = 0
"""The digest of a line without text."""


class HoldOutCorpus(Corpus):
    """Another corpus with one more split, whose pairs are taken out of its training split.

    Which pairs are held out depends on their text alone: those whose sources have the smallest digests. So every run
    and every command finds the same ones, whatever the seed. Training loses every pair that has one of these sources,
    since a model would otherwise be validated on sentences that it has seen. In a mixed corpus, the pairs come from the
    main part. From the other parts, training loses every pair with a held-out source or target on either side: such a
    part may translate in the other direction, or pair a held-out target with a machine translation.

    Args:
        corpus: has the training split.
        train_split: name of the training split.
        split: name of the new split.
        num_pairs: number of pairs to hold out.

    Raises:
        UserError: num_pairs is not positive.
    """

    def __init__(self, *, corpus: Corpus, train_split: str, split: str, num_pairs: int) -> None:
        self.source, self.target = corpus.source, corpus.target  # the same language twice if the corpus is text alone
        check_sizes(hold_out=num_pairs)
        self.corpus = corpus
        self.train_split = train_split
        self.held_out_split = split
        self.num_pairs = num_pairs

    def splits(self) -> list[str]:
        return sort_splits(dict.fromkeys([*self.corpus.splits(), self.held_out_split]))

    def split(self, name: str) -> datasets.Dataset:
        if self._is_whole(name):
            return self.corpus.split(name)
        if self.held_out_split in self.corpus.splits():
            raise UserError(
                f"hold_out={self.num_pairs}: the corpus has a split {self.held_out_split} already; leave hold_out out, "
                f"or choose another name with validation_split=held_out"
            )
        train = self.corpus.split(self.train_split)
        held_out, kept = self._divided
        return train.select(kept if name == self.train_split else held_out)

    @property
    def main(self) -> Corpus:
        return self.corpus.main

    @property
    def own_tags(self) -> tuple[str, ...]:
        return self.corpus.own_tags

    @property
    def main_tag(self) -> str | None:
        return self.corpus.main_tag

    @property
    def languages(self) -> list[str]:
        return self.corpus.languages

    @property
    def is_translated(self) -> bool:
        return self.corpus.is_translated

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.corpus.symbols

    def words(self, line: str) -> list[Span]:
        return self.corpus.words(line)

    def pronoun_examples(self, name: str) -> list[PronounExample] | None:
        return self.corpus.pronoun_examples(name) if self._is_whole(name) else None

    def caption_examples(self, name: str) -> list[CaptionExample] | None:
        return self.corpus.caption_examples(name) if self._is_whole(name) else None

    def repairs(self, name: str) -> list[str]:
        return self.corpus.repairs(self.train_split if name == self.held_out_split else name)

    def _is_whole(self, name: str) -> bool:
        """Whether a split is that of the other corpus, with the same pairs."""
        return name not in (self.train_split, self.held_out_split)

    @cached_property
    def _divided(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The indices of the pairs that are held out, and of those that are left for training, both ascending."""
        train = self.corpus.split(self.train_split)
        digests = digest_lines(train)  # (pairs, 2)
        sources = digests[:, 0]  # (pairs,)
        is_mixed = self.corpus.main is not self.corpus
        num_main = len(self.corpus.main.split(self.train_split)) if is_mixed else len(train)
        usable = np.flatnonzero((digests[:num_main] != BLANK).all(axis=1))  # (usable pairs,)
        # The first pair of each source that has any text, by ascending digest.
        _, first = np.unique(sources[usable], return_index=True)  # (different sources,)
        if len(first) <= self.num_pairs:
            raise UserError(
                f"hold_out={self.num_pairs:,} leaves nothing to train on: {self.train_split} has {len(first):,} "
                f"different sources with a translation"
            )
        held_out = np.sort(usable[first[: self.num_pairs]])  # (num_pairs,)
        lost = np.isin(sources, sources[held_out])  # (pairs,)
        if is_mixed:
            lost[num_main:] = np.isin(digests[num_main:], digests[held_out]).any(axis=1)
        return held_out, np.flatnonzero(~lost)


def digest_lines(split: datasets.Dataset) -> NDArray[np.uint64]:
    """A digest of each source and target, (pairs, 2): equal for lines that differ in white space only.

    Two of 10 million different lines have equal 64-bit digests with a probability of 10^14 / 2^65 ≈ 3 · 10^-6; then
    one pair too many leaves the training split.
    """
    digests = np.full((len(split), 2), BLANK, dtype=np.uint64)  # (pairs, 2)
    row = 0
    for batch in split.select_columns(["source", "target"]).iter(batch_size=CHUNK_PAIRS):
        for pair in zip(batch["source"], batch["target"], strict=True):
            for side, line in enumerate(pair):
                if words := line.split():
                    digest = blake2b(" ".join(words).encode(), digest_size=8).digest()
                    digests[row, side] = int.from_bytes(digest)
            row += 1
    return digests
