"""Phrases of the built-in grammar: every phrase is built in both languages at once.

A German word has references to the English words that it translates, which stay valid wherever the words are moved. So
each language orders its words by its own rules, and `finish_sentence` reads the exact word alignment from the result.
Words of one language refer to each other in the same way: an adjective belongs to a noun, a subject to a verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from nmt.data.grammar.entries import Adjective, Determiner, Noun, Preposition
from nmt.data.grammar.inflection import (
    Agreement,
    Case,
    decline_adjective,
    decline_determiner,
    german_dative_plural,
    german_relative_pronoun,
    indefinite_article,
)

RelationName = Literal["subject", "adjective", "article", "particle", "antecedent"]
"""How a word is related to another word of its sentence; see `SentenceGrammar`."""


@dataclass(eq=False, slots=True)
class Word:
    """One occurrence of a word in a sentence; words with equal text are different objects."""

    text: str
    translates: tuple[Word, ...] = ()  # of a German word: the English words that it is aligned with
    role: Literal["antecedent", "pronoun", None] = None
    phrase: NounPhrase | None = None  # of which it is the head
    related: list[tuple[RelationName, Word]] = field(default_factory=list)  # other words of the sentence


@dataclass(frozen=True, slots=True)
class PhrasePair:
    """An English phrase and its German translation."""

    english: tuple[Word, ...] = ()
    german: tuple[Word, ...] = ()

    def __add__(self, other: PhrasePair) -> PhrasePair:
        return PhrasePair(self.english + other.english, self.german + other.german)


EMPTY = PhrasePair()


def align_words(english: str, german: str) -> PhrasePair:
    """Builds a fixed expression from units separated by spaces, aligned one to one if both sides have equally many.

    Otherwise, all units are aligned with all. An underscore joins words into a unit: ("last week", "letzte Woche") has
    two units, ("on_Sundays", "sonntags") has one.
    """
    units = [tuple(Word(word) for word in unit.split("_")) for unit in english.split()]
    words = tuple(word for unit in units for word in unit)
    german_units = german.split()
    translated = units if len(units) == len(german_units) else [words] * len(german_units)
    german_words = (
        Word(text, unit)
        for unit, german_unit in zip(translated, german_units, strict=True)
        for text in german_unit.split("_")
    )
    return PhrasePair(words, tuple(german_words))


# ---------------------------------------------------------------- nominals: subjects and objects


class Nominal(Protocol):
    """Something that can be a subject or an object."""

    @property
    def agreement(self) -> Agreement:
        """Its person and number, with which the verb agrees."""

    @property
    def definite(self) -> bool:
        """Whether German negates the clause by "nicht" after this nominal, and not by "kein" in it."""

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> PhrasePair:
        """Its words in a German case. An indefinite German object absorbs `negation`, the English "not": kein."""


_KEIN = Determiner("", "", "kein", "ein", definite=False)


@dataclass(frozen=True, eq=False)
class NounPhrase:
    """A determiner, adjective, noun and relative clause: the old dog that sleeps, der alte Hund, der schläft."""

    noun: Noun
    determiner: Determiner | None = None
    adjective: Adjective | None = None
    plural: bool = False
    relative: PhrasePair = EMPTY  # from `clauses.relative`
    antecedent: bool = False  # whether a pronoun in the sentence refers to it

    @property
    def agreement(self) -> Agreement:
        return "3p" if self.plural else "3s"

    @property
    def gender_number(self) -> str:
        """The gender in the singular, "m", "f" or "n"; "p" in the plural."""
        return "p" if self.plural else self.noun.gender

    @property
    def definite(self) -> bool:
        return self.determiner is not None and self.determiner.definite

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> PhrasePair:
        noun = self.noun
        english_noun = tuple(Word(text) for text in (noun.english_plural if self.plural else noun.english).split())
        german_noun = Word(self._german_noun(case), english_noun)
        heads = english_noun[-1], german_noun  # the head of a compound is its last word
        for head in heads:
            head.phrase = self
            head.role = "antecedent" if self.antecedent else None
        phrase = PhrasePair(english_noun, (german_noun,))

        determiner = self.determiner
        german_determiner = _KEIN if negation else determiner
        declension = german_determiner.declension if german_determiner else None
        if self.adjective:
            english = Word(self.adjective.english)
            german = decline_adjective(self.adjective.stem, declension, case, self.gender_number)
            adjective = PhrasePair((english,), (Word(german, (english,)),))
            _relate(heads, "adjective", adjective)
            phrase = adjective + phrase
        articles: tuple[Word, ...] = ()
        if determiner:
            text = determiner.plural if self.plural else determiner.singular
            articles = (Word(indefinite_article(phrase.english[0].text) if text == "a" else text),)
        if german_determiner:
            text = decline_determiner(german_determiner.german, german_determiner.declension, case, self.gender_number)
            article = PhrasePair(articles, (Word(text, articles + negation),))
            _relate(heads, "article", article)
            phrase = article + phrase
        return phrase + self.relative

    def _german_noun(self, case: Case) -> str:
        if self.plural:
            plural = self.noun.german_plural
            return german_dative_plural(plural) if case == "dative" else plural
        return self.noun.german_plural if self.noun.weak and case != "nominative" else self.noun.german


def _relate(heads: tuple[Word, Word], name: RelationName, phrase: PhrasePair) -> None:
    """Relates the head of a noun, in each language, to a phrase of one word, which English may lack.

    Args:
        heads: the English and the German head.
        name: of the relation.
        phrase: the related word in both languages.
    """
    for head, words in zip(heads, (phrase.english, phrase.german), strict=True):
        head.related += [(name, word) for word in words]


@dataclass(frozen=True, eq=False)
class Pronoun:
    """A personal, relative or interrogative pronoun."""

    subject: str  # the English form as a subject (I) …
    object: str  # … and as an object (me)
    german: tuple[str, str, str]  # nominative, accusative, dative
    agreement: Agreement
    stands_for_antecedent: bool = False
    definite: bool = True

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> PhrasePair:
        role: Literal["pronoun"] | None = "pronoun" if self.stands_for_antecedent else None
        english = Word(self.subject if case == "nominative" else self.object, role=role)
        german = self.german[("nominative", "accusative", "dative").index(case)]
        return PhrasePair((english,), (Word(german, (english,), role=role),))


def _personal(subject: str, object_: str, german: str, agreement: Agreement) -> Pronoun:
    nominative, accusative, dative = german.split()
    return Pronoun(subject, object_, (nominative, accusative, dative), agreement)


I = _personal("I", "me", "ich mich mir", "1s")  # noqa: E741  its name is the pronoun
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
    """The personal pronoun that refers to `phrase`; in German, its grammatical gender determines the form."""
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
    """The relative pronoun that refers to `noun`: who or that; der, die or das, by gender and number."""
    english = "who" if "person" in noun.tags else "that"
    gender_number = "p" if plural else noun.gender
    cases: tuple[Case, Case, Case] = ("nominative", "accusative", "dative")
    nominative, accusative, dative = (german_relative_pronoun(case, gender_number) for case in cases)
    return Pronoun(english, english, (nominative, accusative, dative), "3p" if plural else "3s")


@dataclass(frozen=True, eq=False)
class Conjoined:
    """Two nominals joined by "and", which are plural together."""

    first: Nominal
    second: Nominal
    agreement: Agreement = "3p"

    @property
    def definite(self) -> bool:
        return self.first.definite and self.second.definite

    def realise(self, case: Case, negation: tuple[Word, ...] = ()) -> PhrasePair:
        assert not negation, "the conjuncts are definite, so the verb is negated"
        return self.first.realise(case) + align_words("and", "und") + self.second.realise(case)


_CONTRACTIONS = {("in", "dem"): "im", ("in", "das"): "ins", ("zu", "dem"): "zum", ("zu", "der"): "zur"}


def prepositional(preposition: Preposition, nominal: Nominal) -> PhrasePair:
    """A prepositional phrase. German contracts some prepositions with the article: in the garden, im Garten."""
    words = tuple(Word(text) for text in preposition.english.split())
    inner = nominal.realise(preposition.case)
    first = inner.german[0]
    contraction = _CONTRACTIONS.get((preposition.german, first.text))
    if contraction:
        return PhrasePair(words + inner.english, (Word(contraction, words + first.translates), *inner.german[1:]))
    return PhrasePair(words, (Word(preposition.german, words),)) + inner


# ---------------------------------------------------------------- finished sentences


@dataclass(frozen=True, slots=True)
class Antecedent:
    """The word indices of a pronoun and of the noun to which it refers, on both sides."""

    source_noun: int
    source_pronoun: int
    target_noun: int
    target_pronoun: int


@dataclass(frozen=True, slots=True)
class NounIndex:
    """The index of the head of a noun phrase in its sentence, and which pronouns can refer to it."""

    index: int
    gender_number: str  # in German, see `NounPhrase`
    is_person: bool


@dataclass(frozen=True, slots=True)
class SentenceGrammar:
    """The nouns and the relations between words of a sentence, by the indices of the words.

    A relation leads from a word to a related word:

        subject      from a finite verb to the head of its subject; of two conjuncts, to the first
        adjective    from a noun to its attributive adjective
        article      from a noun to its article or other determiner
        particle     from a verb to its particle, in German to its separated prefix
        antecedent   from a pronoun to its noun

    A relation is missing if the sentence lacks one of its words: the subject in "… and reads the letter", the article
    in "im Park".
    """

    nouns: tuple[NounIndex, ...]
    relations: tuple[tuple[RelationName, int, int], ...]


@dataclass(frozen=True, slots=True)
class GrammarPair:
    """A sentence, its translation, and their word alignment.

    Indices refer to the words of `split_words`, from 0, including punctuation. The alignment is sorted. A word can be
    aligned with several words (a compound) or with none ("do" in a question, the comma before a German clause).
    """

    source: str
    target: str
    alignment: tuple[tuple[int, int], ...]  # (index of the source word, index of the target word)
    antecedent: Antecedent | None  # of a pronoun, if it is in the same sentence
    source_grammar: SentenceGrammar
    target_grammar: SentenceGrammar

    def reversed(self) -> GrammarPair:
        """The pair in the other direction."""
        antecedent = self.antecedent and Antecedent(
            source_noun=self.antecedent.target_noun,
            source_pronoun=self.antecedent.target_pronoun,
            target_noun=self.antecedent.source_noun,
            target_pronoun=self.antecedent.source_pronoun,
        )
        return GrammarPair(
            source=self.target,
            target=self.source,
            alignment=tuple(sorted((t, s) for s, t in self.alignment)),
            antecedent=antecedent,
            source_grammar=self.target_grammar,
            target_grammar=self.source_grammar,
        )


def split_words(sentence: str) -> list[str]:
    """Splits a sentence into the words that an alignment refers to: words and single punctuation marks.

    "Der Hund, der schläft." becomes Der · Hund · , · der · schläft · .
    """
    return re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", sentence)


def finish_sentence(sentence: PhrasePair, end: Literal[".", "?"]) -> GrammarPair:
    """Completes a pair of sentences, English to German: capital letters, punctuation and alignment."""
    sentence += align_words(end, end)
    english, german = list(sentence.english), _remove_double_commas(sentence.german)
    english_indices = {id(word): index for index, word in enumerate(english)}
    alignment = sorted(
        (english_indices[id(word)], index)
        for index, german_word in enumerate(german)
        for word in german_word.translates
    )
    return GrammarPair(
        source=_join_words(english),
        target=_join_words(german),
        alignment=tuple(alignment),
        antecedent=_find_antecedent(english, german),
        source_grammar=_describe_words(english),
        target_grammar=_describe_words(german),
    )


def _remove_double_commas(sentence: Iterable[Word]) -> list[Word]:
    """Removes commas before another punctuation mark: a subordinate clause brings a comma at each end."""
    kept: list[Word] = []
    for word in sentence:
        if word.text in {",", ".", "?"} and kept and kept[-1].text == ",":
            kept.pop()
        kept.append(word)
    return kept


def _join_words(sentence: list[Word]) -> str:
    text = re.sub(r" (?=[,.?])", "", " ".join(word.text for word in sentence))
    return re.sub(r"(?:^|(?<=[.?] )).", lambda first: first[0].upper(), text)


def _find_antecedent(english: list[Word], german: list[Word]) -> Antecedent | None:
    """The indices of the words with a role; None if there is no pronoun, or its antecedent is in another sentence."""
    indices = {
        (side, word.role): index
        for side, sentence in enumerate((english, german))
        for index, word in enumerate(sentence)
        if word.role
    }
    if len(indices) < 4:
        return None
    return Antecedent(
        source_noun=indices[0, "antecedent"],
        source_pronoun=indices[0, "pronoun"],
        target_noun=indices[1, "antecedent"],
        target_pronoun=indices[1, "pronoun"],
    )


def _describe_words(sentence: list[Word]) -> SentenceGrammar:
    """The nouns and relations of a finished sentence."""
    indices = {id(word): index for index, word in enumerate(sentence)}
    relations = [
        (name, index, indices[id(other)])
        for index, word in enumerate(sentence)
        for name, other in word.related
        if id(other) in indices
    ]
    roles = {word.role: index for index, word in enumerate(sentence) if word.role}
    if len(roles) == 2:
        relations.append(("antecedent", roles["pronoun"], roles["antecedent"]))
    nouns = [
        NounIndex(index, word.phrase.gender_number, is_person="person" in word.phrase.noun.tags)
        for index, word in enumerate(sentence)
        if word.phrase
    ]
    return SentenceGrammar(tuple(nouns), tuple(relations))
