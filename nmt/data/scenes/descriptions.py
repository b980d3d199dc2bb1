"""Scenes in words, in English and German.

    The picture shows a small red circle.                Das Bild zeigt einen kleinen roten Kreis.
    A large blue square is above two small red rings.    Ein großes blaues Quadrat ist über zwei kleinen roten Ringen.

The German noun phrases are in the nominative, the accusative and the dative.
"""

from __future__ import annotations

from dataclasses import dataclass

from nmt.data.grammar.inflection import (
    Case,
    Gender,
    decline_adjective,
    decline_determiner,
    german_dative_plural,
)
from nmt.data.scenes.world import Group, Relation, Scene


@dataclass(frozen=True, slots=True)
class GermanNoun:
    singular: str
    plural: str
    gender: Gender


NOUNS = {
    "circle": GermanNoun("Kreis", "Kreise", "m"),
    "ring": GermanNoun("Ring", "Ringe", "m"),
    "square": GermanNoun("Quadrat", "Quadrate", "n"),
    "triangle": GermanNoun("Dreieck", "Dreiecke", "n"),
    "diamond": GermanNoun("Raute", "Rauten", "f"),
    "cross": GermanNoun("Kreuz", "Kreuze", "n"),
}
ADJECTIVES = {
    "small": "klein",
    "large": "groß",
    "red": "rot",
    "green": "grün",
    "blue": "blau",
    "yellow": "gelb",
    "brown": "braun",
    "black": "schwarz",
}
"""Stems, to which endings are added."""

PREPOSITIONS: dict[Relation, str] = {
    "above": "über",
    "below": "unter",
    "left of": "links von",
    "right of": "rechts von",
}
NUMBERS = {"en": {1: "a", 2: "two", 3: "three"}, "de": {2: "zwei", 3: "drei"}}


def describe(scene: Scene, language: str) -> str:
    """The sentence that describes a scene in "en" or "de"."""
    if language == "en":
        return describe_in_english(scene)
    assert language == "de", "scenes are described in two languages"
    return describe_in_german(scene)


def describe_in_english(scene: Scene) -> str:
    """The English sentence that describes a scene."""
    first, *others = scene.groups
    if not others:
        return f"The picture shows {english_phrase(first)}."
    verb = "is" if first.count == 1 else "are"
    return capitalize(f"{english_phrase(first)} {verb} {scene.relation} {english_phrase(others[0])}.")


def describe_in_german(scene: Scene) -> str:
    """The German sentence that describes a scene."""
    first, *others = scene.groups
    if not others:
        return f"Das Bild zeigt {german_phrase(first, 'accusative')}."
    verb = "ist" if first.count == 1 else "sind"
    place = f"{PREPOSITIONS[scene.relation]} {german_phrase(others[0], 'dative')}"
    return capitalize(f"{german_phrase(first, 'nominative')} {verb} {place}.")


def english_phrase(group: Group) -> str:
    """A group as a noun phrase: two small red crosses."""
    look = group.look
    plural = {1: "", 2: "es" if look.shape == "cross" else "s"}[min(group.count, 2)]
    return f"{NUMBERS['en'][group.count]} {look.size} {look.color} {look.shape}{plural}"


def german_phrase(group: Group, case: Case) -> str:
    """A group as a noun phrase in a case: zwei kleinen roten Kreuzen."""
    noun = NOUNS[group.look.shape]
    stems = [ADJECTIVES[word] for word in (group.look.size, group.look.color)]
    if group.count == 1:
        adjectives = [decline_adjective(stem, "ein", case, noun.gender) for stem in stems]
        return " ".join([decline_determiner("ein", "ein", case, noun.gender), *adjectives, noun.singular])
    adjectives = [decline_adjective(stem, None, case, "p") for stem in stems]
    plural = german_dative_plural(noun.plural) if case == "dative" else noun.plural
    return " ".join([NUMBERS["de"][group.count], *adjectives, plural])


def capitalize(sentence: str) -> str:
    """The sentence with a capital first letter."""
    return sentence[0].upper() + sentence[1:]
