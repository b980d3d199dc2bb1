"""A corpus whose training pairs come from several corpora, in one direction or in several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import datasets
import numpy as np

from nmt.data.captions import CaptionExample
from nmt.data.corpus import FEATURES, LINK_FEATURES, Corpus
from nmt.data.pronouns import PronounExample
from nmt.data.words import Span
from nmt.errors import UserError

RESERVED_TAGS = re.compile(r"s|pad|unk|mask|0x[0-9A-Fa-f]{2}")
"""Tags whose pieces would be those of the tokenizer itself, such as <s> and <0x41>."""

MAX_WEIGHT = 1000
"""Maximum weight of a part: each copy of a pair takes memory."""


class MixedCorpus(Corpus):
    """The training pairs of several corpora, one after another. All other splits are those of the first one.

    Three uses: a corpus with machine translations of its sources, for data diversification (Nguyen et al., 2020,
    https://arxiv.org/abs/1911.01986) or sequence-level distillation (Kim and Rush, 2016); a small corpus of the text to
    be translated beside a large one of other text; and several directions or languages in one model, which a tag before
    each source line tells apart (Johnson et al., 2017).

    If a part has a tag, all splits have the column "tag", which holds the tag's name, or "" for none. The text stays as
    it is: the tokenizer has a piece for each tag, which `encode_corpus` puts before the pieces of the source.

    If parts have different weights, the training split has the column "weight": how many times the loader puts a pair
    into an epoch. Each pair is one row, so a weight makes no duplicates.

    Args:
        parts: the corpora. The first one determines the languages, the words and every split but `train_split`.
        tags: of each part; None for no tag.
        weights: of each part, above 0.
        temperature: T ≥ 1, which gives a part of n pairs the weight (N / n)^(1 - 1/T), where N is the size of the
            largest part: its share of an epoch is proportional to n^(1/T) (Arivazhagan et al., 2019,
            https://arxiv.org/abs/1907.05019, §4.2). None for `weights`.
        train_split: name of the training split.

    Raises:
        UserError: a tag is not a word of letters, digits, "_" and "-", or is reserved; or a weight or the temperature
            is out of range, or both are given; or only a later part has pictures.
    """

    def __init__(
        self,
        *,
        parts: Sequence[Corpus],
        tags: Sequence[str | None],
        weights: Sequence[float],
        temperature: float | None,
        train_split: str,
    ) -> None:
        if not parts or not len(parts) == len(tags) == len(weights):
            counts = f"{len(tags)} tags and {len(weights)} weights for {len(parts)} parts"
            raise UserError(f"a mixed corpus has one tag and one weight for each of its parts, not {counts}")
        super().__init__(source=parts[0].source, target=parts[0].target)
        if any(set(part.symbols) - set(parts[0].symbols) for part in parts):
            raise UserError("the first part of a mixed corpus has no pictures, but another one has: put that one first")
        for tag in tags:
            check_tag(tag)
        for weight in weights:
            if not is_number(weight) or not 0 < weight <= MAX_WEIGHT:
                raise UserError(f"weight={weight} must be a number above 0, at most {MAX_WEIGHT}")
        if temperature is not None and not (is_number(temperature) and temperature >= 1):
            raise UserError(f"temperature={temperature} must be a number of at least 1, or null for the parts' weights")
        if temperature is not None and any(weight != 1 for weight in weights):
            raise UserError(f"temperature={temperature} gives all parts their weights: leave it out, or weight=…")
        self.parts = list(parts)
        self.tags = list(tags)
        self.given_weights = list(weights)
        self.temperature = temperature
        self.train_split = train_split

    @property
    def main(self) -> Corpus:
        return self.parts[0]

    @property
    def own_tags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tag for tag in self.tags if tag is not None))

    @property
    def main_tag(self) -> str | None:
        return self.tags[0]

    @cached_property
    def train_splits(self) -> list[datasets.Dataset]:
        """The training pairs of each part."""
        return [part.split(self.train_split) for part in self.parts]

    @cached_property
    def weights(self) -> list[float]:
        """How many times each pair of a part occurs in an epoch, on average."""
        if self.temperature is None:
            return self.given_weights
        sizes = [max(1, len(split)) for split in self.train_splits]
        exponent = 1 - 1 / self.temperature
        return [min(MAX_WEIGHT, (max(sizes) / size) ** exponent) for size in sizes]

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
        tagged = list(map(self._add_tag, typed, self.tags))
        return datasets.concatenate_datasets(list(map(self._add_weight, tagged, self.weights)))

    def words(self, line: str) -> list[Span]:
        return self.main.words(line)

    def repairs(self, name: str) -> list[str]:
        parts = self.parts if name == self.train_split else self.parts[:1]
        return list(dict.fromkeys(line for part in parts for line in part.repairs(name)))

    def pronoun_examples(self, name: str) -> list[PronounExample] | None:
        return None if name == self.train_split else self.main.pronoun_examples(name)

    def caption_examples(self, name: str) -> list[CaptionExample] | None:
        return None if name == self.train_split else self.main.caption_examples(name)

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.main.symbols

    def _add_tag(self, split: datasets.Dataset, tag: str | None) -> datasets.Dataset:
        """The split of a part with the column "tag", if any part has a tag."""
        return split.add_column("tag", np.full(len(split), tag or "")) if any(self.tags) else split

    def _add_weight(self, split: datasets.Dataset, weight: float) -> datasets.Dataset:
        """The split of a part with the column "weight", if any part has another weight than 1."""
        has_weights = any(each != 1 for each in self.weights)
        return split.add_column("weight", np.full(len(split), float(weight))) if has_weights else split


def check_tag(tag: object) -> None:
    """Raises UserError unless `tag` can be the name of a tag, or is None for no tag."""
    if tag is None:
        return
    if not isinstance(tag, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", tag):
        raise UserError(f"tag={tag} must be a word of letters, digits, _ and -, such as 2de for the piece <2de>")
    if RESERVED_TAGS.fullmatch(tag):
        raise UserError(f"tag={tag} is reserved, since the tokenizer has a piece <{tag}>: choose another name")


def is_number(value: object) -> bool:
    """Whether a value, which may come from a run folder of others, is a number: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
