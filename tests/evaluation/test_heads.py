"""What heads follow: counted by hand on a few words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nmt.data.grammar import GrammarCorpus, GrammarPair, split_words
from nmt.data.grammar.clauses import Clause, statement
from nmt.data.grammar.lexicon import DETERMINERS, NOUNS, VERBS
from nmt.data.grammar.phrases import Antecedent, NounPhrase, finish_sentence
from nmt.data.pronouns import PronounExample
from nmt.data.words import separate_words
from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.head_report import PronounAttention
from nmt.evaluation.heads import (
    FURTHER_PRONOUNS,
    PRONOUNS,
    TEST,
    VALIDATION,
    RelationCounts,
    Sample,
    count_relations,
    list_relations,
    measure_pronouns,
    measure_relations,
    score_relation,
    score_translations,
    translate_with_attention,
)
from nmt.evaluation.pronouns import PronounCounts
from nmt.translator import Attention, Translation

HEADS = ["encoder.0.0", "encoder.0.1"]


def the_dog_sleeps() -> GrammarPair:
    """The dog sleeps."""
    dog = NounPhrase(NOUNS["dog"], DETERMINERS["the"])
    return finish_sentence(statement(Clause(dog, VERBS["schlafen"])), ".")


def test_a_tag_is_no_word() -> None:
    """The dog sleeps. behind a tag, whose row and column are left out like those of the end."""
    pieces = ["<2de>", "▁The", "▁dog", "▁sleep", "s", ".", "</s>"]
    encoder = Attention("encoder", np.full((1, 1, 7, 7), 1 / 7, dtype=np.float32), pieces, pieces, (0,), (0,))
    found = Translation("", -1.0, -1.0, pieces, [], {"encoder": encoder})
    translator: Any = SimpleNamespace(translate=lambda lines, attention: [found for _ in lines])
    [matrix] = translate_with_attention(Sample([the_dog_sleeps()], []), translator, separate_words).weights
    np.testing.assert_allclose(matrix, [[[[0.2, 0.2, 0.4, 0.2]] * 4]], rtol=1e-6)


def weights(*heads: list[list[float]]) -> np.ndarray:
    """(1, H, W, W) from a matrix for each head."""
    return np.array([heads], dtype=np.float32)


BACK = weights(  # head 0 attends to the previous word, head 1 to all words alike
    [[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0.8, 0.2, 0], [0, 0.4, 0.6, 0]],
    [[0.25] * 4] * 4,
)


def test_neighbours_and_the_relations_of_the_grammar_are_listed() -> None:
    next_words = [("next", 0, 1), ("next", 1, 2), ("next", 2, 3)]
    previous_words = [("previous", 1, 0), ("previous", 2, 1), ("previous", 3, 2)]
    assert sorted(list_relations(the_dog_sleeps())) == sorted(
        [*next_words, *previous_words, ("article", 1, 0), ("subject", 2, 1)]
    )


def test_a_relation_is_followed_if_the_highest_weight_falls_on_the_related_word() -> None:
    counts = count_relations(Sample([the_dog_sleeps()], [], weights=[BACK]))
    previous = counts["previous"]
    assert (previous.words, previous.chance) == (3, 0.75)
    assert previous.hits.tolist() == [[3, 1]]  # of equal weights, the first word has the highest
    np.testing.assert_allclose(previous.weight, [[0.9 + 0.8 + 0.6, 0.75]], rtol=1e-6)
    assert previous.distances == {-1: 3}
    assert counts["subject"].hits.tolist() == [[1, 0]]
    assert counts["article"].hits.tolist() == [[1, 1]]


def test_the_best_head_is_selected_on_other_sentences() -> None:
    selection, test = RelationCounts(), RelationCounts()
    for word, related in ((1, 0), (2, 0), (3, 1)):  # distances -1, -2 and -2
        selection.add(weights([[0, 1, 0, 0]] * 4, [[1, 0, 0, 0]] * 4), word, related)
    test.add(weights([[0, 0.3, 0.7, 0]] * 4, [[1, 0, 0, 0]] * 4), 3, 2)
    test.add(weights([[0, 0.3, 0.7, 0]] * 4, [[1, 0, 0, 0]] * 4), 3, 1)
    scores = score_relation("subject", selection, "test", test, HEADS)
    assert scores.best == "encoder.0.1"
    assert scores.accuracy == {"encoder.0.0": 50.0, "encoder.0.1": 0.0}
    assert scores.weight == {"encoder.0.0": pytest.approx(50.0), "encoder.0.1": 0.0}
    assert (scores.words, scores.chance) == (2, 25.0)
    assert (scores.distance, scores.distance_accuracy) == (-2, 50.0)


def example(pronoun: int, antecedent: int, distractor: int | None) -> PronounExample:
    distance = pronoun - antecedent
    return PronounExample(pronoun, antecedent, distractor, distance, 1, "m", "nominative", "er", ["sie"])


def test_attention_from_pronouns_is_averaged_with_and_without_a_distractor() -> None:
    examples = [example(2, 0, 1), example(2, 0, 1), example(2, 1, None)]
    matrices = [
        weights([[0] * 3, [0] * 3, [0.75, 0.25, 0]]),
        weights([[0] * 3, [0] * 3, [0.25, 0.5, 0.25]]),
        weights([[0] * 3, [0] * 3, [0.125, 0.875, 0]]),
    ]
    sample = Sample([the_dog_sleeps()] * 3, examples, weights=matrices)
    expected = PronounAttention(antecedent=50.0, distractor=37.5, antecedent_alone=87.5)
    assert measure_pronouns(sample, ["encoder.0.0"]) == {"encoder.0.0": expected}


@pytest.mark.parametrize("distractor", [1, None])
def test_a_split_without_one_kind_of_pronoun_is_too_small(distractor: int | None) -> None:
    sample = Sample([the_dog_sleeps()], [example(2, 0, distractor)], weights=[weights([[0.5, 0.5, 0]] * 3)])
    with pytest.raises(UserError, match="pronouns is too small: it needs a sentence with a distractor, and one"):
        measure_pronouns(sample, ["encoder.0.0"])


def test_bleu_is_also_measured_without_the_sentences_that_have_a_pronoun() -> None:
    pair = the_dog_sleeps()
    with_pronoun = replace(pair, target="Weil er müde war, schlief er ein.", antecedent=Antecedent(1, 5, 1, 5))
    samples = {
        TEST: Sample([pair, with_pronoun], [], ["Der Hund schläft.", "Ein ganz anderer Satz steht hier."]),
        PRONOUNS: Sample([with_pronoun], [example(5, 1, None)], ["Weil er müde war, schlief er ein."]),
    }
    scores = score_translations(samples, Metrics(language="de", bleu_tokenizer="13a"), separate_words)
    assert scores.bleu_without_pronouns == pytest.approx(100.0)
    assert scores.bleu < 50
    assert scores.pronouns.all == PronounCounts(correct=1)


def test_a_relation_that_does_not_occur_names_the_split_that_is_too_small() -> None:
    sample = Sample([the_dog_sleeps()], [], weights=[BACK])
    samples = dict.fromkeys((VALIDATION, TEST, PRONOUNS, FURTHER_PRONOUNS), sample)
    with pytest.raises(UserError, match="val is too small: no sentence of it has the relation noun → adjective"):
        measure_relations(samples, HEADS)


def test_further_pronouns_are_in_no_split() -> None:
    corpus = GrammarCorpus(
        source="de", target="en", seed=1, train_size=50, val_size=5, test_size=5, test_long_size=2, pronouns_size=30
    )
    pairs, examples = corpus.further_pronouns(20)
    assert [each.distractor is not None for each in examples] == [True, False] * 10
    assert all(each.correct == "it" for each in examples)
    used = {pair.source for split in corpus.splits() for pair in corpus.pairs(split)}
    assert used.isdisjoint(pair.source for pair in pairs)
    for pair, each in zip(pairs, examples, strict=True):
        assert split_words(pair.target)[each.target_pronoun] == "it"
