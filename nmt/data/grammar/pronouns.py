"""Draws sentences with a pronoun that stands for a noun in them, and says which: it, he, she, they; er, sie, es."""

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
    arrange,
    statement,
    with_subordinate,
)
from nmt.data.grammar.entries import Noun, Tags, Verb
from nmt.data.grammar.lexicon import ADJECTIVES, BE, FIT, PREPOSITIONS, VERBS
from nmt.data.grammar.nominals import WHERE, owner_of
from nmt.data.grammar.phrases import NOTHING, Both, linked, prepositional, pronoun_for
from nmt.data.grammar.writer import ClauseWriter, describe, verbs_for

_WITH_PRONOUN: Tags = frozenset({"male", "female", "animal"})  # he, she and it, as nobody would doubt
_GROWN_UP: Tags = frozenset({"adult"})
_LIFELESS: Tags = frozenset({"food", "drink", "ware", "text"})


@dataclass(frozen=True)
class Scene:
    """What may fail because of its subject or because of its object.

    Nothing but the adjective tells which of the two "it" stands for.
    """

    verb: Verb
    subjects: Tags
    objects: Tags
    of_subject: tuple[str, ...]  # adjectives that explain the failure if the subject has them …
    of_object: tuple[str, ...]  # … and if the object has them


def _scene(verb: Verb, subjects: str, objects: str, of_subject: str, of_object: str) -> Scene:
    return Scene(
        verb,
        frozenset(subjects.split()),
        frozenset(objects.split()),
        tuple(of_subject.split()),
        tuple(of_object.split()),
    )


SCENES = (
    _scene(VERBS["überqueren"], "animal", "crossable", "tired weak lazy", "wide dangerous deep"),
    _scene(VERBS["überqueren"], "vehicle", "bridge", "heavy", "narrow"),
    _scene(VERBS["fressen"], "animal", "bite soup", "tired lazy", "hot sweet"),
    _scene(VERBS["trinken"], "animal", "drink", "tired lazy", "hot sweet"),
    _scene(VERBS["jagen"], "animal", "animal", "tired lazy weak", "fast dangerous clever"),
    _scene(VERBS["folgen"], "animal", "animal vehicle", "tired lazy weak", "fast dangerous"),
    _scene(FIT, "portable", "container", "big", "small"),
)
_REASONS = tuple(  # what one does for a reason: adjectives that speak for it, and against it
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
_GETTING = [VERBS[verb] for verb in ("kaufen", "suchen", "finden")]  # nothing one does with what one has
_ENDING = [VERBS[verb] for verb in ("essen", "trinken", "wegwerfen")]  # nothing comes after it
_PARTING = [VERBS[verb] for verb in ("verkaufen", "verlieren", "vergessen")]  # after it, the next may be another's
_TENSES = ((PAST, PAST), (PRESENT, PRESENT), (COULD, PAST), (CAN, PRESENT), (WANTED_TO, PAST))


class Pronouns:
    """Draws sentences with pronouns, from clauses that `clauses` draws."""

    def __init__(self, clauses: ClauseWriter) -> None:
        self.clauses = clauses
        self.dice = clauses.dice
        self.nominals = clauses.nominals

    def scene(self) -> Both:
        """The animal did not cross the street because it was too tired, or: because it was too wide."""
        scene = self.dice.pick(SCENES)
        of_subject = self.dice.chance(0.5)
        adjective = ADJECTIVES[self.dice.pick(scene.of_subject if of_subject else scene.of_object)]
        first, second = self._nouns(scene, adjective.tags, of_subject=of_subject)
        subject = self.nominals.noun_phrase(first, definite=True, plural=0.15, adjective=0.0 if of_subject else 0.2)
        object_ = self.nominals.noun_phrase(second, definite=True, plural=0.15, adjective=0.2 if of_subject else 0.0)
        if of_subject:
            subject = replace(subject, antecedent=True)
        else:
            object_ = replace(object_, antecedent=True)
        antecedent = subject if of_subject else object_
        pronoun = pronoun_for(antecedent)

        failed = scene.verb is FIT or self.dice.chance(0.75)
        tense, then = self.dice.pick(_TENSES)
        if scene.verb is FIT or not failed or (tense is WANTED_TO and "animal" not in first.tags):
            tense = then
        description = describe(adjective, self.dice.pick(("very", "too") if failed else ("", "very")))
        turned = scene.verb is not FIT and self.dice.chance(0.3)  # Because the street was wide, the animal did not …
        main = Clause(pronoun if turned and of_subject else subject, scene.verb, tense, negated=failed)
        explanation = Clause(antecedent if turned else pronoun, BE, then, rest=description)
        goal = pronoun if turned and not of_subject else object_
        if scene.verb is FIT:
            main = replace(main, rest=prepositional(PREPOSITIONS["into"], object_))
        else:
            main = replace(main, dative=goal) if scene.verb.case == "dative" else replace(main, accusative=goal)
        return with_subordinate(main, BECAUSE if failed else ALTHOUGH, explanation, first=turned)

    def _nouns(self, scene: Scene, described: Tags, *, of_subject: bool) -> tuple[Noun, Noun]:
        """Different nouns for subject and object, of which one can be described by an adjective with those tags."""
        while True:
            first = self.nominals.noun(scene.subjects, described if of_subject else None)
            second = self.nominals.noun(scene.objects, None if of_subject else described)
            if first is not second:
                return first, second

    def own_reason(self) -> Both:
        """The cat slept because it was tired. Although my aunt was sad, she laughed."""
        verb, reasons, objections = self.dice.pick(_REASONS)
        form = self.dice.pick(("for", "against", "in spite of"))
        adjective = ADJECTIVES[self.dice.pick(reasons if form == "for" else objections)]
        tense, then = self.dice.pick(_TENSES if form == "against" else _TENSES[:2])
        noun = self.nominals.noun(verb.subjects & adjective.tags, _WITH_PRONOUN)
        turned = self.dice.chance(0.35)
        phrase = replace(self.nominals.noun_phrase(noun, definite=True, adjective=0.0), antecedent=True)
        actor, described = (pronoun_for(phrase), phrase) if turned else (phrase, pronoun_for(phrase))
        place = self.nominals.place(WHERE) if "in" in verb.uses and self.dice.chance(0.3) else NOTHING
        main = Clause(actor, verb, tense, rest=place, negated=form == "against")
        degree = self.dice.pick(("", "very", "too") if form == "against" else ("", "very"))
        explanation = Clause(described, BE, then, rest=describe(adjective, degree))
        conjunction = ALTHOUGH if form == "in spite of" else BECAUSE
        return with_subordinate(main, conjunction, explanation, first=turned)

    def object_again(self) -> Both:
        """My father found the key, but I lost it. The woman bought a coat and put it on."""
        subject, tags = self.nominals.subject(_GROWN_UP)
        tenses = (PRESENT if subject.agreement == "2s" else self.dice.pick((PRESENT, PAST)),)
        verbs = [verb for verb in verbs_for(tags) if verb.objects & _LIFELESS and "indirect" not in verb.uses]
        verb = self.dice.pick([verb for verb in verbs if verb not in _ENDING])
        noun = self.nominals.noun(verb.objects, _LIFELESS)
        thing = replace(self.nominals.noun_phrase(noun, owner=owner_of(subject)), antecedent=True)
        one = self.clauses.clause(subject, tags, verb=verb, tenses=tenses, negated=0, adverbial=0)
        one = replace(one, accusative=thing, rest=NOTHING)

        unlikely = [verb] if verb in _PARTING else [verb, *_GETTING]
        again = self.dice.pick([then for then in verbs if then not in unlikely and then.objects & noun.tags])
        if verb not in _PARTING and self.dice.chance(0.6):
            two = self.clauses.clause(subject, tags, verb=again, tenses=tenses, negated=0, adverbial=0)
            two = replace(two, accusative=pronoun_for(thing), rest=NOTHING)
            return statement(one) + linked("and", "und") + arrange(two, "statement", silent_subject=True)
        two = self.clauses.another(one, tags=_GROWN_UP, verb=again, tenses=tenses, negated=0.4, adverbial=0)
        two = replace(two, accusative=pronoun_for(thing), rest=NOTHING)
        return statement(one) + self.clauses.join(contrast=two.negated) + statement(two)
