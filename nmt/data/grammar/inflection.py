"""How the words of the built-in grammar bend: English and German verbs, articles, adjectives and nouns.

Rules where the languages have rules, tables where they have not. The tables are the ones that school grammars print.

An agreement is a person and a number: "1s", "2s", "3s", "1p" or "3p" (I, you, he, we, they). A German column is a
gender, "m", "f" or "n", or "p", the plural, in which the genders fall together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Case = Literal["nominative", "accusative", "dative"]
Gender = Literal["m", "f", "n"]
Agreement = Literal["1s", "2s", "3s", "1p", "3p"]
Time = Literal["present", "past"]

AGREEMENTS: tuple[Agreement, ...] = ("1s", "2s", "3s", "1p", "3p")

# ---------------------------------------------------------------- German declension

_TABLE = {  # ending by declension and case, in the columns m, f, n, p
    "strong": {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"},
    "weak": {"nominative": "e e e en", "accusative": "en e e en", "dative": "en en en en"},
    "mixed": {"nominative": "er e es en", "accusative": "en e es en", "dative": "en en en en"},
    "ein": {"nominative": "- e - e", "accusative": "en e - e", "dative": "em er em en"},
    "definite": {"nominative": "der die das die", "accusative": "den die das die", "dative": "dem der dem den"},
}
_ENDINGS = {
    (declension, case, column): ending.removeprefix("-")
    for declension, cases in _TABLE.items()
    for case, row in cases.items()
    for column, ending in zip("mfnp", row.split(), strict=True)
}

Declension = Literal["definite", "der", "ein", "fixed", "strong"]
"""How a determiner bends: the definite article itself; like it (dieser, jeder); like ein (mein, kein); not at all
(zwei); or as an adjective would (viele)."""


def german_determiner(stem: str, declension: Declension, case: Case, column: str) -> str:
    """`stem` in its place: ("dies", "der", "dative", "f") is "dieser". The definite article needs no stem."""
    match declension:
        case "definite":
            return _ENDINGS["definite", case, column]
        case "fixed":
            return stem
        case "ein":
            return stem + _ENDINGS["ein", case, column]
        case "der" | "strong":
            return stem + _ENDINGS["strong", case, column]


def german_adjective(stem: str, after: Declension | None, case: Case, column: str) -> str:
    """The attributive form of an adjective behind a determiner of the declension `after`, or behind none."""
    if after in ("definite", "der"):
        return stem + _ENDINGS["weak", case, column]
    if after == "ein":
        return stem + _ENDINGS["mixed", case, column]
    return stem + _ENDINGS["strong", case, column]


def german_relative(case: Case, column: str) -> str:
    """The relative pronoun: the article, but for the dative plural."""
    return "denen" if (case, column) == ("dative", "p") else _ENDINGS["definite", case, column]


def german_dative_plural(plural: str) -> str:
    """A plural noun in the dative: den Hunden, but den Frauen, den Autos."""
    return plural if plural.endswith(("n", "s")) else plural + "n"


# ---------------------------------------------------------------- German conjugation

_IRREGULAR = {  # present and past, in the order of AGREEMENTS
    "sein": ("bin bist ist sind sind", "war warst war waren waren"),
    "haben": ("habe hast hat haben haben", "hatte hattest hatte hatten hatten"),
    "werden": ("werde wirst wird werden werden", "wurde wurdest wurde wurden wurden"),
    "können": ("kann kannst kann können können", "konnte konntest konnte konnten konnten"),
    "müssen": ("muss musst muss müssen müssen", "musste musstest musste mussten mussten"),
    "wollen": ("will willst will wollen wollen", "wollte wolltest wollte wollten wollten"),
    "sollen": ("soll sollst soll sollen sollen", "sollte solltest sollte sollten sollten"),
    "dürfen": ("darf darfst darf dürfen dürfen", "durfte durftest durfte durften durften"),
    "wissen": ("weiß weißt weiß wissen wissen", "wusste wusstest wusste wussten wussten"),
}
_INSEPARABLE = ("be", "ver", "er", "ent", "über")  # these prefixes stay, and their participles go without ge-


@dataclass(frozen=True, slots=True)
class GermanVerb:
    """A verb by its principal parts. `prefix` is the separable one ("an" of anrufen), or empty."""

    prefix: str
    base: str  # the infinitive without the prefix: "rufen"
    third: str  # "ruft", as in: er ruft … an
    past: str  # "rief"
    participle: str  # "angerufen", whole
    auxiliary: Literal["haben", "sein"]  # of the perfect

    @staticmethod
    def parse(text: str) -> GermanVerb:
        """Reads "an|rufen ruft rief gerufen", "kommen kommt kam gekommen sein", or "kaufen" for a weak verb."""
        infinitive, *parts = text.split()
        prefix, _, base = infinitive.rpartition("|")
        auxiliary: Literal["haben", "sein"] = "haben"
        if parts and parts[-1] == "sein":
            auxiliary = "sein"
            parts.pop()
        third, past, participle = parts or _weak(base)
        return GermanVerb(prefix, base, third, past, prefix + participle, auxiliary)

    @property
    def infinitive(self) -> str:
        return self.prefix + self.base

    def finite(self, time: Time, agreement: Agreement) -> str:
        """The finite form without the prefix: ("present", "2s") of anrufen is "rufst"."""
        return german_finite(self.base, self.third, self.past, time, agreement)


def _stem(infinitive: str) -> str:
    """kaufen: kauf; füttern: fütter."""
    return infinitive.removesuffix("n").removesuffix("e")


def _weak(infinitive: str) -> tuple[str, str, str]:
    """Third person, past and participle of a weak verb: arbeiten, arbeitet, arbeitete, gearbeitet."""
    stem = _stem(infinitive)
    if stem.endswith(("t", "d", "ffn", "chn")):
        stem += "e"
    bare = infinitive.endswith("ieren") or infinitive.startswith(_INSEPARABLE)
    return f"{stem}t", f"{stem}te", f"{'' if bare else 'ge'}{stem}t"


def german_finite(base: str, third: str, past: str, time: Time, agreement: Agreement) -> str:
    """A finite form from the infinitive and two principal parts, which an irregular verb does not need."""
    position = AGREEMENTS.index(agreement)
    if base in _IRREGULAR:
        return _IRREGULAR[base][time == "past"].split()[position]
    if time == "past":
        stem = past.removesuffix("e")
        second = f"{stem}est" if past.endswith("e") or stem.endswith(("t", "d", "s", "ß")) else f"{stem}st"
        return (past, second, past, f"{stem}en", f"{stem}en")[position]
    first = _stem(base) + "e"
    stem = third.removesuffix("t")
    second = third if stem.endswith(("s", "ß", "z")) else f"{stem}st"
    return (first, second, third, base, base)[position]


def auxiliary(lemma: str, time: Time, agreement: Agreement) -> str:
    """A finite form of sein, haben, werden or a modal verb."""
    return german_finite(lemma, "", "", time, agreement)


# ---------------------------------------------------------------- English

_ENGLISH_IRREGULAR = {
    "be": ("am are is are are", "was were was were were"),
    "have": ("have have has have have", "had had had had had"),
    "do": ("do do does do do", "did did did did did"),
}


@dataclass(frozen=True, slots=True)
class EnglishVerb:
    """A verb by its principal parts. `particle` follows it ("up", "for"), behind a pronoun where `movable`."""

    base: str
    past: str
    participle: str
    particle: str
    movable: bool

    @staticmethod
    def parse(text: str) -> EnglishVerb:
        """Reads "buy/bought/bought", "wake/woke/woken +up" (wake him up), "look for" (look for him)."""
        parts, _, particle = text.partition(" ")
        base, *rest = parts.split("/")
        past, participle = rest or (_regular_past(base),) * 2
        return EnglishVerb(base, past, participle, particle.removeprefix("+"), particle.startswith("+"))

    def finite(self, time: Time, agreement: Agreement) -> str:
        """The finite form without the particle."""
        if self.base in _ENGLISH_IRREGULAR:
            return _ENGLISH_IRREGULAR[self.base][time == "past"].split()[AGREEMENTS.index(agreement)]
        if time == "past":
            return self.past
        return with_s(self.base) if agreement == "3s" else self.base


HAVE = EnglishVerb("have", "had", "had", "", False)
DO = EnglishVerb("do", "did", "done", "", False)
WANT = EnglishVerb("want", "wanted", "wanted", "", False)


def _regular_past(base: str) -> str:
    if base.endswith("e"):
        return f"{base}d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}ied"
    return f"{base}ed"


def with_s(word: str) -> str:
    """The third person of a verb, and the plural of a noun: washes, carries, plays; boxes, stories, toys."""
    if word.endswith(("s", "x", "z", "ch", "sh", "o")):
        return f"{word}es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def english_article(following: str) -> str:
    """The indefinite article in front of `following`. The lexicon has no word that sounds unlike its first letter."""
    return "an" if following[0] in "aeiou" else "a"
