"""Where the words of a clause stand, in English and in German.

English moves little: a question puts the auxiliary, or "do", in front of the subject. German builds on two brackets:

    main clause          front field   finite verb   [middle field]   other verb parts
    question                           finite verb   [middle field]   other verb parts
    subordinate clause   conjunction                 [middle field]   other verb parts   finite verb
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nmt.data.grammar.entries import Verb
from nmt.data.grammar.inflection import DO, HAVE, WANT, Time, auxiliary
from nmt.data.grammar.lexicon import BE
from nmt.data.grammar.phrases import NOTHING, Both, Nominal, Pronoun, Word, linked

Pair = tuple[str, str]
"""An English expression and its German one, as `phrases.linked` reads them."""


@dataclass(frozen=True, slots=True)
class Tense:
    """A tense or a mood: the time of the finite verb, and what helps the verb in either language."""

    time: Time
    english: str = ""  # "" where the verb itself is finite; "have", "will", "can", "have to", …
    german: str = ""  # the infinitive of the modal verb, or werden


PRESENT = Tense("present")
PAST = Tense("past")
PERFECT = Tense("present", "have")  # its German auxiliary, haben or sein, is the verb's
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
    """Who does what to whom; not yet in any order. `gap` is the part that is a relative or interrogative pronoun."""

    subject: Nominal
    verb: Verb
    tense: Tense = PRESENT
    dative: Nominal | None = None  # the only object of helfen, the indirect one of geben
    accusative: Nominal | None = None
    rest: Both = NOTHING  # prepositional phrases, and what follows "be"
    negated: bool = False
    adverb: Pair | None = None  # often, already
    time: Pair | None = None  # yesterday, every day
    gap: Literal["subject", "dative", "accusative", None] = None


@dataclass(frozen=True, slots=True)
class _VerbGroup:
    """The verb's words in both languages."""

    operator: tuple[Word, ...]  # the English auxiliary that a question puts first; may be absent
    negation: tuple[Word, ...]  # what says "not": that word, or "cannot"
    main: tuple[Word, ...]  # the English words behind operator and "not"
    particle: tuple[Word, ...]
    finite: Word  # German
    nonfinite: tuple[Word, ...]  # German participle, infinitive or separated prefix
    final: tuple[Word, ...]  # all German parts, as a subordinate clause ends in them


def _verb_group(clause: Clause, *, inverted: bool) -> _VerbGroup:
    english, german, tense = clause.verb.english, clause.verb.german, clause.tense
    agreement = clause.subject.agreement
    do_support = clause.negated or inverted
    particle = tuple(Word(text) for text in english.particle.split())
    operator: tuple[Word, ...] = ()
    finite: tuple[Word, ...]  # what the German finite verb translates
    main: tuple[Word, ...]
    verb: tuple[Word, ...]  # what the other German parts translate
    if not tense.english and clause.verb is BE:
        operator = finite = (Word(english.finite(tense.time, agreement)),)
        main = verb = ()
    elif not tense.english or tense.english.endswith(" to"):  # the verb itself, or: has to, wants to
        first = {"": english, "have to": HAVE, "want to": WANT}[tense.english]
        if do_support:
            operator = (Word(DO.finite(tense.time, agreement)),)
        main = (Word(first.base if do_support else first.finite(tense.time, agreement)),)
        if tense.english:
            main += (Word("to"), Word(english.base))
        finite, verb = main[:2], main[-1:]
    else:
        perfect = tense is PERFECT
        operator = finite = (Word(HAVE.finite(tense.time, agreement) if perfect else tense.english),)
        main = verb = (Word(english.participle if perfect else english.base),)

    negation: tuple[Word, ...] = ()
    if clause.negated and tense is CAN and not inverted:
        operator = finite = negation = (Word("cannot"),)
    elif clause.negated:
        negation = (Word("not"),)

    if not tense.english:
        form = german.finite(tense.time, agreement)
        separated = Word(form, finite if german.prefix else finite + particle)
        prefix = (Word(german.prefix, particle or finite),) if german.prefix else ()
        final = (Word(german.prefix + form, finite + particle),)
        return _VerbGroup(operator, negation, main, particle, separated, prefix, final)
    helper = german.auxiliary if tense is PERFECT else tense.german
    german_finite = Word(auxiliary(helper, tense.time, agreement), finite)
    nonfinite = (Word(german.participle if tense is PERFECT else german.infinitive, verb + particle),)
    return _VerbGroup(operator, negation, main, particle, german_finite, nonfinite, (*nonfinite, german_finite))


def arrange(
    clause: Clause,
    order: Literal["statement", "question", "subordinate"],
    *,
    front: Both = NOTHING,
    silent_subject: bool = False,
) -> Both:
    """The clause in both languages' order, without commas around it.

    `front` is what stands first in both: a conjunction, an expression of time, a question word. A gap stands there
    by itself. `silent_subject` leaves the subject out: … and reads the letter.
    """
    inverted = order == "question" and clause.gap != "subject"
    verb = _verb_group(clause, inverted=inverted)
    objects = {"dative": clause.dative, "accusative": clause.accusative}
    kein = _says_kein(clause)
    parts = {"subject": clause.subject.realise("nominative")}
    for case, nominal in objects.items():
        if nominal is None:
            parts[case] = NOTHING
        else:
            parts[case] = nominal.realise(case, verb.negation if case == kein else ())  # type: ignore[arg-type]
    middle = {role: NOTHING if role == clause.gap else part for role, part in parts.items()}
    if clause.gap:
        front = parts[clause.gap]
    subject = NOTHING if silent_subject else middle["subject"]
    adverb = linked(*clause.adverb) if clause.adverb else NOTHING
    time = linked(*clause.time) if clause.time else NOTHING

    # English
    negation = () if verb.negation == verb.operator else verb.negation
    operator_and_subject = (verb.operator, subject.english) if inverted else (subject.english, verb.operator)
    english_object = middle["accusative"].english
    if clause.verb.english.movable and isinstance(clause.accusative, Pronoun):
        english_object += verb.particle  # wakes him up
    else:
        english_object = verb.particle + middle["dative"].english + english_object  # wakes up the man
    english = (
        front.english
        + operator_and_subject[0]
        + operator_and_subject[1]
        + negation
        + adverb.english
        + verb.main
        + english_object
        + clause.rest.english
        + time.english
    )

    # German
    field = _middle_field(clause, middle, adverb.german, time.german, verb.negation if not kein else ())
    if order == "subordinate":
        german = front.german + subject.german + field + verb.final
    elif order == "question" or front.german:
        german = (*front.german, verb.finite, *subject.german, *field, *verb.nonfinite)
    else:
        german = (*subject.german, verb.finite, *field, *verb.nonfinite)
    return Both(english, german)


def _says_kein(clause: Clause) -> Literal["dative", "accusative", None]:
    """The object that German negates instead of the verb: an indefinite one."""
    if not clause.negated:
        return None
    if clause.accusative:
        return None if clause.accusative.definite else "accusative"
    return "dative" if clause.dative and not clause.dative.definite else None


def _middle_field(
    clause: Clause,
    parts: dict[str, Both],
    adverb: tuple[Word, ...],
    time: tuple[Word, ...],
    negation: tuple[Word, ...],
) -> tuple[Word, ...]:
    """The German order between the brackets, behind the subject.

    Pronouns, then what is known, then time, then "nicht" or the adverb, then what is new, then the rest. The dative
    stands in front of the accusative, but for pronouns. Without "nicht" or an adverb, time goes in front of all nouns.
    """
    pronouns: tuple[Word, ...] = ()
    known: tuple[Word, ...] = ()
    new: tuple[Word, ...] = ()
    for case, nominal in (("accusative", clause.accusative), ("dative", clause.dative)):
        if isinstance(nominal, Pronoun):
            pronouns += parts[case].german
    for case, nominal in (("dative", clause.dative), ("accusative", clause.accusative)):
        if nominal is not None and not isinstance(nominal, Pronoun):
            if nominal.definite and (negation or adverb):
                known += parts[case].german
            else:
                new += parts[case].german
    nicht = (Word("nicht", negation),) if negation else ()
    return pronouns + known + time + adverb + nicht + new + clause.rest.german


# ---------------------------------------------------------------- clauses within clauses


def comma(*, english: bool = False) -> Both:
    """A German comma, and where there is an English one too, the two as a pair."""
    return linked(",", ",") if english else Both(german=(Word(","),))


def relative(clause: Clause) -> Both:
    """A relative clause between its commas, to be put behind its noun; the gap holds the relative pronoun."""
    assert clause.gap, "a relative clause needs its pronoun"
    return comma() + arrange(clause, "subordinate") + comma()


def subordinate(conjunction: Pair, clause: Clause) -> Both:
    """A clause behind a conjunction: because the dog sleeps, weil der Hund schläft."""
    return arrange(clause, "subordinate", front=linked(*conjunction))


def statement(clause: Clause, *, time_first: bool = False) -> Both:
    """A main clause, with its expression of time at its head or at its usual place."""
    if time_first and clause.time:
        return arrange(replace(clause, time=None), "statement", front=linked(*clause.time))
    return arrange(clause, "statement")


def with_subordinate(clause: Clause, conjunction: Pair, inner: Clause, *, first: bool = False) -> Both:
    """A main and a subordinate clause; where the latter is first, the German verb follows at once."""
    if first:
        return arrange(clause, "statement", front=subordinate(conjunction, inner) + comma(english=True))
    return statement(clause) + comma() + subordinate(conjunction, inner) + comma()
