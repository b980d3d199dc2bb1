"""Generates plausible nominals: nouns with determiners and adjectives, subjects, objects, places."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import TypeVar

from nmt.data.grammar.entries import Adjective, Noun, Tags
from nmt.data.grammar.lexicon import ADJECTIVES, DETERMINERS, NOUNS, PREPOSITIONS
from nmt.data.grammar.phrases import (
    HE,
    SHE,
    THEY,
    WE,
    YOU,
    Conjoined,
    I,
    Nominal,
    NounPhrase,
    PhrasePair,
    Pronoun,
    prepositional,
)

T = TypeVar("T")

PERSON: Tags = frozenset({"person"})
ANIMATE: Tags = frozenset({"person", "animal"})
_GROWN_UP: Tags = frozenset({"person", "adult"})

# Determiners and their weights, by the kind of noun; "" is no determiner
_SINGULAR_DETERMINERS = {"the": 50, "a": 24, "my": 8, "this": 8, "our": 3, "your": 2}
_PLURAL_DETERMINERS = {"the": 50, "": 15, "this": 8, "my": 6, "our": 3, "two": 7, "three": 4, "many": 7}
_MASS_DETERMINERS = {"the": 50, "": 40, "this": 5, "my": 5}
_PLACE_DETERMINERS = {"the": 78, "a": 12, "this": 10}
_PLURAL_PLACE_DETERMINERS = {"the": 90, "this": 10}
# Not for nouns tagged "unpossessed": "meine Frau" means my wife.
_NEAR_POSSESSIVES = {"my", "your", "our"}
_POSSESSIVES = {I: "my", YOU: "your", HE: "his", SHE: "her", WE: "our"}

PrepositionChoices = tuple[tuple[str, Tags, int], ...]
"""Prepositions, each with the tags of the nouns that may follow it, and its weight."""

LOCATIONS: PrepositionChoices = (
    ("in", frozenset({"inside"}), 8),
    ("on", frozenset({"surface"}), 4),
    ("under", frozenset({"shelter"}), 1),
    ("behind", frozenset({"building", "tree"}), 2),
    ("next to", frozenset({"building", "waters", "tree"}), 2),
    ("in front of", frozenset({"building"}), 2),
)
WALKING_GOALS: PrepositionChoices = (
    ("into", frozenset({"inside"}), 2),
    ("to", frozenset({"goal"}), 2),
    ("through", frozenset({"outdoors", "settlement"}), 1),
)
DRIVING_GOALS: PrepositionChoices = (
    ("into", frozenset({"settlement"}), 1),
    ("to", frozenset({"goal"}), 2),
    ("through", frozenset({"settlement", "forest"}), 1),
)


class RandomChooser:
    """Makes all random choices of the grammar, from one random number generator."""

    def __init__(self, generator: Random) -> None:
        self.generator = generator

    def bernoulli(self, probability: float) -> bool:
        """True with a probability."""
        return self.generator.random() < probability

    def choose(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """Chooses one option, uniformly or with probabilities proportional to `weights`."""
        if weights is None:
            return options[int(self.generator.random() * len(options))]
        return self.generator.choices(options, weights)[0]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """Chooses `count` different options."""
        return self.generator.sample(options, count)

    def shuffle(self, items: list[T]) -> None:
        """Shuffles a list in place."""
        self.generator.shuffle(items)


@cache
def nouns_with(tags: Tags, also: Tags | None = None) -> tuple[Noun, ...]:
    """The nouns with at least one of `tags` (and one of `also`), in the order of the lexicon."""
    return tuple(noun for noun in NOUNS.values() if noun.tags & tags and (also is None or noun.tags & also))


@cache
def adjectives_for(tags: Tags) -> tuple[Adjective, ...]:
    """The adjectives that may modify a noun with these tags."""
    return tuple(adjective for adjective in ADJECTIVES.values() if adjective.tags & tags)


class NominalWriter:
    """Generates nominals with the choices of `random`."""

    def __init__(self, random: RandomChooser) -> None:
        self.random = random

    def noun(self, tags: Tags, also: Tags | None = None, *, other_than: Nominal | None = None) -> Noun:
        """A noun with one of `tags` and one of `also`, different from the noun of the nominal `other_than`."""
        nouns = nouns_with(tags, also)
        noun = self.random.choose(nouns)
        if isinstance(other_than, NounPhrase) and noun is other_than.noun:
            return self.random.choose([other for other in nouns if other is not noun])
        return noun

    def noun_phrase(
        self,
        noun: Noun,
        *,
        possessive: str | None = None,
        definite: bool = False,
        unquantified: bool = False,
        plural: float = 0.25,
        adjective: float = 0.35,
    ) -> NounPhrase:
        """A noun phrase with a random determiner, number and adjective.

        Args:
            noun: the noun.
            possessive: a possessive that refers to the subject ("his"), as an additional choice of determiner.
            definite: only definite determiners.
            unquantified: no numerals and no "many", as after "not".
            plural: probability of a plural.
            adjective: probability of an adjective.
        """
        is_plural = bool(noun.german_plural) and self.random.bernoulli(plural)
        if "place" in noun.tags:
            weights = _PLURAL_PLACE_DETERMINERS if is_plural else _PLACE_DETERMINERS
        else:
            singular = _SINGULAR_DETERMINERS if noun.german_plural else _MASS_DETERMINERS
            weights = _PLURAL_DETERMINERS if is_plural else singular
            if possessive and "unpossessed" not in noun.tags:
                weights = {**weights, possessive: weights.get(possessive, 0) + 12}
        if "unpossessed" in noun.tags:
            weights = {name: weight for name, weight in weights.items() if name not in _NEAR_POSSESSIVES}
        if definite:
            weights = {name: weight for name, weight in weights.items() if name and DETERMINERS[name].definite}
        elif unquantified:
            weights = {name: weight for name, weight in weights.items() if name not in {"two", "three", "many"}}
        name = self.random.choose(list(weights), list(weights.values()))
        adjectives = adjectives_for(noun.tags)
        return NounPhrase(
            noun=noun,
            determiner=DETERMINERS[name] if name else None,
            adjective=self.random.choose(adjectives) if adjectives and self.random.bernoulli(adjective) else None,
            plural=is_plural,
        )

    def subject(
        self, tags: Tags, also: Tags | None = None, *, predicative: bool = False, question: bool = False
    ) -> tuple[Nominal, Tags]:
        """A subject whose noun has one of `tags` and one of `also`, together with the tags that the subject has.

        Args:
            predicative: "be" and an adjective will follow, so the subject is definite and has no adjective.
            question: "you" is likely.
        """
        noun = self.noun(tags, also)
        if "person" in noun.tags and self.random.bernoulli(0.3):
            return self.random.choose((I, HE, SHE, WE, THEY, YOU), (3, 3, 3, 3, 2, 8 if question else 1)), _GROWN_UP
        phrase = self.noun_phrase(noun, definite=predicative, adjective=0.0 if predicative else 0.35)
        if phrase.definite and self.random.bernoulli(0.07):
            second = self.noun(tags, also, other_than=phrase)
            common = noun.tags & second.tags & (ANIMATE | _GROWN_UP)
            if common:
                return Conjoined(phrase, self.noun_phrase(second, definite=True, adjective=0.0)), common
        return phrase, noun.tags

    def object(self, tags: Tags, subject: Nominal, *, definite: bool = False, unquantified: bool = False) -> Nominal:
        """An object with one of `tags` that differs from the subject."""
        if "person" in tags and self.random.bernoulli(0.2):
            same = (I, WE) if subject in (I, WE) else (subject,)
            return self.random.choose([pronoun for pronoun in (I, YOU, HE, SHE, WE, THEY) if pronoun not in same])
        noun = self.noun(tags, other_than=subject)
        return self.noun_phrase(noun, possessive=possessive_for(subject), definite=definite, unquantified=unquantified)

    def place(self, options: PrepositionChoices) -> PhrasePair:
        """A location or direction: in the garden, im Garten; through the forest, durch den Wald."""
        preposition, tags, _ = self.random.choose(options, [weight for _, _, weight in options])
        return prepositional(PREPOSITIONS[preposition], self.noun_phrase(self.noun(tags), plural=0.08, adjective=0.25))


def possessive_for(subject: Nominal) -> str | None:
    """The possessive that refers to the subject, if it is the same in both languages."""
    if isinstance(subject, Pronoun):
        return _POSSESSIVES.get(subject)
    if isinstance(subject, NounPhrase) and not subject.plural:
        return "his" if "male" in subject.noun.tags else "her" if "female" in subject.noun.tags else None
    return None
