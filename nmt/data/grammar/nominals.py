"""Draws nominals that make sense: nouns with determiners and adjectives, subjects, objects, places.

All chance comes from one `random.Random`, through `Dice`.
"""

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
    Both,
    Conjoined,
    I,
    Nominal,
    NounPhrase,
    Pronoun,
    prepositional,
)

T = TypeVar("T")

PERSON: Tags = frozenset({"person"})
ANIMATE: Tags = frozenset({"person", "animal"})
_GROWN_UP: Tags = frozenset({"person", "adult"})

# Determiners and their weights, by what they stand with; "" is none
_SINGULAR = {"the": 50, "a": 24, "my": 8, "this": 8, "our": 3, "your": 2}
_PLURAL = {"the": 50, "": 15, "this": 8, "my": 6, "our": 3, "two": 7, "three": 4, "many": 7}
_MASS = {"the": 50, "": 40, "this": 5, "my": 5}
_PLACE = {"the": 78, "a": 12, "this": 10}
_PLACES = {"the": 90, "this": 10}
_OWNED = {"my", "your", "our"}  # not of a stranger; "meine Frau" is my wife
_POSSESSIVES = {I: "my", YOU: "your", HE: "his", SHE: "her", WE: "our"}

Places = tuple[tuple[str, Tags, int], ...]
"""Prepositions, the nouns that may stand behind each, and a weight."""

WHERE: Places = (
    ("in", frozenset({"inside"}), 8),
    ("on", frozenset({"surface"}), 4),
    ("under", frozenset({"shelter"}), 1),
    ("behind", frozenset({"building", "tree"}), 2),
    ("next to", frozenset({"building", "waters", "tree"}), 2),
    ("in front of", frozenset({"building"}), 2),
)
ON_FOOT: Places = (
    ("into", frozenset({"inside"}), 2),
    ("to", frozenset({"goal"}), 2),
    ("through", frozenset({"outdoors", "settlement"}), 1),
)
BY_CAR: Places = (
    ("into", frozenset({"settlement"}), 1),
    ("to", frozenset({"goal"}), 2),
    ("through", frozenset({"settlement", "forest"}), 1),
)


class Dice:
    """Chance, from `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the options, each as likely as its weight says."""
        if weights is None:
            return options[int(self.random.random() * len(options))]
        return self.random.choices(options, weights)[0]


@cache
def nouns_with(tags: Tags, also: Tags | None = None) -> tuple[Noun, ...]:
    """The nouns that have one of the tags (and one of `also`), in the lexicon's order."""
    return tuple(noun for noun in NOUNS.values() if noun.tags & tags and (also is None or noun.tags & also))


@cache
def adjectives_for(tags: Tags) -> tuple[Adjective, ...]:
    """The adjectives that may describe a noun with these tags."""
    return tuple(adjective for adjective in ADJECTIVES.values() if adjective.tags & tags)


class Nominals:
    """Draws nominals with `dice`."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice

    def noun(self, tags: Tags, also: Tags | None = None, *, but: Nominal | None = None) -> Noun:
        """A noun with one of `tags` and one of `also`, other than the one of the noun phrase `but`."""
        nouns = nouns_with(tags, also)
        noun = self.dice.pick(nouns)
        if isinstance(but, NounPhrase) and noun is but.noun:
            return self.dice.pick([other for other in nouns if other is not noun])
        return noun

    def noun_phrase(
        self,
        noun: Noun,
        *,
        owner: str | None = None,
        definite: bool = False,
        countless: bool = False,
        plural: float = 0.25,
        adjective: float = 0.35,
    ) -> NounPhrase:
        """A noun with what goes before it.

        Args:
            noun: the noun.
            owner: a possessive that fits the subject ("his"), one more determiner to choose from.
            definite: only determiners that German treats as known.
            countless: no numerals and no "many", as behind "not".
            plural: the probability of a plural.
            adjective: the probability of an adjective.
        """
        is_plural = bool(noun.german_plural) and self.dice.chance(plural)
        if "place" in noun.tags:
            weights = _PLACES if is_plural else _PLACE
        else:
            weights = _PLURAL if is_plural else _SINGULAR if noun.german_plural else _MASS
            if owner and "stranger" not in noun.tags:
                weights = {**weights, owner: weights.get(owner, 0) + 12}
        if "stranger" in noun.tags:
            weights = {name: weight for name, weight in weights.items() if name not in _OWNED}
        if definite:
            weights = {name: weight for name, weight in weights.items() if name and DETERMINERS[name].definite}
        elif countless:
            weights = {name: weight for name, weight in weights.items() if name not in {"two", "three", "many"}}
        name = self.dice.pick(list(weights), list(weights.values()))
        fitting = adjectives_for(noun.tags)
        return NounPhrase(
            noun=noun,
            determiner=DETERMINERS[name] if name else None,
            adjective=self.dice.pick(fitting) if fitting and self.dice.chance(adjective) else None,
            plural=is_plural,
        )

    def subject(
        self, tags: Tags, also: Tags | None = None, *, described: bool = False, question: bool = False
    ) -> tuple[Nominal, Tags]:
        """A subject whose noun has one of `tags` and one of `also`, and the tags that it has in the end.

        Where `described`, an adjective is to follow by "be": the subject is definite and has none yet.
        """
        noun = self.noun(tags, also)
        if "person" in noun.tags and self.dice.chance(0.3):
            return self.dice.pick((I, HE, SHE, WE, THEY, YOU), (3, 3, 3, 3, 2, 8 if question else 1)), _GROWN_UP
        phrase = self.noun_phrase(noun, definite=described, adjective=0.0 if described else 0.35)
        if phrase.definite and self.dice.chance(0.07):
            second = self.noun(tags, also, but=phrase)
            common = noun.tags & second.tags & (ANIMATE | _GROWN_UP)
            if common:
                return Conjoined(phrase, self.noun_phrase(second, definite=True, adjective=0.0)), common
        return phrase, noun.tags

    def object(self, tags: Tags, subject: Nominal, *, definite: bool = False, countless: bool = False) -> Nominal:
        """An object with one of `tags` that is not the subject itself."""
        if "person" in tags and self.dice.chance(0.2):
            same = (I, WE) if subject in (I, WE) else (subject,)
            return self.dice.pick([pronoun for pronoun in (I, YOU, HE, SHE, WE, THEY) if pronoun not in same])
        noun = self.noun(tags, but=subject)
        return self.noun_phrase(noun, owner=owner_of(subject), definite=definite, countless=countless)

    def place(self, options: Places) -> Both:
        """Where or whereto: in the garden, im Garten; through the forest, durch den Wald."""
        preposition, tags, _ = self.dice.pick(options, [weight for _, _, weight in options])
        return prepositional(PREPOSITIONS[preposition], self.noun_phrase(self.noun(tags), plural=0.08, adjective=0.25))


def owner_of(subject: Nominal) -> str | None:
    """The possessive for what belongs to the subject, where both languages have the same one."""
    if isinstance(subject, Pronoun):
        return _POSSESSIVES.get(subject)
    if isinstance(subject, NounPhrase) and not subject.plural:
        return "his" if "male" in subject.noun.tags else "her" if "female" in subject.noun.tags else None
    return None
