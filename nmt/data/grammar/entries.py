"""What a dictionary of two languages says about a word."""

from __future__ import annotations

from dataclasses import dataclass

from nmt.data.grammar.inflection import Case, Declension, EnglishVerb, Gender, GermanVerb

Tags = frozenset[str]


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun with both its plurals, which are empty for what is not counted (milk)."""

    english: str  # a compound is two words: "coffee cup"
    english_plural: str
    german: str  # … and one in German: "Kaffeetasse"
    german_plural: str
    gender: Gender
    weak: bool  # the n-declension: der Junge, den Jungen
    tags: Tags


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb, what may be its subject and object, and what else may stand with it."""

    english: EnglishVerb
    german: GermanVerb
    subjects: Tags
    objects: Tags  # empty: there is none
    case: Case  # of the German object
    uses: Tags  # the phrases and clauses that make sense with it


@dataclass(frozen=True, slots=True)
class Adjective:
    english: str
    german: str
    stem: str  # what endings are added to: teuer, ein teures Auto
    tags: Tags


@dataclass(frozen=True, slots=True)
class Determiner:
    """An English determiner, its plural ("" where it has none), and the German stem that its forms are built on."""

    singular: str
    plural: str
    german: str
    declension: Declension
    definite: bool


@dataclass(frozen=True, slots=True)
class Preposition:
    english: str
    german: str
    case: Case
