"""The built-in corpus: English and German sentences, generated together by a grammar, with their exact word alignment.

It contains what makes attention interesting to look at: clause-final and separable verbs, inversion, gender and case,
compounds, relative clauses, and pronouns whose form depends on their antecedent, as in

    The animal did not cross the street because it was too tired.
    Das Tier überquerte die Straße nicht, weil es zu müde war.      (… because it was too wide: weil sie zu breit war)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from random import Random
from typing import Any, Protocol, TypeVar

import datasets

from nmt.checks import check_sizes
from nmt.data.corpus import Corpus
from nmt.data.grammar.ambiguity import find_ambiguous_pronoun, reverse_example
from nmt.data.grammar.phrases import Antecedent, GrammarPair, split_words
from nmt.data.grammar.sentences import SentenceWriter
from nmt.data.pharaoh import format_links
from nmt.data.pronouns import PronounExample
from nmt.data.words import Span, separate_words
from nmt.errors import UserError

__all__ = ["Antecedent", "GrammarCorpus", "GrammarPair", "generate_pairs", "split_words"]

MAX_WORDS = 17
"""Maximum number of words, as `split_words` counts them, on either side of a pair outside test_long."""

MAX_WORDS_IN_LONG = 40
"""Maximum number of words of a sentence in test_long."""

MAX_PAIRS, MAX_LONG_PAIRS = 1_000_000, 100_000
"""How many different pairs the grammar was tested to generate: for train, val and test together, and for test_long."""

MAX_PRONOUN_PAIRS = 10_000
"""How many different pairs the grammar was tested to generate for pronouns."""

GENERATION_ORDER = ("test_long", "test", "val", "train", "pronouns")
"""The order in which splits are generated, so that each is independent of the sizes of those after it."""


def generate_pairs(seed: int, *, long: bool = False) -> Iterator[GrammarPair]:
    """Yields English-German pairs forever. The same seed gives the same pairs everywhere; some occur repeatedly.

    Neither side has more than `MAX_WORDS` words. With `long`, both sides have more than that, and at most
    `MAX_WORDS_IN_LONG`. Both ways of counting words must agree: `split_words`, and splitting at spaces.
    """
    # Random hashes a string seed with SHA-512, which, unlike `hash`, is the same in every process.
    writer = SentenceWriter(Random(f"{seed} {long}"))
    while True:
        pair = writer.long_pair() if long else writer.pair()
        counts = [(len(side.split()), len(split_words(side))) for side in (pair.source, pair.target)]
        if long:
            has_right_length = all(spaced > MAX_WORDS and split <= MAX_WORDS_IN_LONG for spaced, split in counts)
        else:
            has_right_length = all(split <= MAX_WORDS for _, split in counts)  # there are at least as many as spaced
        if has_right_length:
            yield pair


def generate_pronoun_pairs(seed: int, *, distractor: bool) -> Iterator[GrammarPair]:
    """Yields English-German pairs with an ambiguous pronoun without end, all with a distractor or all without.

    They have the same kinds and lengths as those pairs of `generate_pairs` that have a pronoun with its antecedent.
    """
    writer = SentenceWriter(Random(f"{seed} pronouns {distractor}"))
    while True:
        pair = writer.pronoun_pair()
        if any(len(split_words(side)) > MAX_WORDS for side in (pair.source, pair.target)):
            continue
        example = find_ambiguous_pronoun(pair)
        if example is not None and (example.distractor is not None) == distractor:
            yield pair


class GeneratedCorpus(Corpus):
    """A corpus that a grammar generates, in one direction: what the built-in corpora share.

    Args:
        source: the source language, "en" or "de".
        target: the other language.
        seed: determines the sentences.
        sizes: the splits with their sizes.

    Raises:
        UserError: there is no such direction, or a size is not positive.
    """

    def __init__(self, *, source: str, target: str, seed: int, sizes: dict[str, int]) -> None:
        if {source, target} != {"en", "de"}:
            raise UserError(
                f"the grammar has no direction {source} to {target}: it generates en and de, so choose one for "
                "data.source and the other for data.target"
            )
        super().__init__(source=source, target=target)
        self.seed = seed
        self.sizes = sizes
        check_sizes(**{f"data.{name}_size": size for name, size in sizes.items()})

    @abstractmethod
    def english_pairs(self, name: str) -> list[GrammarPair]:
        """The pairs of an existing split from English to German."""

    def splits(self) -> list[str]:
        return list(self.sizes)

    def split(self, name: str) -> datasets.Dataset:
        """A split with the columns source, target, alignment ("0-0 1-2 …") and antecedent.

        The alignment refers to the words of `split_words`. The antecedent maps the fields of `Antecedent` to word
        indices in sentences that contain a pronoun with its antecedent, and is None in others. The split pronouns also
        has the column pronoun, with the fields of `PronounExample`.

        Raises:
            UserError: there is no split of that name.
        """
        index, text = datasets.Value("int32"), datasets.Value("string")
        features = datasets.Features(
            {
                "source": text,
                "target": text,
                "alignment": text,
                "antecedent": dict.fromkeys(Antecedent.__dataclass_fields__, index),
            }
        )
        rows: list[dict[str, Any]] = [
            {
                "source": pair.source,
                "target": pair.target,
                "alignment": format_links(pair.alignment),
                "antecedent": pair.antecedent and asdict(pair.antecedent),
            }
            for pair in self.pairs(name)
        ]
        examples = self.pronoun_examples(name)
        if examples is not None:
            indices = ("pronoun", "antecedent", "distractor", "distance", "target_pronoun")
            features["pronoun"] = {
                **dict.fromkeys(indices, index),
                **dict.fromkeys(("gender", "case", "correct"), text),
                "wrong": datasets.List(text),
            }
            for row, example in zip(rows, examples, strict=True):
                row["pronoun"] = asdict(example)
        return datasets.Dataset.from_list(rows, features=features, split=datasets.NamedSplit(name))

    def words(self, line: str) -> list[Span]:
        """The words of `split_words`: punctuation marks are words of their own."""
        return separate_words(line)

    def pairs(self, name: str) -> list[GrammarPair]:
        """The pairs of a split, in the corpus's direction.

        Raises:
            UserError: there is no split of that name.
        """
        if name not in self.sizes:
            raise UserError(f"the grammar has no split {name!r}: choose one of {', '.join(self.sizes)}")
        return self.directed_pairs(self.english_pairs(name))

    def directed_pairs(self, pairs: list[GrammarPair]) -> list[GrammarPair]:
        """English-German pairs in the corpus's direction."""
        return pairs if self.source == "en" else [pair.reversed() for pair in pairs]

    def find_examples(self, pairs: Iterable[GrammarPair]) -> list[PronounExample]:
        """The ambiguous pronouns of English-German pairs that all have one, in the corpus's direction."""
        examples = []
        for pair in pairs:
            example = find_ambiguous_pronoun(pair)
            assert example is not None, "every one of these pairs has an ambiguous pronoun"
            examples.append(example if self.source == "en" else reverse_example(example, pair))
        return examples


class GrammarCorpus(GeneratedCorpus):
    """The built-in corpus in one direction.

    No sentence occurs twice, on either side, in all splits together. A larger split starts with the sentences of a
    smaller one. The splits are generated in the order test_long, test, val, train, pronouns, so each one is independent
    of the sizes of those after it.

    Args:
        source: the source language, "en" or "de".
        target: the other language.
        seed: determines the sentences.
        train_size: number of pairs in train.
        val_size: number of pairs in val.
        test_size: number of pairs in test.
        test_long_size: number of pairs in test_long, whose sentences are longer than all others.
        pronouns_size: number of pairs in pronouns. All have an ambiguous pronoun (see `find_ambiguous_pronoun`), and
            every other one has a distractor. Run folders that are older than this split do not name it.

    Raises:
        UserError: there is no such direction; or a size is not positive, or larger than the grammar can generate.
    """

    def __init__(
        self,
        *,
        source: str,
        target: str,
        seed: int,
        train_size: int,
        val_size: int,
        test_size: int,
        test_long_size: int,
        pronouns_size: int = 1000,
    ) -> None:
        sizes = {
            "train": train_size,
            "val": val_size,
            "test": test_size,
            "test_long": test_long_size,
            "pronouns": pronouns_size,
        }
        super().__init__(source=source, target=target, seed=seed, sizes=sizes)
        self._generated: dict[str, list[GrammarPair]] = {}
        num_pairs = train_size + val_size + test_size
        if num_pairs > MAX_PAIRS:
            raise UserError(
                f"data.train_size, val_size and test_size are {num_pairs} pairs together, but the grammar generates at "
                f"most {MAX_PAIRS} different ones: choose a smaller train_size"
            )
        if test_long_size > MAX_LONG_PAIRS:
            raise UserError(
                f"data.test_long_size={test_long_size} is too large: the grammar generates at most {MAX_LONG_PAIRS} "
                "different long pairs"
            )
        if pronouns_size > MAX_PRONOUN_PAIRS:
            raise UserError(
                f"data.pronouns_size={pronouns_size} is too large: the grammar generates at most {MAX_PRONOUN_PAIRS} "
                "different pairs with an ambiguous pronoun"
            )

    def pronoun_examples(self, name: str) -> list[PronounExample] | None:
        return self.find_examples(self.english_pairs(name)) if name == "pronouns" else None

    def further_pronouns(self, size: int) -> tuple[list[GrammarPair], list[PronounExample]]:
        """Pairs like those of the split pronouns that are in no split, and their pronouns.

        They serve to choose something, such as a head, which is then tested on the split.
        """
        used = {side for name in self.splits() for pair in self.pairs(name) for side in (pair.source, pair.target)}
        streams = [generate_pronoun_pairs(self.seed + 1, distractor=each) for each in (True, False)]
        pairs = take_unused(streams, size, used)
        return self.directed_pairs(pairs), self.find_examples(pairs)

    def find_pair(self, source: str) -> GrammarPair | None:
        """The pair with this source in test_long, test or val, which are generated fast; None if there is none."""
        splits = GENERATION_ORDER[: GENERATION_ORDER.index("train")]
        # Generating a split generates all before it, so start with the last one.
        return next((pair for name in reversed(splits) for pair in self.pairs(name) if pair.source == source), None)

    def english_pairs(self, name: str) -> list[GrammarPair]:
        if name not in self._generated:
            self._generate(last=name)
        return self._generated[name]

    def _generate(self, *, last: str) -> None:
        """Generates the splits up to `last`, English to German; those behind it, such as a large train, take longer."""
        used: set[str] = set()
        pairs, long_pairs = generate_pairs(self.seed), generate_pairs(self.seed, long=True)
        with_distractor, without = (generate_pronoun_pairs(self.seed, distractor=each) for each in (True, False))
        for name in GENERATION_ORDER:
            streams = {"test_long": (long_pairs,), "pronouns": (with_distractor, without)}.get(name, (pairs,))
            self._generated[name] = take_unused(streams, self.sizes[name], used)
            if name == last:
                break


class TextPair(Protocol):
    """Text in both languages."""

    @property
    def source(self) -> str: ...

    @property
    def target(self) -> str: ...


Pair = TypeVar("Pair", bound=TextPair)


def take_unused(streams: Sequence[Iterator[Pair]], size: int, used: set[str]) -> list[Pair]:
    """Takes `size` pairs, from each stream in turn, with neither side in `used`, and adds their sides to `used`."""
    taken: list[Pair] = []
    while len(taken) < size:
        pair = next(streams[len(taken) % len(streams)])
        if used.isdisjoint((pair.source, pair.target)):
            used.update((pair.source, pair.target))
            taken.append(pair)
    return taken
