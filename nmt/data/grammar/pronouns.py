"""Generates sentences with a pronoun and its antecedent: it, he, she, they; er, sie, es."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nmt.data.grammar.clauses import (
    ALTHOUGH,
    BECAUSE,
    CAN,
    COULD,
    PAST,
    PRESENT,
    WANTED_TO,
    Clause,
    Expression,
    Tense,
    linearise,
    statement,
    with_subordinate,
)
from nmt.data.grammar.entries import Noun, Tags, Verb
from nmt.data.grammar.lexicon import ADJECTIVES, BE, FIT, PREPOSITIONS, VERBS
from nmt.data.grammar.nominals import LOCATIONS, possessive_for
from nmt.data.grammar.phrases import EMPTY, NounPhrase, PhrasePair, align_words, prepositional, pronoun_for
from nmt.data.grammar.writer import ClauseWriter, predicative, verbs_for

_WITH_PRONOUN: Tags = frozenset({"male", "female", "animal"})  # nouns for which he, she or it is the only choice
_GROWN_UP: Tags = frozenset({"adult"})
_LIFELESS: Tags = frozenset({"food", "drink", "ware", "text"})


@dataclass(frozen=True)
class WinogradSchema:
    """A Winograd schema: a sentence that can have two reasons, one about its subject and one about its object.

    Only the adjective in the reason tells to which of the two the pronoun refers (Levesque et al., 2012).
    """

    verb: Verb
    subjects: Tags
    objects: Tags
    about_subject: tuple[str, ...]  # adjectives that explain the failure if they describe the subject …
    about_object: tuple[str, ...]  # … and if they describe the object


def _schema(verb: Verb, subjects: str, objects: str, about_subject: str, about_object: str) -> WinogradSchema:
    return WinogradSchema(
        verb,
        frozenset(subjects.split()),
        frozenset(objects.split()),
        tuple(about_subject.split()),
        tuple(about_object.split()),
    )


WINOGRAD_SCHEMAS = (
    _schema(VERBS["überqueren"], "animal", "crossable", "tired weak lazy", "wide dangerous deep"),
    _schema(VERBS["überqueren"], "vehicle", "bridge", "heavy", "narrow"),
    _schema(VERBS["fressen"], "animal", "bite soup", "tired lazy", "hot sweet"),
    _schema(VERBS["trinken"], "animal", "drink", "tired lazy", "hot sweet"),
    _schema(VERBS["jagen"], "animal", "animal", "tired lazy weak", "fast dangerous clever"),
    _schema(VERBS["folgen"], "animal", "animal vehicle", "tired lazy weak", "fast dangerous"),
    _schema(FIT, "portable", "container", "big", "small"),
)
_REASONS = tuple(  # actions, with adjectives that are reasons for them, and reasons against them
    (VERBS[verb], tuple(reasons.split()), tuple(objections.split()))
    for verb, reasons, objections in (
        ("schlafen", "tired weak lazy", "hungry sad"),
        ("einschlafen", "tired weak old", "hungry sad"),
        ("aufwachen", "hungry", "tired weak"),
        ("aufstehen", "hungry strong", "tired weak old lazy"),
        ("zurückkommen", "hungry tired sad", "old weak lazy"),
        ("lachen", "happy young", "sad tired hungry"),
        ("tanzen", "happy young", "sad tired old"),
        ("singen", "happy", "sad tired hungry"),
        ("spielen", "young happy strong", "tired weak old sad"),
    )
)
_ACQUIRING = [VERBS[verb] for verb in ("kaufen", "suchen", "finden")]  # not done with a thing that one has
_CONSUMING = [VERBS[verb] for verb in ("essen", "trinken", "wegwerfen")]  # the thing is gone afterwards
_LOSING = [VERBS[verb] for verb in ("verkaufen", "verlieren", "vergessen")]  # another person may get the thing
_TENSES = (  # of the main clause and of the reason
    (PAST, PAST),
    (PRESENT, PRESENT),
    (COULD, PAST),
    (CAN, PRESENT),
    (WANTED_TO, PAST),
)


@dataclass(frozen=True)
class Explanation:
    """Two clauses, of which the second explains the first; in one of them, a pronoun refers to a noun of the other."""

    main: Clause
    conjunction: Expression
    explanation: Clause
    first: bool  # whether the explanation comes first

    def one_sentence(self) -> PhrasePair:
        """The cat slept because it was tired."""
        return with_subordinate(self.main, self.conjunction, self.explanation, first=self.first)

    def two_sentences(self) -> tuple[PhrasePair, PhrasePair]:
        """The cat slept. It was tired. Or: The cat slept. But it was hungry."""
        assert not self.first, "the second sentence has the pronoun"
        contrast = align_words("but", "aber") if self.conjunction == ALTHOUGH else EMPTY
        return statement(self.main), contrast + statement(self.explanation)


class PronounWriter:
    """Generates sentences with pronouns; the other clauses in them come from `clauses`."""

    def __init__(self, clauses: ClauseWriter) -> None:
        self.clauses = clauses
        self.random = clauses.random
        self.nominals = clauses.nominals

    def any_kind(self) -> PhrasePair:
        """A sentence of one of the kinds below; most are Winograd schemas, as in the other splits."""
        kinds = (self.winograd_schema, self.reason_about_subject, self.repeated_object)
        return self.random.choose(kinds, (3, 1, 1))()

    def two_sentences(self) -> tuple[PhrasePair, PhrasePair]:
        """Two sentences, the second with a pronoun that refers to a noun of the first.

        The animal did not cross the street. It was too tired. Or: My father found the key. My sister lost it.
        """
        kind = self.random.choose(("schema", "subject", "object"), (3, 1, 1))
        if kind == "schema":
            return self.schema_clauses(inverted=0.0).two_sentences()
        if kind == "subject":
            return self.reason_clauses(inverted=0.0).two_sentences()
        first, thing, _, tenses, verb = self._clause_with_object()
        return statement(first), statement(self._clause_of_another(first, thing, tenses, verb))

    def winograd_schema(self) -> PhrasePair:
        """The animal did not cross the street because it was too tired, or: because it was too wide."""
        return self.schema_clauses(inverted=0.3).one_sentence()

    def schema_clauses(self, *, inverted: float) -> Explanation:
        """The clauses of a Winograd schema; `inverted` is the probability that the explanation comes first."""
        schema = self.random.choose(WINOGRAD_SCHEMAS)
        about_subject = self.random.bernoulli(0.5)
        adjective = ADJECTIVES[self.random.choose(schema.about_subject if about_subject else schema.about_object)]
        first, second = self._nouns(schema, adjective.tags, about_subject=about_subject)
        subject = self.nominals.noun_phrase(first, definite=True, plural=0.15, adjective=0.0 if about_subject else 0.2)
        object_ = self.nominals.noun_phrase(second, definite=True, plural=0.15, adjective=0.2 if about_subject else 0.0)
        if about_subject:
            subject = replace(subject, antecedent=True)
        else:
            object_ = replace(object_, antecedent=True)
        antecedent = subject if about_subject else object_
        pronoun = pronoun_for(antecedent)

        # "did not …, because it was too …", or "…, although it was very …"
        failed = schema.verb is FIT or self.random.bernoulli(0.75)
        tense, reason_tense = self.random.choose(_TENSES)
        if schema.verb is FIT or not failed or (tense is WANTED_TO and "animal" not in first.tags):
            tense = reason_tense
        description = predicative(adjective, self.random.choose(("very", "too") if failed else ("", "very")))
        # Because the street was wide, the animal did not …
        subordinate_first = schema.verb is not FIT and self.random.bernoulli(inverted)
        main = Clause(pronoun if subordinate_first and about_subject else subject, schema.verb, tense, negated=failed)
        explanation = Clause(antecedent if subordinate_first else pronoun, BE, reason_tense, complement=description)
        goal = pronoun if subordinate_first and not about_subject else object_
        if schema.verb is FIT:
            main = replace(main, complement=prepositional(PREPOSITIONS["into"], object_))
        else:
            main = replace(main, dative=goal) if schema.verb.case == "dative" else replace(main, accusative=goal)
        return Explanation(main, BECAUSE if failed else ALTHOUGH, explanation, subordinate_first)

    def _nouns(self, schema: WinogradSchema, described: Tags, *, about_subject: bool) -> tuple[Noun, Noun]:
        """Different nouns for subject and object; an adjective for `described` can modify the one it is about."""
        while True:
            first = self.nominals.noun(schema.subjects, described if about_subject else None)
            second = self.nominals.noun(schema.objects, None if about_subject else described)
            if first is not second:
                return first, second

    def reason_about_subject(self) -> PhrasePair:
        """The cat slept because it was tired. Although my aunt was sad, she laughed."""
        return self.reason_clauses(inverted=0.35).one_sentence()

    def reason_clauses(self, *, inverted: float) -> Explanation:
        """What somebody did, and why; `inverted` is the probability that the explanation comes first."""
        verb, reasons, objections = self.random.choose(_REASONS)
        form = self.random.choose(("for", "against", "in spite of"))
        adjective = ADJECTIVES[self.random.choose(reasons if form == "for" else objections)]
        tense, reason_tense = self.random.choose(_TENSES if form == "against" else _TENSES[:2])
        noun = self.nominals.noun(verb.subjects & adjective.tags, _WITH_PRONOUN)
        subordinate_first = self.random.bernoulli(inverted)
        phrase = replace(self.nominals.noun_phrase(noun, definite=True, adjective=0.0), antecedent=True)
        agent, described = (pronoun_for(phrase), phrase) if subordinate_first else (phrase, pronoun_for(phrase))
        place = self.nominals.place(LOCATIONS) if "in" in verb.uses and self.random.bernoulli(0.3) else EMPTY
        main = Clause(agent, verb, tense, complement=place, negated=form == "against")
        degree = self.random.choose(("", "very", "too") if form == "against" else ("", "very"))
        explanation = Clause(described, BE, reason_tense, complement=predicative(adjective, degree))
        conjunction = ALTHOUGH if form == "in spite of" else BECAUSE
        return Explanation(main, conjunction, explanation, subordinate_first)

    def repeated_object(self) -> PhrasePair:
        """My father found the key, but I lost it. The woman bought a coat and put it on."""
        first, thing, tags, tenses, verb = self._clause_with_object()
        if first.verb not in _LOSING and self.random.bernoulli(0.6):
            second = self.clauses.clause(first.subject, tags, verb=verb, tenses=tenses, negated=0, adverbial=0)
            second = replace(second, accusative=pronoun_for(thing), complement=EMPTY)
            return statement(first) + align_words("and", "und") + linearise(second, "statement", silent_subject=True)
        second = self._clause_of_another(first, thing, tenses, verb)
        return statement(first) + self.clauses.conjunction(contrast=second.negated) + statement(second)

    def _clause_with_object(self) -> tuple[Clause, NounPhrase, Tags, tuple[Tense, ...], Verb]:
        """A clause with a thing as its object, the thing, and what a second clause about it can have.

        Those are the tags of the first clause's subject, the tenses to choose from, and the verb.
        """
        subject, tags = self.nominals.subject(_GROWN_UP)
        tenses: tuple[Tense, ...] = (PRESENT if subject.agreement == "2s" else self.random.choose((PRESENT, PAST)),)
        verbs = [verb for verb in verbs_for(tags) if verb.objects & _LIFELESS and "indirect" not in verb.uses]
        verb = self.random.choose([verb for verb in verbs if verb not in _CONSUMING])
        noun = self.nominals.noun(verb.objects, _LIFELESS)
        thing = replace(self.nominals.noun_phrase(noun, possessive=possessive_for(subject)), antecedent=True)
        first = self.clauses.clause(subject, tags, verb=verb, tenses=tenses, negated=0, adverbial=0)
        first = replace(first, accusative=thing, complement=EMPTY)

        unlikely = [verb] if verb in _LOSING else [verb, *_ACQUIRING]
        second_verb = self.random.choose(
            [other for other in verbs if other not in unlikely and other.objects & noun.tags]
        )
        return first, thing, tags, tenses, second_verb

    def _clause_of_another(self, first: Clause, thing: NounPhrase, tenses: tuple[Tense, ...], verb: Verb) -> Clause:
        """What another person than the subject of the first clause does with the thing, which is a pronoun here."""
        clause = self.clauses.other_clause(first, tags=_GROWN_UP, verb=verb, tenses=tenses, negated=0.4, adverbial=0)
        return replace(clause, accusative=pronoun_for(thing), complement=EMPTY)
