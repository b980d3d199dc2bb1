"""The split `pronouns`: pairs whose German pronoun depends on the gender of a noun."""

import re
from collections import Counter
from dataclasses import asdict
from itertools import islice

import pytest

from nmt.data.grammar import GrammarCorpus, GrammarPair, generate_pairs, split_words
from nmt.data.grammar.ambiguity import find_ambiguous_pronoun
from nmt.data.grammar.clauses import ALTHOUGH, BECAUSE, PAST, Clause, with_subordinate
from nmt.data.grammar.lexicon import BE, DETERMINERS, NOUNS, PREPOSITIONS, VERBS
from nmt.data.grammar.phrases import NounPhrase, align_words, finish_sentence, prepositional, pronoun_for
from nmt.data.pronouns import PronounExample

SIZES = {"train_size": 300, "val_size": 50, "test_size": 50, "test_long_size": 20, "pronouns_size": 240}
FORMS = {  # school grammar: gender and case of every form; a form that no other gender shares tells the noun
    "er": {("m", "nominative")},
    "ihn": {("m", "accusative")},
    "sie": {("f", "nominative"), ("f", "accusative")},
    "es": {("n", "nominative"), ("n", "accusative")},
    "ihm": {("m", "dative"), ("n", "dative")},
    "ihr": {("f", "dative")},
}


@pytest.fixture(scope="module")
def english() -> GrammarCorpus:
    return GrammarCorpus(source="en", target="de", seed=1, **SIZES)


@pytest.fixture(scope="module")
def rows(english: GrammarCorpus) -> list[tuple[GrammarPair, PronounExample]]:
    examples = english.pronoun_examples("pronouns")
    assert examples is not None
    return list(zip(english.pairs("pronouns"), examples, strict=True))


def the(english: str, *, antecedent: bool = False, plural: bool = False) -> NounPhrase:
    return NounPhrase(NOUNS[english], DETERMINERS["the"], antecedent=antecedent, plural=plural)


def failure(verb: str, subject: NounPhrase, object_: NounPhrase, reason: str) -> GrammarPair:
    """The dog did not see the cow because it was tired."""
    is_dative = VERBS[verb].case == "dative"
    main = Clause(
        subject, VERBS[verb], PAST, dative=object_ if is_dative else None, accusative=None if is_dative else object_,
        negated=True,
    )  # fmt: skip
    pronoun = pronoun_for(subject if subject.antecedent else object_)
    explanation = Clause(pronoun, BE, PAST, complement=align_words(*reason.split("/")))
    return finish_sentence(with_subordinate(main, BECAUSE, explanation), ".")


def test_the_other_noun_between_pronoun_and_antecedent_is_the_distractor() -> None:
    pair = failure("überqueren", the("animal", antecedent=True), the("street"), "tired/müde")
    #               0   1      2   3   4     5   6      7       8  9   10
    assert pair.source == "The animal did not cross the street because it was tired."
    assert pair.target == "Das Tier überquerte die Straße nicht, weil es müde war."
    wrong = ["er", "ihm", "ihn", "ihnen", "ihr", "sie"]
    assert find_ambiguous_pronoun(pair) == PronounExample(8, 1, 6, 7, 8, "n", "nominative", "es", wrong)


def test_without_a_noun_between_there_is_no_distractor() -> None:
    pair = failure("überqueren", the("animal"), the("street", antecedent=True), "wide/breit")
    example = find_ambiguous_pronoun(pair)
    assert example is not None
    assert (example.antecedent, example.distractor, example.distance) == (6, None, 2)
    assert (example.gender, example.correct) == ("f", "sie")


def test_a_pronoun_in_the_dative() -> None:
    """Because the cat was fast, the dog did not follow it."""
    cat = the("cat", antecedent=True)
    reason = Clause(cat, BE, PAST, complement=align_words("fast", "schnell"))
    main = Clause(the("dog"), VERBS["folgen"], PAST, dative=pronoun_for(cat), negated=True)
    pair = finish_sentence(with_subordinate(main, BECAUSE, reason, first=True), ".")
    #                      0       1   2   3   4   5 6   7   8   9   10     11
    assert pair.source == "Because the cat was fast, the dog did not follow it."
    assert pair.target == "Weil die Katze schnell war, folgte der Hund ihr nicht."
    wrong = ["er", "es", "ihm", "ihn", "ihnen", "sie"]
    assert find_ambiguous_pronoun(pair) == PronounExample(11, 2, 7, 9, 9, "f", "dative", "ihr", wrong)


def test_a_place_can_be_the_distractor() -> None:
    """The cat slept in the garden although it was hungry."""
    cat = the("cat", antecedent=True)
    place = prepositional(PREPOSITIONS["in"], the("garden"))
    main = Clause(cat, VERBS["schlafen"], PAST, complement=place)
    reason = Clause(pronoun_for(cat), BE, PAST, complement=align_words("hungry", "hungrig"))
    example = find_ambiguous_pronoun(finish_sentence(with_subordinate(main, ALTHOUGH, reason), "."))
    assert example is not None
    assert (example.antecedent, example.distractor, example.correct) == (1, 5, "sie")


@pytest.mark.parametrize(
    ("subject", "object_"),
    [
        ("dog", "bear"),  # both masculine: the form does not tell which noun it is
        ("woman", "cow"),  # "it" cannot be the woman, whose form is the same
    ],
)
def test_nouns_with_the_same_form_are_no_example(subject: str, object_: str) -> None:
    assert find_ambiguous_pronoun(failure("sehen", the(subject), the(object_, antecedent=True), "old/alt")) is None


def test_a_plural_has_the_same_form_as_a_feminine_noun() -> None:
    pair = failure("sehen", the("dog", plural=True), the("cow", antecedent=True), "old/alt")
    assert pair.target == "Die Hunde sahen die Kuh nicht, weil sie alt war."
    assert find_ambiguous_pronoun(pair) is None


def test_he_is_not_ambiguous() -> None:
    assert find_ambiguous_pronoun(failure("sehen", the("man", antecedent=True), the("cow"), "old/alt")) is None


def test_half_of_the_split_has_a_distractor(rows: list[tuple[GrammarPair, PronounExample]]) -> None:
    assert len(rows) == 240
    assert [example.distractor is not None for _, example in rows] == [True, False] * 120


def test_every_example_is_decided_by_its_form(rows: list[tuple[GrammarPair, PronounExample]]) -> None:
    for pair, example in rows:
        source, target = split_words(pair.source), split_words(pair.target)
        assert source[example.pronoun] == "it", pair
        assert example.correct == target[example.target_pronoun], pair
        assert (example.pronoun, example.target_pronoun) in pair.alignment, pair
        assert example.antecedent is not None
        assert example.distance == example.pronoun - example.antecedent, pair
        assert (example.gender, example.case) in FORMS[example.correct], pair
        assert {example.correct, *example.wrong} == {*FORMS, "ihnen"}, pair
        assert not re.search(r"\b(he|she|him|her|they|them)\b", pair.source, re.IGNORECASE), pair


def test_distractors_stand_between_and_take_another_form(rows: list[tuple[GrammarPair, PronounExample]]) -> None:
    for pair, example in rows:
        genders = {noun.index: noun.gender_number for noun in pair.source_grammar.nouns}
        assert example.antecedent is not None
        assert genders[example.antecedent] == example.gender
        others = [index for index in genders if index != example.antecedent]
        if example.distractor is None:
            assert all(abs(index - example.pronoun) > example.distance for index in others), pair
        else:
            assert example.antecedent < example.distractor < example.pronoun, pair
            assert genders[example.distractor] in {*"mfn"} - {example.gender}, pair
            assert (genders[example.distractor], example.case) not in FORMS[example.correct], pair


def test_every_gender_and_every_case_occurs(rows: list[tuple[GrammarPair, PronounExample]]) -> None:
    counts = Counter((example.gender, example.distractor is not None) for _, example in rows)
    assert min(counts.values()) > 10 and len(counts) == 6, counts
    assert {example.case for _, example in rows} == {"nominative", "accusative", "dative"}


def test_from_german_every_pronoun_is_it(rows: list[tuple[GrammarPair, PronounExample]]) -> None:
    german = GrammarCorpus(source="de", target="en", seed=1, **SIZES)
    examples = german.pronoun_examples("pronouns")
    assert examples is not None
    for (pair, there), back in zip(rows, examples, strict=True):
        assert (back.correct, back.wrong) == ("it", ["he", "her", "him", "she", "them", "they"])
        assert split_words(pair.target)[back.pronoun] == there.correct
        assert (back.target_pronoun, back.gender, back.case) == (there.pronoun, there.gender, there.case)
        assert (back.distractor is None) == (there.distractor is None)
        assert (there.antecedent, back.antecedent) in pair.alignment
        assert there.distractor is None or (there.distractor, back.distractor) in pair.alignment, pair


def test_a_row_of_the_split_holds_the_example(
    english: GrammarCorpus, rows: list[tuple[GrammarPair, PronounExample]]
) -> None:
    dataset = english.split("pronouns")
    assert dataset.column_names == ["source", "target", "alignment", "antecedent", "pronoun"]
    assert dataset["pronoun"][:2] == [asdict(example) for _, example in rows[:2]]
    assert english.pronoun_examples("val") is None


def test_examples_occur_among_the_other_sentences() -> None:
    """The split has no kind of sentence that training does not have."""
    found = [find_ambiguous_pronoun(pair) for pair in islice(generate_pairs(2), 1500)]
    assert sum(example is not None and example.distractor is not None for example in found) > 30
    assert sum(example is not None and example.distractor is None for example in found) > 30
