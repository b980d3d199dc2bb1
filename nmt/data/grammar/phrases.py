"""How the words of the built-in grammar stand together: every phrase is built in both languages at once.

A German word knows the English words that it translates, wherever either of them goes. A phrase can therefore be
ordered freely, by the rules of each language, and the exact word alignment is read off at the end, by `finish`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from nmt.data.grammar.entries import Adjective, Determiner, Noun, Preposition
from nmt.data.grammar.inflection import (
    Agreement,
    Case,
    english_article,
    german_adjective,
    german_dative_plural,
    german_determiner,
    german_relative,
)


@dataclass(eq=False, slots=True)
class Word:
    """One word in one place of one sentence; two words with the same text are two words."""

    text: str
    translates: tuple[Word, ...] = ()  # of a German word: the English words that it stands for
    role: Literal["antecedent", "pronoun", None] = None


@dataclass(frozen=True, slots=True)
class Both:
    """A stretch of English and the stretch of German that says the same."""

    english: tuple[Word, ...] = ()
    german: tuple[Word, ...] = ()

    def __add__(self, other: Both) -> Both:
        return Both(self.english + other.english, self.german + other.german)


NOTHING = Both()


def linked(english: str, german: str) -> Both:
    """Fixed expressions. Units between blanks correspond one to one, or all to all where their numbers differ.

    An underscore joins the words of a unit: ("on_Sundays", "sonntags"), ("last week", "letzte Woche").
    """
    units = [tuple(Word(word) for word in unit.split("_")) for unit in english.split()]
    words = tuple(word for unit in units for word in unit)
    german_units = german.split()
    spread = units if len(units) == len(german_units) else [words] * len(german_units)
    return Both(
        words,
        tuple(
            Word(text, unit) for unit, joined in zip(spread, german_units, strict=True) for text in joined.split("_")
        ),
    )


# ---------------------------------------------------------------- what can be a subject or an object


class Nominal(Protocol):
    """What can be a subject or an object: it has an agreement, and both languages' words in each case."""

    @property
    def agreement(self) -> Agreement: ...

    @property
    def definite(self) -> bool:
        """Whether German puts it in front of "nicht" and negates the verb, rather than saying "kein"."""

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> Both:
        """Its words; `negation`, the English "not", is taken into an indefinite German object: kein."""


_KEIN = Determiner("", "", "kein", "ein", definite=False)


@dataclass(frozen=True, eq=False)
class NounPhrase:
    """Determiner, adjective, noun, relative clause: the old dog that sleeps, der alte Hund, der schläft."""

    noun: Noun
    determiner: Determiner | None = None
    adjective: Adjective | None = None
    plural: bool = False
    relative: Both = NOTHING  # as clauses.relative makes it
    antecedent: bool = False  # a pronoun elsewhere in the sentence stands for it

    @property
    def agreement(self) -> Agreement:
        return "3p" if self.plural else "3s"

    @property
    def column(self) -> str:
        return "p" if self.plural else self.noun.gender

    @property
    def definite(self) -> bool:
        return self.determiner is not None and self.determiner.definite

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> Both:
        noun = self.noun
        english_noun = tuple(Word(text) for text in (noun.english_plural if self.plural else noun.english).split())
        german_noun = Word(self._german_noun(case), english_noun)
        if self.antecedent:
            english_noun[-1].role = german_noun.role = "antecedent"  # the head of a compound is its last word
        both = Both(english_noun, (german_noun,))

        determiner = self.determiner
        german_side = _KEIN if negation else determiner
        after = german_side.declension if german_side else None
        if self.adjective:
            english = Word(self.adjective.english)
            german = german_adjective(self.adjective.stem, after, case, self.column)
            both = Both((english,), (Word(german, (english,)),)) + both
        articles: tuple[Word, ...] = ()
        if determiner:
            text = determiner.plural if self.plural else determiner.singular
            articles = (Word(english_article(both.english[0].text) if text == "a" else text),)
        if german_side:
            text = german_determiner(german_side.german, german_side.declension, case, self.column)
            both = Both(articles, (Word(text, articles + negation),)) + both
        return both + self.relative

    def _german_noun(self, case: Case) -> str:
        if self.plural:
            plural = self.noun.german_plural
            return german_dative_plural(plural) if case == "dative" else plural
        return self.noun.german_plural if self.noun.weak and case != "nominative" else self.noun.german


@dataclass(frozen=True, eq=False)
class Pronoun:
    """A personal, relative or interrogative pronoun."""

    subject: str  # the English form as a subject …
    object: str  # … and as an object
    german: tuple[str, str, str]  # nominative, accusative, dative
    agreement: Agreement
    stands_for_antecedent: bool = False
    definite: bool = True

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> Both:
        role: Literal["pronoun"] | None = "pronoun" if self.stands_for_antecedent else None
        english = Word(self.subject if case == "nominative" else self.object, role=role)
        german = self.german[("nominative", "accusative", "dative").index(case)]
        return Both((english,), (Word(german, (english,), role=role),))


def _personal(subject: str, object_: str, german: str, agreement: Agreement) -> Pronoun:
    nominative, accusative, dative = german.split()
    return Pronoun(subject, object_, (nominative, accusative, dative), agreement)


I = _personal("I", "me", "ich mich mir", "1s")  # noqa: E741  the pronoun is called so
YOU = _personal("you", "you", "du dich dir", "2s")
HE = _personal("he", "him", "er ihn ihm", "3s")
SHE = _personal("she", "her", "sie sie ihr", "3s")
WE = _personal("we", "us", "wir uns uns", "1p")
THEY = _personal("they", "them", "sie sie ihnen", "3p")
_IT = {
    "m": _personal("it", "it", "er ihn ihm", "3s"),
    "f": _personal("it", "it", "sie sie ihr", "3s"),
    "n": _personal("it", "it", "es es ihm", "3s"),
}
WHO = _personal("who", "who", "wer wen wem", "3s")
WHAT = _personal("what", "what", "was was was", "3s")


def pronoun_for(phrase: NounPhrase) -> Pronoun:
    """The personal pronoun that stands for `phrase`: in German, its grammatical gender chooses the form."""
    if phrase.plural:
        pronoun = THEY
    elif "male" in phrase.noun.tags:
        pronoun = HE
    elif "female" in phrase.noun.tags:
        pronoun = SHE
    else:
        pronoun = _IT[phrase.noun.gender]
    return replace(pronoun, stands_for_antecedent=True)


def relative_pronoun(noun: Noun, *, plural: bool) -> Pronoun:
    """who or that; der, die, das, in the noun's gender and number and in whatever case its own clause asks for."""
    english = "who" if "person" in noun.tags else "that"
    column = "p" if plural else noun.gender
    cases: tuple[Case, Case, Case] = ("nominative", "accusative", "dative")
    nominative, accusative, dative = (german_relative(case, column) for case in cases)
    return Pronoun(english, english, (nominative, accusative, dative), "3p" if plural else "3s")


@dataclass(frozen=True, eq=False)
class Conjoined:
    """Two nominals with "and"; together they are plural."""

    first: Nominal
    second: Nominal
    agreement: Agreement = "3p"

    @property
    def definite(self) -> bool:
        return self.first.definite and self.second.definite

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> Both:
        assert not negation, "what is conjoined and negated is definite"
        return self.first.realise(case) + linked("and", "und") + self.second.realise(case)


_CONTRACTIONS = {("in", "dem"): "im", ("in", "das"): "ins", ("zu", "dem"): "zum", ("zu", "der"): "zur"}


def prepositional(preposition: Preposition, nominal: Nominal) -> Both:
    """A preposition with its nominal; German contracts some with the article: in the garden, im Garten."""
    words = tuple(Word(text) for text in preposition.english.split())
    inner = nominal.realise(preposition.case)
    first = inner.german[0]
    contraction = _CONTRACTIONS.get((preposition.german, first.text))
    if contraction:
        return Both(words + inner.english, (Word(contraction, words + first.translates), *inner.german[1:]))
    return Both(words, (Word(preposition.german, words),)) + inner


# ---------------------------------------------------------------- finished sentences


@dataclass(frozen=True, slots=True)
class Antecedent:
    """Where a pronoun and the noun that it stands for are, as word indices on both sides."""

    source_noun: int
    source_pronoun: int
    target_noun: int
    target_pronoun: int


@dataclass(frozen=True, slots=True)
class GrammarPair:
    """A sentence, its translation, and which word of the one corresponds to which word of the other.

    Indices count the `words` of a sentence, from 0, punctuation marks included. The alignment is sorted; a word may
    be in several of its pairs (a compound) or in none ("do" in a question, the comma before a German clause).
    """

    source: str
    target: str
    alignment: tuple[tuple[int, int], ...]  # (index of the source word, index of the target word)
    antecedent: Antecedent | None  # of a pronoun whose noun is in the same sentence

    def reversed(self) -> GrammarPair:
        """The pair in the other direction."""
        antecedent = self.antecedent and Antecedent(
            source_noun=self.antecedent.target_noun,
            source_pronoun=self.antecedent.target_pronoun,
            target_noun=self.antecedent.source_noun,
            target_pronoun=self.antecedent.source_pronoun,
        )
        return GrammarPair(self.target, self.source, tuple(sorted((t, s) for s, t in self.alignment)), antecedent)


def words(sentence: str) -> list[str]:
    """The words that an alignment counts: runs of letters and digits, and punctuation marks one by one.

    "Der Hund, der schläft." is Der · Hund · , · der · schläft · .
    """
    return re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", sentence)


def finish(both: Both, end: Literal[".", "?"]) -> GrammarPair:
    """The pair of sentences, English as the source: capitals, punctuation and alignment."""
    both += linked(end, end)
    english, german = list(both.english), _without_double_commas(both.german)
    position = {id(word): index for index, word in enumerate(english)}
    alignment = sorted((position[id(word)], index) for index, of in enumerate(german) for word in of.translates)
    return GrammarPair(_text(english), _text(german), tuple(alignment), _antecedent(english, german))


def _without_double_commas(sentence: Iterable[Word]) -> list[Word]:
    """A subordinate clause puts a comma at either end of itself; in front of another mark a comma falls away."""
    kept: list[Word] = []
    for word in sentence:
        if word.text in {",", ".", "?"} and kept and kept[-1].text == ",":
            kept.pop()
        kept.append(word)
    return kept


def _text(sentence: list[Word]) -> str:
    text = re.sub(r" (?=[,.?])", "", " ".join(word.text for word in sentence))
    return text[0].upper() + text[1:]


def _antecedent(english: list[Word], german: list[Word]) -> Antecedent | None:
    places = {
        (side, word.role): index
        for side, sentence in enumerate((english, german))
        for index, word in enumerate(sentence)
        if word.role
    }
    if not places:
        return None
    return Antecedent(
        source_noun=places[0, "antecedent"],
        source_pronoun=places[0, "pronoun"],
        target_noun=places[1, "antecedent"],
        target_pronoun=places[1, "pronoun"],
    )
