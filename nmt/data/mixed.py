"""A corpus whose training pairs come from several corpora, in one direction or in several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import datasets
import numpy as np

from nmt.data.corpus import FEATURES, LINK_FEATURES, Corpus
from nmt.data.pronouns import PronounExample
from nmt.data.words import Span
from nmt.errors import UserError

RESERVED_TAGS = re.compile(r"s|pad|unk|mask|0x[0-9A-Fa-f]{2}")
"""Tags whose pieces would be those of the tokenizer itself, such as <s> and <0x41>."""


class MixedCorpus(Corpus):
    """The training pairs of several corpora, one after another. All other splits are those of the first one.

    Two uses: a corpus with machine translations of its sources, for data diversification (Nguyen et al., 2020,
    https://arxiv.org/abs/1911.01986) or sequence-level distillation (Kim and Rush, 2016); and several directions or
    languages in one model, which a tag before each source line tells apart (Johnson et al., 2017).

    If a part has a tag, all splits have the column "tag", which holds the tag's name, or "" for none. The text stays as
    it is: the tokenizer has a piece for each tag, which `encode_corpus` puts before the pieces of the source.

    Args:
        parts: the corpora. The first one determines the languages, the words and every split but `train_split`.
        tags: of each part; None for no tag.
        train_split: name of the training split.

    Raises:
        UserError: a tag is not a word of letters, digits, "_" and "-", or is reserved.
    """

    def __init__(self, *, parts: Sequence[Corpus], tags: Sequence[str | None], train_split: str) -> None:
        if not parts or len(parts) != len(tags):
            raise UserError(f"a mixed corpus has one tag for each of its parts, not {len(tags)} for {len(parts)}")
        super().__init__(source=parts[0].source, target=parts[0].target)
        for tag in tags:
            check_tag(tag)
        self.parts = list(parts)
        self.tags = list(tags)
        self.train_split = train_split

    @property
    def main(self) -> Corpus:
        return self.parts[0]

    @cached_property
    def train_splits(self) -> list[datasets.Dataset]:
        """The training pairs of each part."""
        return [part.split(self.train_split) for part in self.parts]

    def splits(self) -> list[str]:
        return self.main.splits()

    def split(self, name: str) -> datasets.Dataset:
        if name != self.train_split:
            return self._add_tag(self.main.split(name), self.tags[0])
        splits = self.train_splits
        # Links count words, so all parts must have links that count the same words.
        has_links = all("alignment" in split.column_names for split in splits)
        has_links = has_links and len({type(part).words for part in self.parts}) == 1
        features = LINK_FEATURES if has_links else FEATURES
        columns = [split.select_columns(list(features)) for split in splits]
        typed = [split if split.features == features else split.cast(features) for split in columns]
        return datasets.concatenate_datasets(list(map(self._add_tag, typed, self.tags)))

    def words(self, line: str) -> list[Span]:
        return self.main.words(line)

    def repairs(self, name: str) -> list[str]:
        parts = self.parts if name == self.train_split else self.parts[:1]
        return [line for part in parts for line in part.repairs(name)]

    def pronoun_examples(self, name: str) -> list[PronounExample] | None:
        return None if name == self.train_split else self.main.pronoun_examples(name)

    def _add_tag(self, split: datasets.Dataset, tag: str | None) -> datasets.Dataset:
        """The split of a part with the column "tag", if any part has a tag."""
        return split.add_column("tag", np.full(len(split), tag or "")) if any(self.tags) else split


def check_tag(tag: object) -> None:
    """Raises UserError unless `tag` can be the name of a tag, or is None for no tag."""
    if tag is None:
        return
    if not isinstance(tag, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", tag):
        raise UserError(f"tag={tag} must be a word of letters, digits, _ and -, such as 2de for the piece <2de>")
    if RESERVED_TAGS.fullmatch(tag):
        raise UserError(f"tag={tag} is reserved, since the tokenizer has a piece <{tag}>: choose another name")
