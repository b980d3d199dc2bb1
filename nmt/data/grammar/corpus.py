"""The built-in corpus: English and German sentences, written together by a grammar, with their exact word alignment.

There is enough German in it to make attention visible: verbs at the end of clauses, separable verbs, inversion,
gender and case, compounds, relative clauses, and pronouns whose form depends on the noun that they stand for, as in

    The animal did not cross the street because it was too tired.
    Das Tier überquerte die Straße nicht, weil es zu müde war.      (… because it was too wide: weil sie zu breit war)

The grammar itself is in `nmt.data.grammar`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from random import Random

import datasets

from nmt.data.corpus import Corpus
from nmt.data.grammar.phrases import Antecedent, GrammarPair, words
from nmt.data.grammar.sentences import SentenceWriter
from nmt.errors import UserError

__all__ = ["Antecedent", "GrammarCorpus", "GrammarPair", "generate_pairs", "pharaoh", "words"]

LONGEST = 17
"""The most words, counted as `words` does, that either side of a pair outside test_long has."""

LONGEST_OF_ALL = 40
"""The most words in a sentence of test_long."""

MOST_PAIRS, MOST_LONG_PAIRS = 1_000_000, 100_000
"""How many different pairs the grammar is known to serve: in train, val and test together, and in test_long."""


def generate_pairs(seed: int, *, long: bool = False) -> Iterator[GrammarPair]:
    """English-to-German pairs without end; the same `seed` gives the same ones everywhere, and some come twice.

    Neither side has more than `LONGEST` words; with `long`, both have more than that, and at most `LONGEST_OF_ALL`.
    They are more however words are counted: also where a word is what stands between blanks.
    """
    writer = SentenceWriter(Random(f"{seed} {long}"))  # a string is seeded by its digest, not by its hash
    while True:
        pair = writer.long_pair() if long else writer.pair()
        counts = [(len(side.split()), len(words(side))) for side in (pair.source, pair.target)]
        if all(few > LONGEST and many <= LONGEST_OF_ALL if long else many <= LONGEST for few, many in counts):
            yield pair


def pharaoh(alignment: tuple[tuple[int, int], ...]) -> str:
    """An alignment as it is usually written: ((0, 0), (1, 2)) is "0-0 1-2"."""
    return " ".join(f"{source}-{target}" for source, target in alignment)


class GrammarCorpus(Corpus):
    """The built-in corpus in one direction.

    No sentence occurs twice, on either side, in all splits together. Of the splits, test comes first: it depends on
    no other size, and a larger split begins with the sentences of the smaller one.

    Args:
        source: the language to translate from, "en" or "de".
        target: the other one.
        seed: chooses the sentences.
        train_size: the number of pairs in train.
        val_size: the number of pairs in val.
        test_size: the number of pairs in test.
        test_long_size: the number of pairs in test_long, whose sentences are longer than all others.

    Raises:
        ValueError: there is no such direction; a size is not positive, or larger than the grammar can serve.
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
    ) -> None:
        if {source, target} != {"en", "de"}:
            raise UserError(
                f"the grammar has no direction {source} to {target}: it writes en and de, so choose one for "
                "data.source and the other for data.target"
            )
        self.source = source
        self.target = target
        self.seed = seed
        self._sizes = {"train": train_size, "val": val_size, "test": test_size, "test_long": test_long_size}
        for name, size in self._sizes.items():
            if size < 1:
                raise UserError(f"{name}_size is {size}: a split of the grammar has at least one pair")
        everyday = train_size + val_size + test_size
        if everyday > MOST_PAIRS:
            raise UserError(
                f"train_size, val_size and test_size are {everyday} pairs together, but the grammar serves at most "
                f"{MOST_PAIRS} different ones: choose a smaller train_size"
            )
        if test_long_size > MOST_LONG_PAIRS:
            raise UserError(
                f"test_long_size is {test_long_size}, but the grammar serves at most {MOST_LONG_PAIRS} different "
                "long pairs: choose a smaller one"
            )

    def splits(self) -> list[str]:
        return list(self._sizes)

    def split(self, name: str) -> datasets.Dataset:
        """A split with the columns source, target, alignment ("0-0 1-2 …") and antecedent.

        The alignment counts the `words` of both sides. The antecedent, of the few sentences that have one, is a
        mapping from the fields of `Antecedent` to word indices, and None elsewhere.

        Raises:
            ValueError: there is no split of that name.
        """
        index = datasets.Value("int32")
        features = datasets.Features(
            {
                "source": datasets.Value("string"),
                "target": datasets.Value("string"),
                "alignment": datasets.Value("string"),
                "antecedent": dict.fromkeys(Antecedent.__dataclass_fields__, index),
            }
        )
        rows = [
            {
                "source": pair.source,
                "target": pair.target,
                "alignment": pharaoh(pair.alignment),
                "antecedent": pair.antecedent and asdict(pair.antecedent),
            }
            for pair in self.pairs(name)
        ]
        return datasets.Dataset.from_list(rows, features=features, split=datasets.NamedSplit(name))

    def pairs(self, name: str) -> list[GrammarPair]:
        """The pairs of a split, in the corpus's direction.

        Raises:
            ValueError: there is no split of that name.
        """
        if name not in self._sizes:
            raise UserError(f"the grammar has no split {name!r}: choose one of {', '.join(self._sizes)}")
        pairs = self._pairs[name]
        return pairs if self.source == "en" else [pair.reversed() for pair in pairs]

    @cached_property
    def _pairs(self) -> dict[str, list[GrammarPair]]:
        """All splits, English to German."""
        taken: set[str] = set()
        everyday = generate_pairs(self.seed)
        splits = {"test_long": _different(generate_pairs(self.seed, long=True), self._sizes["test_long"], taken)}
        for name in ("test", "val", "train"):
            splits[name] = _different(everyday, self._sizes[name], taken)
        return splits


def _different(pairs: Iterator[GrammarPair], size: int, taken: set[str]) -> list[GrammarPair]:
    """The next `size` pairs of which neither side is in `taken`, to which both sides are added."""
    chosen: list[GrammarPair] = []
    while len(chosen) < size:
        pair = next(pairs)
        if taken.isdisjoint((pair.source, pair.target)):
            taken.update((pair.source, pair.target))
            chosen.append(pair)
    return chosen
