"""Word order of clauses, in English and in German.

English word order changes little: a question puts the auxiliary, or "do", before the subject. German word order is
described by topological fields. The middle field lies between the two verbal brackets:

    main clause          front field   finite verb   middle field   other verb parts
    question                           finite verb   middle field   other verb parts
    subordinate clause   conjunction                 middle field   other verb parts   finite verb
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nmt.data.grammar.entries import Verb
from nmt.data.grammar.inflection import DO, HAVE, WANT, Time, conjugate_auxiliary
from nmt.data.grammar.lexicon import BE
from nmt.data.grammar.phrases import EMPTY, Nominal, PhrasePair, Pronoun, Word, align_words

Expression = tuple[str, str]
"""An English expression and its German translation, in the notation of `phrases.align_words`."""


@dataclass(frozen=True, slots=True)
class Tense:
    """A tense or modality: the time of the finite verb, and the auxiliary or modal verb in each language."""

    time: Time
    english: str = ""  # "" if the main verb is finite; "have", "will", "can", "have to", …
    german: str = ""  # the infinitive of the modal verb, or werden


PRESENT = Tense("present")
PAST = Tense("past")
PERFECT = Tense("present", "have")  # the main verb determines the German auxiliary, haben or sein
FUTURE = Tense("present", "will", "werden")
CAN = Tense("present", "can", "können")
COULD = Tense("past", "could", "können")
HAVE_TO = Tense("present", "have to", "müssen")
HAD_TO = Tense("past", "have to", "müssen")
WANT_TO = Tense("present", "want to", "wollen")
WANTED_TO = Tense("past", "want to", "wollen")
MAY = Tense("present", "may", "dürfen")
SHOULD = Tense("past", "should", "sollen")


BECAUSE, ALTHOUGH, IF = ("because", "weil"), ("although", "obwohl"), ("if", "wenn")
WHEN, WHILE, BEFORE = ("when", "als"), ("while", "während"), ("before", "bevor")
THAT, WHETHER = ("that", "dass"), ("whether", "ob")


@dataclass(frozen=True, slots=True)
class Clause:
    """The parts of a clause, without any order. `gap` names the part that is a relative or interrogative pronoun."""

    subject: Nominal
    verb: Verb
    tense: Tense = PRESENT
    dative: Nominal | None = None  # the only object of helfen, the indirect one of geben
    accusative: Nominal | None = None
    complement: PhrasePair = EMPTY  # prepositional phrases, or the predicative after "be"
    negated: bool = False
    adverb: Expression | None = None  # often, already
    time: Expression | None = None  # yesterday, every day
    gap: Literal["subject", "dative", "accusative", None] = None


@dataclass(frozen=True, slots=True)
class _VerbGroup:
    """The words of the verb in both languages, by the positions that they take in a clause."""

    operator: tuple[Word, ...]  # the English auxiliary that precedes the subject in a question; may be empty
    negation: tuple[Word, ...]  # "not", or "cannot"
    main: tuple[Word, ...]  # the English words after operator and "not"
    particle: tuple[Word, ...]
    finite: Word  # German
    nonfinite: tuple[Word, ...]  # German participle, infinitive or separated prefix
    final: tuple[Word, ...]  # all German parts, at the end of a subordinate clause


def _verb_group(clause: Clause, *, inverted: bool) -> _VerbGroup:
    """Conjugates the verb in both languages, and aligns each German form with the English words that it translates.

    Args:
        clause: the clause.
        inverted: whether the English auxiliary, or "do", precedes the subject, as in a question.
    """
    english, german, tense = clause.verb.english, clause.verb.german, clause.tense
    agreement = clause.subject.agreement
    needs_do = clause.negated or inverted
    particle = tuple(Word(text) for text in english.particle.split())
    operator: tuple[Word, ...] = ()
    main: tuple[Word, ...]
    finite_source: tuple[Word, ...]  # the English words that the German finite verb translates
    nonfinite_source: tuple[Word, ...]  # the English words that the German infinitive or participle translates
    # English: the operator and the main verb.
    if not tense.english and clause.verb is BE:
        operator = finite_source = (Word(english.finite(tense.time, agreement)),)
        main = nonfinite_source = ()
    elif not tense.english or tense.english.endswith(" to"):  # the verb itself, or: has to, wants to
        finite_verb = {"": english, "have to": HAVE, "want to": WANT}[tense.english]
        if needs_do:
            operator = (Word(DO.finite(tense.time, agreement)),)
        main = (Word(finite_verb.base if needs_do else finite_verb.finite(tense.time, agreement)),)
        if tense.english:
            main += (Word("to"), Word(english.base))
        finite_source, nonfinite_source = main[:2], main[-1:]
    else:
        perfect = tense is PERFECT
        operator = finite_source = (Word(HAVE.finite(tense.time, agreement) if perfect else tense.english),)
        main = nonfinite_source = (Word(english.participle if perfect else english.base),)
    if main:
        main[-1].related += [("particle", word) for word in particle]

    # English: the negation.
    negation: tuple[Word, ...] = ()
    if clause.negated and tense is CAN and not inverted:
        operator = finite_source = negation = (Word("cannot"),)
    elif clause.negated:
        negation = (Word("not"),)

    # German: a finite main verb, with or without a separable prefix …
    if not tense.english:
        form = german.finite(tense.time, agreement)
        separated = Word(form, finite_source if german.prefix else finite_source + particle)
        prefix = (Word(german.prefix, particle or finite_source),) if german.prefix else ()
        separated.related += [("particle", word) for word in prefix]
        final = (Word(german.prefix + form, finite_source + particle),)
        return _VerbGroup(operator, negation, main, particle, separated, prefix, final)
    # … or a finite auxiliary or modal verb with a participle or infinitive.
    helper = german.auxiliary if tense is PERFECT else tense.german
    german_finite = Word(conjugate_auxiliary(helper, tense.time, agreement), finite_source)
    nonfinite = (Word(german.participle if tense is PERFECT else german.infinitive, nonfinite_source + particle),)
    return _VerbGroup(operator, negation, main, particle, german_finite, nonfinite, (*nonfinite, german_finite))


def _relate_subject(verb: _VerbGroup, subject: PhrasePair) -> None:
    """Records in each language which word is the subject of the finite verb."""
    english, german = (
        next((word for word in words if word.phrase), words[0])  # the head of a noun phrase, or the pronoun
        for words in (subject.english, subject.german)
    )
    (verb.operator + verb.main)[0].related.append(("subject", english))
    for finite in {verb.finite, verb.final[-1]}:  # the order of the clause decides which of them is used
        finite.related.append(("subject", german))


def linearise(
    clause: Clause,
    order: Literal["statement", "question", "subordinate"],
    *,
    front: PhrasePair = EMPTY,
    silent_subject: bool = False,
) -> PhrasePair:
    """Puts the parts of a clause into the order of each language, without commas around it.

    Args:
        clause: its parts. A part that is a gap moves to the front.
        order: the word order of a main clause, a question or a subordinate clause.
        front: what comes first in both languages: a conjunction, an expression of time, a question word.
        silent_subject: leaves the subject out, as in "… and reads the letter".
    """
    inverted = order == "question" and clause.gap != "subject"
    verb = _verb_group(clause, inverted=inverted)
    objects = {"dative": clause.dative, "accusative": clause.accusative}
    kein_case = _find_kein_object(clause)
    parts = {"subject": clause.subject.realise("nominative")}
    for case, nominal in objects.items():
        if nominal is None:
            parts[case] = EMPTY
        else:
            parts[case] = nominal.realise(case, verb.negation if case == kein_case else ())  # type: ignore[arg-type]
    _relate_subject(verb, parts["subject"])
    middle = {role: EMPTY if role == clause.gap else part for role, part in parts.items()}
    if clause.gap:
        front = parts[clause.gap]
    subject = EMPTY if silent_subject else middle["subject"]
    adverb = align_words(*clause.adverb) if clause.adverb else EMPTY
    time = align_words(*clause.time) if clause.time else EMPTY

    # English
    negation = () if verb.negation == verb.operator else verb.negation
    operator_and_subject = (verb.operator, subject.english) if inverted else (subject.english, verb.operator)
    english = (
        front.english
        + operator_and_subject[0]
        + operator_and_subject[1]
        + negation
        + adverb.english
        + verb.main
        + _english_objects(clause, middle, verb.particle)
        + clause.complement.english
        + time.english
    )

    # German
    field = _middle_field(clause, middle, adverb.german, time.german, verb.negation if not kein_case else ())
    if order == "subordinate":
        german = front.german + subject.german + field + verb.final
    elif order == "question" or front.german:
        german = (*front.german, verb.finite, *subject.german, *field, *verb.nonfinite)
    else:
        german = (*subject.german, verb.finite, *field, *verb.nonfinite)
    return PhrasePair(english, german)


def _english_objects(clause: Clause, parts: dict[str, PhrasePair], particle: tuple[Word, ...]) -> tuple[Word, ...]:
    """The English objects, and the particle of the verb before or after them."""
    if clause.verb.english.movable and isinstance(clause.accusative, Pronoun):
        return parts["accusative"].english + particle  # wakes him up
    return particle + parts["dative"].english + parts["accusative"].english  # wakes up the man


def _find_kein_object(clause: Clause) -> Literal["dative", "accusative", None]:
    """The case of the object that carries the German negation: an indefinite one, by "kein"."""
    if not clause.negated:
        return None
    if clause.accusative:
        return None if clause.accusative.definite else "accusative"
    return "dative" if clause.dative and not clause.dative.definite else None


def _middle_field(
    clause: Clause,
    parts: dict[str, PhrasePair],
    adverb: tuple[Word, ...],
    time: tuple[Word, ...],
    negation: tuple[Word, ...],
) -> tuple[Word, ...]:
    """The German order between the verbal brackets, after the subject.

    Pronouns, given (definite) noun phrases, time, "nicht" or the adverb, new (indefinite) noun phrases, complement. The
    dative precedes the accusative, except among pronouns. Without "nicht" or an adverb, time precedes all noun phrases.
    """
    pronouns: tuple[Word, ...] = ()
    given: tuple[Word, ...] = ()
    new: tuple[Word, ...] = ()
    for case, nominal in (("accusative", clause.accusative), ("dative", clause.dative)):
        if isinstance(nominal, Pronoun):
            pronouns += parts[case].german
    for case, nominal in (("dative", clause.dative), ("accusative", clause.accusative)):
        if nominal is not None and not isinstance(nominal, Pronoun):
            if nominal.definite and (negation or adverb):
                given += parts[case].german
            else:
                new += parts[case].german
    nicht = (Word("nicht", negation),) if negation else ()
    return pronouns + given + time + adverb + nicht + new + clause.complement.german


# ---------------------------------------------------------------- clauses within clauses


def comma(*, english: bool = False) -> PhrasePair:
    """A German comma; with `english`, aligned with an English one."""
    return align_words(",", ",") if english else PhrasePair(german=(Word(","),))


def relative(clause: Clause) -> PhrasePair:
    """A relative clause between commas, to follow its noun; its gap is filled by the relative pronoun."""
    assert clause.gap, "a relative clause needs its pronoun"
    return comma() + linearise(clause, "subordinate") + comma()


def subordinate(conjunction: Expression, clause: Clause) -> PhrasePair:
    """A clause after a conjunction: because the dog sleeps, weil der Hund schläft."""
    return linearise(clause, "subordinate", front=align_words(*conjunction))


def statement(clause: Clause, *, time_first: bool = False) -> PhrasePair:
    """A main clause, with the expression of time at its start or at its usual position."""
    if time_first and clause.time:
        return linearise(replace(clause, time=None), "statement", front=align_words(*clause.time))
    return linearise(clause, "statement")


def with_subordinate(clause: Clause, conjunction: Expression, inner: Clause, *, first: bool = False) -> PhrasePair:
    """A main and a subordinate clause. After an initial subordinate clause, German continues with the finite verb."""
    if first:
        return linearise(clause, "statement", front=subordinate(conjunction, inner) + comma(english=True))
    return statement(clause) + comma() + subordinate(conjunction, inner) + comma()
