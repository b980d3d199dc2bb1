"""Generates plausible clauses: who can do what, to what, when and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from nmt.data.grammar.clauses import (
    CAN,
    COULD,
    FUTURE,
    HAD_TO,
    HAVE_TO,
    MAY,
    PAST,
    PERFECT,
    PRESENT,
    SHOULD,
    WANT_TO,
    WANTED_TO,
    Clause,
    Tense,
    comma,
)
from nmt.data.grammar.entries import Adjective, Tags, Verb
from nmt.data.grammar.lexicon import (
    BE,
    COMPLETIONS,
    DETERMINERS,
    FREQUENCIES,
    PREPOSITIONS,
    TIMES,
    UNNEGATED,
    VERBS,
    WAITING_FOR,
)
from nmt.data.grammar.nominals import (
    ANIMATE,
    DRIVING_GOALS,
    LOCATIONS,
    PERSON,
    WALKING_GOALS,
    NominalWriter,
    RandomChooser,
    adjectives_for,
)
from nmt.data.grammar.phrases import EMPTY, YOU, Nominal, NounPhrase, PhrasePair, align_words, prepositional

_DESCRIBABLE: Tags = frozenset({"person", "animal", "ware", "text", "drink", "soup", "building", "room"})
_WAITED_FOR: Tags = frozenset({"person", "train", "bus"})

_TENSES = (PRESENT, PAST, PERFECT, FUTURE, CAN, COULD, HAVE_TO, HAD_TO, WANT_TO, WANTED_TO, MAY, SHOULD)
_TENSE_WEIGHTS = (28, 28, 14, 8, 5, 3, 4, 3, 3, 2, 1, 1)
PRESENT_TENSES = (PRESENT, PRESENT, PRESENT, CAN, HAVE_TO, WANT_TO)
PAST_TENSES = (PAST, PAST, PAST, COULD, HAD_TO, WANTED_TO)


@cache
def verbs_for(tags: Tags) -> tuple[Verb, ...]:
    """The verbs whose subject can be a noun with these tags, without those that need an object clause."""
    return tuple(verb for verb in VERBS.values() if verb.subjects & tags and not verb.uses & {"that", "whether"})


def predicative(adjective: Adjective, degree: str) -> PhrasePair:
    """A predicative adjective: ("wide", "too") gives too wide, zu breit."""
    german = {"": "", "very": "sehr", "too": "zu"}[degree]
    return align_words(f"{degree} {adjective.english}", f"{german} {adjective.german}")


class ClauseWriter:
    """Generates clauses with the choices of `random`."""

    def __init__(self, random: RandomChooser) -> None:
        self.random = random
        self.nominals = NominalWriter(random)

    def clause(
        self,
        subject: Nominal | None = None,
        tags: Tags | None = None,
        *,
        verb: Verb | None = None,
        tenses: Sequence[Tense] = (),
        negated: float = 0.12,
        adverbial: float = 0.4,
        question: bool = False,
    ) -> Clause:
        """A plausible clause.

        Args:
            subject: the subject, if it is fixed.
            tags: the tags of a fixed subject, or those to choose the subject from.
            verb: the verb, if it is fixed.
            tenses: the tenses to choose from; empty = all.
            negated: probability of "not".
            adverbial: probability of an adverb or an expression of time.
            question: makes "you" a likely subject.
        """
        if verb is None:
            verb = BE if self.random.bernoulli(0.12) else self.random.choose(verbs_for(tags or ANIMATE))
        if subject is None:
            subject, tags = self.nominals.subject(
                verb.subjects or _DESCRIBABLE, tags, predicative=verb is BE, question=question
            )
        assert tags, "a subject comes with its tags"
        clause = Clause(
            subject=subject,
            verb=verb,
            tense=self._tense(verb, subject, tenses),
            complement=self._predicative(tags) if verb is BE else self._prepositional_phrases(verb),
            negated=subject.definite and self.random.bernoulli(negated),
        )
        clause = self._with_objects(clause)
        if verb is not BE and "state" not in verb.uses and self.random.bernoulli(adverbial):
            clause = self._with_adverbial(clause, question=question)
        return self._with_every(clause)

    def _tense(self, verb: Verb, subject: Nominal, tenses: Sequence[Tense]) -> Tense:
        """A tense that is idiomatic with this verb and subject."""
        tense = self.random.choose(tenses) if tenses else self.random.choose(_TENSES, _TENSE_WEIGHTS)
        if verb is BE or "state" in verb.uses:
            tense = {"present": PRESENT, "past": PAST}[tense.time]
        # Avoid the past if the English form is ambiguous ("they read"), or German prefers the perfect (du sahst).
        is_ambiguous = verb.english.base == verb.english.past and subject.agreement != "3s"
        is_stilted = subject is YOU and verb is not BE
        if tense is PAST and (is_ambiguous or is_stilted):
            return COULD if tenses else PERFECT
        return tense

    def _with_objects(self, clause: Clause) -> Clause:
        """Adds the objects that the verb needs."""
        verb, subject = clause.verb, clause.subject
        if not verb.objects:
            return clause
        nominal = self.nominals.object(verb.objects, subject, unquantified=clause.negated)
        if "indirect" in verb.uses:
            person = self.nominals.object(PERSON, subject, definite=clause.negated)
            return replace(clause, accusative=nominal, dative=person)
        return replace(clause, dative=nominal) if verb.case == "dative" else replace(clause, accusative=nominal)

    def _with_adverbial(self, clause: Clause, *, question: bool) -> Clause:
        """Adds an adverb or an expression of time that goes with the tense, if there is one."""
        if clause.tense in (PERFECT, PRESENT, PAST) and not clause.negated and self.random.bernoulli(0.5):
            adverbs = COMPLETIONS if clause.tense is PERFECT else FREQUENCIES
            suitable = adverbs[:-1] if question else adverbs  # the last is "never"
            return replace(clause, adverb=self.random.choose(suitable))
        if clause.tense is PERFECT:
            return clause
        if clause.tense in (PRESENT, FUTURE):
            times = TIMES["present" if clause.tense is PRESENT else "future"]
        else:
            times = TIMES["past" if clause.tense in PAST_TENSES else "modal"]
        time = self.random.choose(times)
        return clause if clause.negated and time in UNNEGATED else replace(clause, time=time)

    def _with_every(self, clause: Clause) -> Clause:
        """Sometimes replaces "the" by "every", if the rest of the clause is compatible with it."""
        subject = clause.subject
        if (
            isinstance(subject, NounPhrase)
            and subject.determiner is DETERMINERS["the"]
            and not (subject.plural or not subject.noun.german_plural or subject.relative.english)
            and not (clause.negated or clause.adverb)
            and self.random.bernoulli(0.06)
        ):
            return replace(clause, subject=replace(subject, determiner=DETERMINERS["every"]))
        return clause

    def other_clause(self, clause: Clause, **choices: Any) -> Clause:
        """Generates a clause like `self.clause`, with a subject that does not occur in `clause`."""
        nominals = (clause.subject, clause.dative, clause.accusative)
        used = [nominal.noun for nominal in nominals if isinstance(nominal, NounPhrase)]
        while True:
            other = self.clause(**choices)
            subject = other.subject
            if not (subject.noun in used if isinstance(subject, NounPhrase) else subject is clause.subject):
                return other

    def conjunction(self, *, contrast: bool = False) -> PhrasePair:
        """The conjunction between two main clauses: "and" or "but"; with `contrast`, always "but"."""
        but = contrast or self.random.bernoulli(0.4)
        return comma(english=True) + (align_words("but", "aber") if but else align_words("and", "und"))

    def _predicative(self, tags: Tags) -> PhrasePair:
        """An adjective after "be": very old, sehr alt."""
        adjective = self.random.choose(adjectives_for(tags))
        absolute = adjective.english in {"red", "green", "black", "white", "empty"}
        return predicative(adjective, "" if absolute else self.random.choose(("", "very", "too"), (6, 3, 1)))

    def _prepositional_phrases(self, verb: Verb) -> PhrasePair:
        """A plausible prepositional phrase for the verb; often none."""
        random, nominals, uses = self.random, self.nominals, verb.uses
        if "waiting" in uses and random.bernoulli(0.7):
            return prepositional(WAITING_FOR, nominals.noun_phrase(nominals.noun(_WAITED_FOR)))
        if uses & {"walk", "drive"} and random.bernoulli(0.85):
            return nominals.place(WALKING_GOALS if "walk" in uses else DRIVING_GOALS)
        for preposition, probability in (("with", 0.25), ("for", 0.2)):
            if preposition in uses and random.bernoulli(probability):
                return prepositional(PREPOSITIONS[preposition], nominals.noun_phrase(nominals.noun(PERSON)))
        return nominals.place(LOCATIONS) if "in" in uses and random.bernoulli(0.3) else EMPTY
