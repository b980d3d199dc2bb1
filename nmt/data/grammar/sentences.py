"""Generates whole sentences: statements, questions, and sentences of several clauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from nmt.data.grammar.clauses import (
    ALTHOUGH,
    BECAUSE,
    BEFORE,
    CAN,
    FUTURE,
    IF,
    PAST,
    PERFECT,
    PRESENT,
    THAT,
    WHEN,
    WHETHER,
    WHILE,
    Clause,
    Tense,
    linearise,
    relative,
    statement,
    with_subordinate,
)
from nmt.data.grammar.entries import Tags, Verb
from nmt.data.grammar.lexicon import BE, VERBS
from nmt.data.grammar.nominals import ANIMATE, LOCATIONS, PERSON, RandomChooser
from nmt.data.grammar.phrases import (
    EMPTY,
    WHAT,
    WHO,
    GrammarPair,
    NounPhrase,
    PhrasePair,
    Pronoun,
    align_words,
    finish_sentence,
    relative_pronoun,
)
from nmt.data.grammar.pronouns import PronounWriter
from nmt.data.grammar.writer import PAST_TENSES, PRESENT_TENSES, ClauseWriter, verbs_for

_NOT_A_REASON = {"red", "green", "black", "white", "big", "small", "long", "young", "wide", "narrow"}
_OBJECTS: Tags = frozenset().union(*(verb.objects for verb in VERBS.values()))


class SentenceWriter:
    """Generates pairs of sentences with a random number generator."""

    def __init__(self, generator: Random) -> None:
        self.random = RandomChooser(generator)
        self.clauses = ClauseWriter(self.random)
        self.nominals = self.clauses.nominals
        pronouns = self.pronouns = PronounWriter(self.clauses)
        kinds: dict[Callable[[], PhrasePair], int] = {  # with their percentages among statements
            self.simple: 32,
            self.place_first: 4,
            self.with_relative: 12,
            self.with_reason: 7,
            self.with_circumstance: 7,
            self.reported: 7,
            self.two_predicates: 5,
            self.two_clauses: 6,
            pronouns.winograd_schema: 12,
            pronouns.reason_about_subject: 4,
            pronouns.repeated_object: 4,
        }
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def pair(self) -> GrammarPair:
        """A sentence of everyday length, English to German."""
        if self.random.bernoulli(0.18):
            return finish_sentence(self.question(), "?")
        return finish_sentence(self._any_statement(), ".")

    def long_pair(self) -> GrammarPair:
        """Two or more statements in one sentence; at most the first generated one has a pronoun with its antecedent."""
        statements = [self._any_statement()]
        while len(statements) < 2 or self.random.bernoulli(0.3):
            kinds = (self.simple, self.with_relative, self.with_circumstance, self.reported)
            statements.append(self.random.choose(kinds)())
        self.random.shuffle(statements)
        sentence = statements[0]
        for other in statements[1:]:
            sentence += self.clauses.conjunction() + other
        return finish_sentence(sentence, ".")

    def pronoun_pair(self) -> GrammarPair:
        """A sentence of everyday length with a pronoun and its antecedent."""
        return finish_sentence(self.pronouns.any_kind(), ".")

    def document(self) -> tuple[PhrasePair, PhrasePair]:
        """Two statements. In every other document, a pronoun of the second refers to a noun of the first."""
        if self.random.bernoulli(0.5):
            return self.pronouns.two_sentences()
        return self._any_statement(), self._any_statement()

    def _any_statement(self) -> PhrasePair:
        return self.random.choose(self._kinds, self._weights)()

    # ------------------------------------------------------------ sentences of one clause

    def simple(self) -> PhrasePair:
        """The old man called a friend yesterday."""
        return statement(self.clauses.clause(), time_first=self.random.bernoulli(0.4))

    def place_first(self) -> PhrasePair:
        """In the garden the dog sleeps: German puts the verb before the subject."""
        clause = self.clauses.clause(verb=self._verb("in", objects=False), negated=0)
        return linearise(replace(clause, complement=EMPTY), "statement", front=self.nominals.place(LOCATIONS))

    def question(self) -> PhrasePair:
        """Did the woman buy a book? Who did he call? Where does the boy play?"""
        kind = self.random.choose(
            ("polar", "subject", "object", "why", "where", "where to", "when"), (40, 10, 24, 8, 7, 4, 6)
        )
        if kind == "subject":
            verb = self.random.choose(verbs_for(PERSON))
            clause = self.clauses.clause(WHO, PERSON, verb=verb, negated=0)
            return linearise(replace(clause, gap="subject"), "question")
        if kind == "object":
            return self._object_question()
        if kind == "polar":
            return linearise(self.clauses.clause(negated=0, question=True), "question")
        if kind == "why":
            clause = self.clauses.clause(negated=0.4, question=True)
            return linearise(clause, "question", front=align_words("why", "warum"))
        if kind == "when":
            tenses = (PRESENT, PAST, PAST, FUTURE, CAN)
            verb = self.random.choose(verbs_for(ANIMATE))
            clause = self.clauses.clause(verb=verb, tenses=tenses, negated=0, adverbial=0, question=True)
            return linearise(clause, "question", front=align_words("when", "wann"))
        verb = self._verb("in") if kind == "where" else self._verb("walk", "drive")
        clause = replace(self.clauses.clause(verb=verb, negated=0, question=True), complement=EMPTY)
        return linearise(clause, "question", front=align_words("where", "wo" if kind == "where" else "wohin"))

    def _object_question(self) -> PhrasePair:
        verb = self._verb_with_object(_OBJECTS)
        clause = self.clauses.clause(verb=verb, negated=0, question=True)
        asks_who = "person" in verb.objects and (not verb.objects - ANIMATE or self.random.bernoulli(0.5))
        return linearise(_fill_object_gap(clause, WHO if asks_who else WHAT), "question")

    def _verb(self, *uses: str, objects: bool = True) -> Verb:
        """A verb with one of the uses; without `objects`, an intransitive one."""
        return self.random.choose(
            [verb for verb in VERBS.values() if verb.uses & {*uses} and (objects or not verb.objects)]
        )

    def _verb_with_object(self, tags: Tags) -> Verb:
        """A verb with a single object, which can have one of `tags`."""
        return self.random.choose(
            [verb for verb in VERBS.values() if verb.objects & tags and "indirect" not in verb.uses]
        )

    # ------------------------------------------------------------ relative clauses

    def with_relative(self) -> PhrasePair:
        """The man who sold the car sleeps. I know the book that the woman wrote."""
        while True:
            clause = self.clauses.clause(adverbial=0.15)
            subject, object_ = clause.subject, clause.accusative
            if isinstance(subject, NounPhrase) and _describable(subject):
                described = replace(subject, relative=self._relative(subject, clause))
                return statement(replace(clause, subject=described))
            if isinstance(object_, NounPhrase) and _describable(object_):
                # Extraposed, after the other verb parts: Ich rufe den Mann an, der schläft.
                return statement(replace(clause, complement=EMPTY, time=None)) + self._relative(object_, clause)

    def _relative(self, phrase: NounPhrase, main: Clause) -> PhrasePair:
        """A relative clause about the phrase, in a tense that goes with that of the main clause."""
        noun, pronoun = phrase.noun, relative_pronoun(phrase.noun, plural=phrase.plural)
        tenses: tuple[Tense, ...] = (PRESENT, PRESENT, PERFECT) if main.tense.time == "present" else (PAST,)
        if noun.tags & ANIMATE and self.random.bernoulli(0.6):
            clause = self.clauses.clause(pronoun, noun.tags, tenses=tenses, adverbial=0.15)
            return relative(replace(clause, gap="subject"))
        verb = self._verb_with_object(noun.tags)
        subject, tags = self.nominals.subject(verb.subjects)
        clause = self.clauses.clause(subject, tags, verb=verb, tenses=tenses, adverbial=0.15)
        return relative(_fill_object_gap(clause, pronoun))

    # ------------------------------------------------------------ sentences of several clauses

    def with_reason(self) -> PhrasePair:
        """The man sold the house because the garden was small."""
        tenses = self._tenses()
        action = self.random.choose(verbs_for(ANIMATE))
        main = self.clauses.clause(verb=action, tenses=tenses, negated=0.3, adverbial=0.1)
        verb = BE if self.random.bernoulli(0.6) else None
        reason = self.clauses.other_clause(main, verb=verb, tenses=tenses, adverbial=0.1)
        while verb is BE and reason.complement.english[-1].text in _NOT_A_REASON:
            reason = self.clauses.other_clause(main, verb=verb, tenses=tenses, adverbial=0.1)
        conjunction = self.random.choose((BECAUSE, BECAUSE, ALTHOUGH))
        return with_subordinate(main, conjunction, reason, first=self.random.bernoulli(0.3))

    def with_circumstance(self) -> PhrasePair:
        """When the woman came back, the child slept."""
        conjunction = self.random.choose((IF, WHEN, WHILE, BEFORE))
        subordinate_tenses: tuple[Tense, ...] = (PRESENT,)
        main_tenses: tuple[Tense, ...] = PRESENT_TENSES
        if conjunction == IF:
            main_tenses += (FUTURE, FUTURE)
        elif conjunction == WHEN or self.random.bernoulli(0.5):
            subordinate_tenses, main_tenses = (PAST,), PAST_TENSES
        verb, other = self.random.choose(verbs_for(ANIMATE)), self.random.choose(verbs_for(ANIMATE))
        main = self.clauses.clause(verb=verb, tenses=main_tenses, adverbial=0)
        negated = 0.2 if conjunction == IF else 0
        circumstance = self.clauses.other_clause(
            main, verb=other, tenses=subordinate_tenses, negated=negated, adverbial=0
        )
        return with_subordinate(main, conjunction, circumstance, first=self.random.bernoulli(0.4))

    def reported(self) -> PhrasePair:
        """She says that the boy will call her. He did not know whether the dog was hungry."""
        verb = self._verb("that", "whether")
        past = self.random.bernoulli(0.5)
        negated = 0 if verb is VERBS["hoffen"] else 0.25
        main = self.clauses.clause(verb=verb, tenses=(PAST if past else PRESENT,), negated=negated, adverbial=0)
        is_unknown = "whether" in verb.uses or (verb is VERBS["wissen"] and main.negated)
        tenses = PAST_TENSES if past else (*PRESENT_TENSES, FUTURE, PAST, PERFECT)
        return with_subordinate(main, WHETHER if is_unknown else THAT, self.clauses.other_clause(main, tenses=tenses))

    def two_predicates(self) -> PhrasePair:
        """The man opened the box and read the letter."""
        subject, tags = self.nominals.subject(ANIMATE)
        tense = PRESENT if subject.agreement == "2s" else self.random.choose((PRESENT, PAST))
        first_verb, second_verb = self.random.sample(verbs_for(tags), 2)
        first = self.clauses.clause(subject, tags, verb=first_verb, tenses=(tense,), negated=0, adverbial=0)
        second = self.clauses.clause(subject, tags, verb=second_verb, tenses=(tense,), negated=0, adverbial=0.2)
        return statement(first) + align_words("and", "und") + linearise(second, "statement", silent_subject=True)

    def two_clauses(self) -> PhrasePair:
        """The boy sings, but his sister does not dance."""
        tenses = self._tenses()
        first = self.clauses.clause(tenses=tenses, adverbial=0.2)
        second = self.clauses.other_clause(first, tenses=tenses, adverbial=0.2)
        conjunction = self.clauses.conjunction(contrast=first.negated != second.negated)
        return statement(first, time_first=self.random.bernoulli(0.5)) + conjunction + statement(second)

    def _tenses(self) -> tuple[Tense, ...]:
        return PRESENT_TENSES if self.random.bernoulli(0.45) else PAST_TENSES


def _fill_object_gap(clause: Clause, pronoun: Pronoun) -> Clause:
    """Puts a relative or interrogative pronoun in the place of the only object."""
    if clause.verb.case == "dative":
        return replace(clause, dative=pronoun, gap="dative")
    return replace(clause, accusative=pronoun, gap="accusative")


def _describable(phrase: NounPhrase) -> bool:
    """Whether a restrictive relative clause can modify the phrase, as it cannot after "my" or "every"."""
    return phrase.determiner is None or phrase.determiner.singular in {"the", "a", "this", ""}
