"""Draws clauses that make sense: who may do what, with what, when and where."""

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
from nmt.data.grammar.nominals import ANIMATE, BY_CAR, ON_FOOT, PERSON, WHERE, Dice, Nominals, adjectives_for
from nmt.data.grammar.phrases import NOTHING, YOU, Both, Nominal, NounPhrase, linked, prepositional

_DESCRIBED: Tags = frozenset({"person", "animal", "ware", "text", "drink", "soup", "building", "room"})
_WAITED_FOR: Tags = frozenset({"person", "train", "bus"})

_TENSES = (PRESENT, PAST, PERFECT, FUTURE, CAN, COULD, HAVE_TO, HAD_TO, WANT_TO, WANTED_TO, MAY, SHOULD)
_TENSE_WEIGHTS = (28, 28, 14, 8, 5, 3, 4, 3, 3, 2, 1, 1)
PRESENT_TENSES = (PRESENT, PRESENT, PRESENT, CAN, HAVE_TO, WANT_TO)
PAST_TENSES = (PAST, PAST, PAST, COULD, HAD_TO, WANTED_TO)


@cache
def verbs_for(tags: Tags) -> tuple[Verb, ...]:
    """The verbs whose subject may be a noun with these tags, but for those that ask for another clause."""
    return tuple(verb for verb in VERBS.values() if verb.subjects & tags and not verb.uses & {"that", "whether"})


def describe(adjective: Adjective, degree: str) -> Both:
    """An adjective behind "be": ("wide", "too") is too wide, zu breit."""
    german = {"": "", "very": "sehr", "too": "zu"}[degree]
    return linked(f"{degree} {adjective.english}", f"{german} {adjective.german}")


class ClauseWriter:
    """Draws clauses with `dice`."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.nominals = Nominals(dice)

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
        """A clause that makes sense.

        Args:
            subject: the subject, if it is already chosen.
            tags: what it is, or is to be.
            verb: the verb, if it is already chosen.
            tenses: the tenses to choose from; all of them by default.
            negated: the probability of "not".
            adverbial: the probability of an adverb or an expression of time.
            question: "you" is a likely subject.
        """
        if verb is None:
            verb = BE if self.dice.chance(0.12) else self.dice.pick(verbs_for(tags or ANIMATE))
        if subject is None:
            subject, tags = self.nominals.subject(
                verb.subjects or _DESCRIBED, tags, described=verb is BE, question=question
            )
        assert tags, "a subject comes with its tags"
        clause = Clause(
            subject=subject,
            verb=verb,
            tense=self._tense(verb, subject, tenses),
            rest=self._description(tags) if verb is BE else self._places(verb),
            negated=subject.definite and self.dice.chance(negated),
        )
        clause = self._with_objects(clause)
        if verb is not BE and "state" not in verb.uses and self.dice.chance(adverbial):
            clause = self._with_adverbial(clause, question=question)
        return self._with_every(clause)

    def _tense(self, verb: Verb, subject: Nominal, tenses: Sequence[Tense]) -> Tense:
        """A tense that is idiomatic with this verb and subject."""
        tense = self.dice.pick(tenses) if tenses else self.dice.pick(_TENSES, _TENSE_WEIGHTS)
        if verb is BE or "state" in verb.uses:
            tense = {"present": PRESENT, "past": PAST}[tense.time]
        # English has one form for two tenses ("they read"), or German would use the perfect (du sahst)
        unclear = verb.english.base == verb.english.past and subject.agreement != "3s"
        stilted = subject is YOU and verb is not BE
        if tense is PAST and (unclear or stilted):
            return COULD if tenses else PERFECT
        return tense

    def _with_objects(self, clause: Clause) -> Clause:
        verb, subject = clause.verb, clause.subject
        if not verb.objects:
            return clause
        nominal = self.nominals.object(verb.objects, subject, countless=clause.negated)
        if "indirect" in verb.uses:
            person = self.nominals.object(PERSON, subject, definite=clause.negated)
            return replace(clause, accusative=nominal, dative=person)
        return replace(clause, dative=nominal) if verb.case == "dative" else replace(clause, accusative=nominal)

    def _with_adverbial(self, clause: Clause, *, question: bool) -> Clause:
        if clause.tense in (PERFECT, PRESENT, PAST) and not clause.negated and self.dice.chance(0.5):
            adverbs = COMPLETIONS if clause.tense is PERFECT else FREQUENCIES
            return replace(clause, adverb=self.dice.pick(adverbs[:-1] if question else adverbs))  # the last is "never"
        if clause.tense is PERFECT:
            return clause
        if clause.tense in (PRESENT, FUTURE):
            times = TIMES["present" if clause.tense is PRESENT else "future"]
        else:
            times = TIMES["past" if clause.tense in PAST_TENSES else "modal"]
        time = self.dice.pick(times)
        return clause if clause.negated and time in UNNEGATED else replace(clause, time=time)

    def _with_every(self, clause: Clause) -> Clause:
        """Now and then, "every" for "the" where nothing else in the clause would read oddly with it."""
        subject = clause.subject
        if (
            isinstance(subject, NounPhrase)
            and subject.determiner is DETERMINERS["the"]
            and not (subject.plural or not subject.noun.german_plural or subject.relative.english)
            and not (clause.negated or clause.adverb)
            and self.dice.chance(0.06)
        ):
            return replace(clause, subject=replace(subject, determiner=DETERMINERS["every"]))
        return clause

    def another(self, clause: Clause, **choices: Any) -> Clause:
        """A clause as `self.clause` draws it, with a subject that is not in `clause`."""
        nominals = (clause.subject, clause.dative, clause.accusative)
        taken = [nominal.noun for nominal in nominals if isinstance(nominal, NounPhrase)]
        while True:
            other = self.clause(**choices)
            subject = other.subject
            if not (subject.noun in taken if isinstance(subject, NounPhrase) else subject is clause.subject):
                return other

    def join(self, *, contrast: bool = False) -> Both:
        """What stands between two main clauses: "and", or "but" where there is a contrast."""
        but = contrast or self.dice.chance(0.4)
        return comma(english=True) + (linked("but", "aber") if but else linked("and", "und"))

    def _description(self, tags: Tags) -> Both:
        """What follows "be": very old, sehr alt."""
        adjective = self.dice.pick(adjectives_for(tags))
        absolute = adjective.english in {"red", "green", "black", "white", "empty"}
        return describe(adjective, "" if absolute else self.dice.pick(("", "very", "too"), (6, 3, 1)))

    def _places(self, verb: Verb) -> Both:
        """Prepositional phrases that make sense with the verb; often none."""
        dice, nominals, uses = self.dice, self.nominals, verb.uses
        if "waiting" in uses and dice.chance(0.7):
            return prepositional(WAITING_FOR, nominals.noun_phrase(nominals.noun(_WAITED_FOR)))
        if uses & {"walk", "drive"} and dice.chance(0.85):
            return nominals.place(ON_FOOT if "walk" in uses else BY_CAR)
        for preposition, probability in (("with", 0.25), ("for", 0.2)):
            if preposition in uses and dice.chance(probability):
                return prepositional(PREPOSITIONS[preposition], nominals.noun_phrase(nominals.noun(PERSON)))
        return nominals.place(WHERE) if "in" in uses and dice.chance(0.3) else NOTHING
