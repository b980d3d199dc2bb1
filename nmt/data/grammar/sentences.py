"""Draws whole sentences: statements, questions, and clauses within and beside each other."""

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
    arrange,
    relative,
    statement,
    with_subordinate,
)
from nmt.data.grammar.entries import Tags, Verb
from nmt.data.grammar.lexicon import BE, VERBS
from nmt.data.grammar.nominals import ANIMATE, PERSON, WHERE, Dice
from nmt.data.grammar.phrases import (
    NOTHING,
    WHAT,
    WHO,
    Both,
    GrammarPair,
    NounPhrase,
    Pronoun,
    finish,
    linked,
    relative_pronoun,
)
from nmt.data.grammar.pronouns import Pronouns
from nmt.data.grammar.writer import PAST_TENSES, PRESENT_TENSES, ClauseWriter, verbs_for

_NO_REASON = {"red", "green", "black", "white", "big", "small", "long", "young", "wide", "narrow"}
_OBJECTS: Tags = frozenset().union(*(verb.objects for verb in VERBS.values()))


class SentenceWriter:
    """Draws pairs of sentences from `random`."""

    def __init__(self, random: Random) -> None:
        self.dice = Dice(random)
        self.clauses = ClauseWriter(self.dice)
        self.nominals = self.clauses.nominals
        pronouns = Pronouns(self.clauses)
        kinds: dict[Callable[[], Both], int] = {  # and how many of a hundred statements are of each
            self.simple: 32,
            self.place_first: 4,
            self.with_relative: 12,
            self.with_reason: 7,
            self.with_circumstance: 7,
            self.reported: 7,
            self.two_predicates: 5,
            self.two_clauses: 6,
            pronouns.scene: 12,
            pronouns.own_reason: 4,
            pronouns.object_again: 4,
        }
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def pair(self) -> GrammarPair:
        """A sentence of everyday length, English to German."""
        if self.dice.chance(0.18):
            return finish(self.question(), "?")
        return finish(self._any_statement(), ".")

    def long_pair(self) -> GrammarPair:
        """Two or more such statements in one; of one of them at most, a pronoun has its antecedent in the sentence."""
        parts = [self._any_statement()]
        while len(parts) < 2 or self.dice.chance(0.3):
            parts.append(self.dice.pick((self.simple, self.with_relative, self.with_circumstance, self.reported))())
        self.dice.random.shuffle(parts)
        both = parts[0]
        for part in parts[1:]:
            both += self.clauses.join() + part
        return finish(both, ".")

    def _any_statement(self) -> Both:
        return self.dice.pick(self._kinds, self._weights)()

    # ------------------------------------------------------------ one clause

    def simple(self) -> Both:
        """The old man called a friend yesterday."""
        return statement(self.clauses.clause(), time_first=self.dice.chance(0.4))

    def place_first(self) -> Both:
        """In the garden the dog sleeps: German puts the verb in front of the subject."""
        clause = self.clauses.clause(verb=self._verb("in", objects=False), negated=0)
        return arrange(replace(clause, rest=NOTHING), "statement", front=self.nominals.place(WHERE))

    def question(self) -> Both:
        """Did the woman buy a book? Who did he call? Where does the boy play?"""
        kind = self.dice.pick(
            ("polar", "subject", "object", "why", "where", "where to", "when"), (40, 10, 24, 8, 7, 4, 6)
        )
        if kind == "subject":
            verb = self.dice.pick(verbs_for(PERSON))
            clause = self.clauses.clause(WHO, PERSON, verb=verb, negated=0)
            return arrange(replace(clause, gap="subject"), "question")
        if kind == "object":
            return self._object_question()
        if kind == "polar":
            return arrange(self.clauses.clause(negated=0, question=True), "question")
        if kind == "why":
            return arrange(self.clauses.clause(negated=0.4, question=True), "question", front=linked("why", "warum"))
        if kind == "when":
            tenses = (PRESENT, PAST, PAST, FUTURE, CAN)
            verb = self.dice.pick(verbs_for(ANIMATE))
            clause = self.clauses.clause(verb=verb, tenses=tenses, negated=0, adverbial=0, question=True)
            return arrange(clause, "question", front=linked("when", "wann"))
        verb = self._verb("in") if kind == "where" else self._verb("walk", "drive")
        clause = replace(self.clauses.clause(verb=verb, negated=0, question=True), rest=NOTHING)
        return arrange(clause, "question", front=linked("where", "wo" if kind == "where" else "wohin"))

    def _object_question(self) -> Both:
        verb = self._verb_with_object(_OBJECTS)
        clause = self.clauses.clause(verb=verb, negated=0, question=True)
        asks_who = "person" in verb.objects and (not verb.objects - ANIMATE or self.dice.chance(0.5))
        return arrange(_with_gap(clause, WHO if asks_who else WHAT), "question")

    def _verb(self, *uses: str, objects: bool = True) -> Verb:
        """A verb with one of the uses; where `objects` is not set, one that has no object."""
        return self.dice.pick(
            [verb for verb in VERBS.values() if verb.uses & {*uses} and (objects or not verb.objects)]
        )

    def _verb_with_object(self, tags: Tags) -> Verb:
        """A verb whose one object may have one of `tags`."""
        return self.dice.pick([verb for verb in VERBS.values() if verb.objects & tags and "indirect" not in verb.uses])

    # ------------------------------------------------------------ clauses in phrases

    def with_relative(self) -> Both:
        """The man who sold the car sleeps. I know the book that the woman wrote."""
        while True:
            clause = self.clauses.clause(adverbial=0.15)
            subject, object_ = clause.subject, clause.accusative
            if isinstance(subject, NounPhrase) and _describable(subject):
                described = replace(subject, relative=self._relative(subject, clause))
                return statement(replace(clause, subject=described))
            if isinstance(object_, NounPhrase) and _describable(object_):
                # Behind the other verb parts: Ich rufe den Mann an, der schläft.
                return statement(replace(clause, rest=NOTHING, time=None)) + self._relative(object_, clause)

    def _relative(self, phrase: NounPhrase, around: Clause) -> Both:
        """A relative clause about the phrase, in a tense that goes with the clause around it."""
        noun, pronoun = phrase.noun, relative_pronoun(phrase.noun, plural=phrase.plural)
        tenses: tuple[Tense, ...] = (PRESENT, PRESENT, PERFECT) if around.tense.time == "present" else (PAST,)
        if noun.tags & ANIMATE and self.dice.chance(0.6):
            clause = self.clauses.clause(pronoun, noun.tags, tenses=tenses, adverbial=0.15)
            return relative(replace(clause, gap="subject"))
        verb = self._verb_with_object(noun.tags)
        subject, tags = self.nominals.subject(verb.subjects)
        clause = self.clauses.clause(subject, tags, verb=verb, tenses=tenses, adverbial=0.15)
        return relative(_with_gap(clause, pronoun))

    # ------------------------------------------------------------ clauses with clauses

    def with_reason(self) -> Both:
        """The man sold the house because the garden was small."""
        tenses = self._tenses()
        acts = self.dice.pick(verbs_for(ANIMATE))
        main = self.clauses.clause(verb=acts, tenses=tenses, negated=0.3, adverbial=0.1)
        verb = BE if self.dice.chance(0.6) else None
        reason = self.clauses.another(main, verb=verb, tenses=tenses, adverbial=0.1)
        while verb is BE and reason.rest.english[-1].text in _NO_REASON:
            reason = self.clauses.another(main, verb=verb, tenses=tenses, adverbial=0.1)
        conjunction = self.dice.pick((BECAUSE, BECAUSE, ALTHOUGH))
        return with_subordinate(main, conjunction, reason, first=self.dice.chance(0.3))

    def with_circumstance(self) -> Both:
        """When the woman came back, the child slept."""
        conjunction = self.dice.pick((IF, WHEN, WHILE, BEFORE))
        inner: tuple[Tense, ...] = (PRESENT,)
        outer: tuple[Tense, ...] = PRESENT_TENSES
        if conjunction == IF:
            outer += (FUTURE, FUTURE)
        elif conjunction == WHEN or self.dice.chance(0.5):
            inner, outer = (PAST,), PAST_TENSES
        verb, other = self.dice.pick(verbs_for(ANIMATE)), self.dice.pick(verbs_for(ANIMATE))
        main = self.clauses.clause(verb=verb, tenses=outer, adverbial=0)
        negated = 0.2 if conjunction == IF else 0
        circumstance = self.clauses.another(main, verb=other, tenses=inner, negated=negated, adverbial=0)
        return with_subordinate(main, conjunction, circumstance, first=self.dice.chance(0.4))

    def reported(self) -> Both:
        """She says that the boy will call her. He did not know whether the dog was hungry."""
        verb = self._verb("that", "whether")
        past, negated = self.dice.chance(0.5), 0 if verb is VERBS["hoffen"] else 0.25
        main = self.clauses.clause(verb=verb, tenses=(PAST if past else PRESENT,), negated=negated, adverbial=0)
        unknown = "whether" in verb.uses or (verb is VERBS["wissen"] and main.negated)
        tenses = PAST_TENSES if past else (*PRESENT_TENSES, FUTURE, PAST, PERFECT)
        return with_subordinate(main, WHETHER if unknown else THAT, self.clauses.another(main, tenses=tenses))

    def two_predicates(self) -> Both:
        """The man opened the box and read the letter."""
        subject, tags = self.nominals.subject(ANIMATE)
        tense = PRESENT if subject.agreement == "2s" else self.dice.pick((PRESENT, PAST))
        first, second = self.dice.random.sample(verbs_for(tags), 2)
        one = self.clauses.clause(subject, tags, verb=first, tenses=(tense,), negated=0, adverbial=0)
        two = self.clauses.clause(subject, tags, verb=second, tenses=(tense,), negated=0, adverbial=0.2)
        return statement(one) + linked("and", "und") + arrange(two, "statement", silent_subject=True)

    def two_clauses(self) -> Both:
        """The boy sings, but his sister does not dance."""
        tenses = self._tenses()
        one = self.clauses.clause(tenses=tenses, adverbial=0.2)
        two = self.clauses.another(one, tenses=tenses, adverbial=0.2)
        joined = self.clauses.join(contrast=one.negated != two.negated)
        return statement(one, time_first=self.dice.chance(0.5)) + joined + statement(two)

    def _tenses(self) -> tuple[Tense, ...]:
        return PRESENT_TENSES if self.dice.chance(0.45) else PAST_TENSES


def _with_gap(clause: Clause, pronoun: Pronoun) -> Clause:
    """The clause with a relative or interrogative pronoun for its one object."""
    if clause.verb.case == "dative":
        return replace(clause, dative=pronoun, gap="dative")
    return replace(clause, accusative=pronoun, gap="accusative")


def _describable(phrase: NounPhrase) -> bool:
    """Whether a relative clause may tell which one is meant: not behind "my" or "every"."""
    return phrase.determiner is None or phrase.determiner.singular in {"the", "a", "this", ""}
