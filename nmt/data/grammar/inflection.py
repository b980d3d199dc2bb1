"""Inflection in the built-in grammar: English and German verbs, determiners, adjectives and nouns.

Regular forms follow rules, irregular ones are listed in tables. The tables are those of school grammars.

An agreement is a person and a number: "1s", "2s", "3s", "1p" or "3p" (I, you, he, we, they). A German "gender_number"
is a gender, "m", "f" or "n", in the singular, or "p" in the plural, where gender makes no difference.
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

_TABLE = {  # endings by declension and case, for m, f, n, p
    "strong": {"nominative": "er e es e", "accusative": "en e es e", "dative": "em er em en"},
    "weak": {"nominative": "e e e en", "accusative": "en e e en", "dative": "en en en en"},
    "mixed": {"nominative": "er e es en", "accusative": "en e es en", "dative": "en en en en"},
    "ein": {"nominative": "- e - e", "accusative": "en e - e", "dative": "em er em en"},
    "definite": {"nominative": "der die das die", "accusative": "den die das die", "dative": "dem der dem den"},
}
_ENDINGS = {
    (declension, case, gender_number): ending.removeprefix("-")
    for declension, cases in _TABLE.items()
    for case, row in cases.items()
    for gender_number, ending in zip("mfnp", row.split(), strict=True)
}

Declension = Literal["definite", "der", "ein", "fixed", "strong"]
"""How a determiner is declined: as the definite article; "der": like it (dieser, jeder); "ein": like the indefinite
article (mein, kein); "fixed": not at all (zwei); "strong": like an adjective (viele)."""


def decline_determiner(stem: str, declension: Declension, case: Case, gender_number: str) -> str:
    """A form of a determiner: ("dies", "der", "dative", "f") gives "dieser". The definite article needs no stem."""
    match declension:
        case "definite":
            return _ENDINGS["definite", case, gender_number]
        case "fixed":
            return stem
        case "ein":
            return stem + _ENDINGS["ein", case, gender_number]
        case "der" | "strong":
            return stem + _ENDINGS["strong", case, gender_number]


def decline_adjective(stem: str, after: Declension | None, case: Case, gender_number: str) -> str:
    """The attributive form of an adjective after a determiner of the declension `after`, or without a determiner."""
    if after in ("definite", "der"):
        return stem + _ENDINGS["weak", case, gender_number]
    if after == "ein":
        return stem + _ENDINGS["mixed", case, gender_number]
    return stem + _ENDINGS["strong", case, gender_number]


def german_relative_pronoun(case: Case, gender_number: str) -> str:
    """A form of the relative pronoun, which equals the definite article except in the dative plural."""
    return "denen" if (case, gender_number) == ("dative", "p") else _ENDINGS["definite", case, gender_number]


def german_dative_plural(plural: str) -> str:
    """The dative of a plural noun: Hunde, den Hunden; but Frauen, den Frauen; Autos, den Autos."""
    return plural if plural.endswith(("n", "s")) else plural + "n"


# ---------------------------------------------------------------- German conjugation

_IRREGULAR = {  # present and past forms, in the order of AGREEMENTS
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
# These prefixes are never separated, and participles of verbs with them have no ge-.
_INSEPARABLE = ("be", "ver", "er", "ent", "über")


@dataclass(frozen=True, slots=True)
class GermanVerb:
    """A verb by its principal parts. `prefix` is the separable prefix ("an" in anrufen), or empty."""

    prefix: str
    base: str  # the infinitive without the prefix: "rufen"
    third: str  # third person singular present: "ruft", as in "er ruft … an"
    past: str  # first person singular past: "rief"
    participle: str  # "angerufen", including the prefix
    auxiliary: Literal["haben", "sein"]  # of the perfect

    @staticmethod
    def parse(text: str) -> GermanVerb:
        """Parses "an|rufen ruft rief gerufen", "kommen kommt kam gekommen sein", or just "kaufen" for a weak verb."""
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
        """A finite form without the prefix: ("present", "2s") of anrufen gives "rufst"."""
        return conjugate_german(self.base, self.third, self.past, time, agreement)


def _stem(infinitive: str) -> str:
    """The stem of an infinitive: kaufen, kauf; füttern, fütter."""
    return infinitive.removesuffix("n").removesuffix("e")


def _weak(infinitive: str) -> tuple[str, str, str]:
    """Third person, past and participle of a weak verb: arbeiten, arbeitet, arbeitete, gearbeitet."""
    stem = _stem(infinitive)
    if stem.endswith(("t", "d", "ffn", "chn")):
        stem += "e"
    bare = infinitive.endswith("ieren") or infinitive.startswith(_INSEPARABLE)
    return f"{stem}t", f"{stem}te", f"{'' if bare else 'ge'}{stem}t"


def conjugate_german(base: str, third: str, past: str, time: Time, agreement: Agreement) -> str:
    """A finite form, from the infinitive and two principal parts, which are ignored for verbs in `_IRREGULAR`."""
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


def conjugate_auxiliary(lemma: str, time: Time, agreement: Agreement) -> str:
    """A finite form of sein, haben, werden or a modal verb."""
    return conjugate_german(lemma, "", "", time, agreement)


# ---------------------------------------------------------------- English

_ENGLISH_IRREGULAR = {
    "be": ("am are is are are", "was were was were were"),
    "have": ("have have has have have", "had had had had had"),
    "do": ("do do does do do", "did did did did did"),
}


@dataclass(frozen=True, slots=True)
class EnglishVerb:
    """A verb by its principal parts, and the particle that follows it ("up", "for"), after a pronoun if `movable`."""

    base: str
    past: str
    participle: str
    particle: str
    movable: bool

    @staticmethod
    def parse(text: str) -> EnglishVerb:
        """Parses "buy/bought/bought", "wake/woke/woken +up" (wake him up), "look for" (look for him)."""
        parts, _, particle = text.partition(" ")
        base, *rest = parts.split("/")
        past, participle = rest or (_regular_past(base),) * 2
        return EnglishVerb(base, past, participle, particle.removeprefix("+"), particle.startswith("+"))

    def finite(self, time: Time, agreement: Agreement) -> str:
        """A finite form without the particle."""
        if self.base in _ENGLISH_IRREGULAR:
            return _ENGLISH_IRREGULAR[self.base][time == "past"].split()[AGREEMENTS.index(agreement)]
        if time == "past":
            return self.past
        return add_s(self.base) if agreement == "3s" else self.base


HAVE = EnglishVerb("have", "had", "had", "", False)
DO = EnglishVerb("do", "did", "done", "", False)
WANT = EnglishVerb("want", "wanted", "wanted", "", False)


def _regular_past(base: str) -> str:
    if base.endswith("e"):
        return f"{base}d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}ied"
    return f"{base}ed"


def add_s(word: str) -> str:
    """Adds -s, as in the third person of verbs and the plural of nouns: washes, carries, plays; boxes, stories."""
    if word.endswith(("s", "x", "z", "ch", "sh", "o")):
        return f"{word}es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"


def indefinite_article(following: str) -> str:
    """The indefinite article before `following`; no word of the lexicon sounds unlike its first letter (hour)."""
    return "an" if following[0] in "aeiou" else "a"
