"""The types of entries in the bilingual dictionary."""

from __future__ import annotations

from dataclasses import dataclass

from nmt.data.grammar.inflection import Case, Declension, EnglishVerb, Gender, GermanVerb

Tags = frozenset[str]
"""Semantic classes of nouns, such as "person" and "food"; a verb or adjective lists those that it goes with."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun with its plural in both languages; mass nouns (milk) have empty plurals."""

    english: str  # a compound is two words: "coffee cup"
    english_plural: str
    german: str  # … and a single one in German: "Kaffeetasse"
    german_plural: str
    gender: Gender
    weak: bool  # the n-declension: der Junge, den Jungen
    tags: Tags


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb with its selectional restrictions: which subjects, objects, phrases and clauses go with it."""

    english: EnglishVerb
    german: GermanVerb
    subjects: Tags
    objects: Tags  # empty for intransitive verbs
    case: Case  # of the German object
    uses: Tags  # prepositional phrases and clauses that go with it; "state" for a stative verb


@dataclass(frozen=True, slots=True)
class Adjective:
    english: str
    german: str
    stem: str  # to which endings are added: teuer, ein teures Auto
    tags: Tags


@dataclass(frozen=True, slots=True)
class Determiner:
    """An English determiner with its plural ("" if there is none), and the stem of the German one."""

    singular: str
    plural: str
    german: str
    declension: Declension
    definite: bool  # such as "the" and "my": German does not negate it by "kein"


@dataclass(frozen=True, slots=True)
class Preposition:
    english: str
    german: str
    case: Case
