"""Finds pronouns whose form in German depends on the gender of their noun, which English does not show.

English "it" is er, sie or es in German, depending on the gender of the noun, and ihn, ihm or ihr in other cases. No
other pronoun of the grammar is ambiguous: he, she, they, his and her already show gender and number.

From German to English, er, sie and es are all "it" in these pairs. In that direction the form does not depend on the
noun; it only tells whether the system has understood that the noun is not a person.
"""

from __future__ import annotations

from nmt.data.grammar.inflection import Case
from nmt.data.grammar.phrases import GrammarPair, NounIndex, SentenceGrammar, split_words
from nmt.data.pronouns import PronounExample

GERMAN_FORMS = {
    "m": ("er", "ihn", "ihm"),
    "f": ("sie", "sie", "ihr"),
    "n": ("es", "es", "ihm"),
    "p": ("sie", "sie", "ihnen"),
}
"""Nominative, accusative and dative of the personal pronouns of the third person, by gender and number."""

ENGLISH_FORMS = ("he", "her", "him", "it", "she", "them", "they")
"""The personal pronouns of the third person."""


def find_ambiguous_pronoun(pair: GrammarPair) -> PronounExample | None:
    """Finds the pronoun of an English-German pair if its German form alone shows which noun it refers to.

    All these conditions must hold:

    - The pronoun is "it", and neither sentence has another pronoun of the third person.
    - No other noun of the sentence takes the same form in German.
    - Both languages have equally many other nouns between the antecedent and the pronoun. If there are some, "it" could
      refer to each of them, and the nearest is the distractor. If there are none, the antecedent is the noun nearest to
      the pronoun.

    Returns:
        The example, from English to German; None if a condition does not hold.
    """
    antecedent = pair.antecedent
    english, german = split_words(pair.source.lower()), split_words(pair.target.lower())
    german_forms = {form for forms in GERMAN_FORMS.values() for form in forms}
    if antecedent is None or english[antecedent.source_pronoun] != "it":
        return None
    if sum(word in ENGLISH_FORMS for word in english) > 1 or sum(word in german_forms for word in german) > 1:
        return None
    correct = german[antecedent.target_pronoun]
    genders = {noun.index: noun.gender_number for noun in pair.target_grammar.nouns}
    gender = genders.pop(antecedent.target_noun)
    if any(correct in GERMAN_FORMS[other] for other in genders.values()):
        return None

    source = antecedent.source_noun, antecedent.source_pronoun
    target = antecedent.target_noun, antecedent.target_pronoun
    between = _nouns_between(pair.source_grammar, *source)
    if len(between) != len(_nouns_between(pair.target_grammar, *target)):
        return None
    if any(noun.gender_number == "p" or noun.is_person for noun in between):
        return None
    if not between and not (_is_nearest(pair.source_grammar, *source) and _is_nearest(pair.target_grammar, *target)):
        return None
    return PronounExample(
        pronoun=antecedent.source_pronoun,
        antecedent=antecedent.source_noun,
        distractor=between[-1].index if between else None,
        distance=antecedent.source_pronoun - antecedent.source_noun,
        target_pronoun=antecedent.target_pronoun,
        gender=gender,
        case=_find_case(pair.target_grammar, antecedent.target_pronoun, correct),
        correct=correct,
        wrong=sorted(german_forms - {correct}),
    )


def reverse_example(example: PronounExample, pair: GrammarPair) -> PronounExample:
    """The example of an English-German pair in the other direction: a German pronoun, and "it" as its translation."""
    antecedent = pair.antecedent
    assert antecedent is not None, "the pair of an example has a pronoun"
    between = _nouns_between(pair.target_grammar, antecedent.target_noun, antecedent.target_pronoun)
    return PronounExample(
        pronoun=antecedent.target_pronoun,
        antecedent=antecedent.target_noun,
        distractor=between[-1].index if between else None,
        distance=antecedent.target_pronoun - antecedent.target_noun,
        target_pronoun=antecedent.source_pronoun,
        gender=example.gender,
        case=example.case,
        correct="it",
        wrong=sorted({*ENGLISH_FORMS} - {"it"}),
    )


def _nouns_between(sentence: SentenceGrammar, noun: int, pronoun: int) -> list[NounIndex]:
    """The nouns between the word indices of the antecedent and the pronoun."""
    return [other for other in sentence.nouns if noun < other.index < pronoun]


def _is_nearest(sentence: SentenceGrammar, noun: int, pronoun: int) -> bool:
    """Whether the antecedent is nearer to the pronoun than every other noun, on either side of it."""
    others = [other.index for other in sentence.nouns if other.index != noun]
    return all(abs(other - pronoun) > pronoun - noun for other in others)


def _find_case(german: SentenceGrammar, pronoun: int, form: str) -> Case:
    """The case of a German pronoun: the dative by its form, the nominative by the relations of the sentence."""
    if form in ("ihm", "ihr"):
        return "dative"
    is_subject = any(name == "subject" and word == pronoun for name, _, word in german.relations)
    return "nominative" if is_subject else "accusative"
