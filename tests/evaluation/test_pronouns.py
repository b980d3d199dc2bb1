"""Finding the pronoun in a translation, and counting the correct ones."""

import pytest

from nmt.data.pronouns import PronounExample
from nmt.data.words import separate_words
from nmt.evaluation.pronouns import PronounCounts, find_form, list_counts, score_pronouns

FORMS = ["er", "es", "ihm", "ihn", "ihnen", "ihr", "sie"]
REASON = "Das Tier überquerte die Straße nicht, weil es zu müde war."  # es is word 8
OBJECT = "Weil die Katze schnell war, folgte der Hund ihr nicht."  # ihr is word 9


def example(correct: str, index: int, *, distance: int = 7, distractor: int | None = 6) -> PronounExample:
    return PronounExample(
        pronoun=8,
        antecedent=8 - distance,
        distractor=distractor,
        distance=distance,
        target_pronoun=index,
        gender="n",
        case="nominative",
        correct=correct,
        wrong=[form for form in FORMS if form != correct],
    )


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        (REASON, "es"),
        ("Das Tier überquerte die Straße nicht, weil sie zu müde war.", "sie"),
        ("Der Hund sah die Straße nicht, obwohl er sehr alt war.", "er"),  # other words, the same structure
        ("Sie überquerte sie nicht, weil er zu müde war.", "er"),  # the pronoun after the conjunction counts
        ("Weil es müde war", "es"),
        ("Es überquerte die Straße nicht, weil das Tier zu müde war.", None),  # the pronoun of another clause
        ("Das Tier überquerte die Straße nicht.", None),
        ("", None),
    ],
)
def test_the_pronoun_is_found_by_the_words_around_it(hypothesis: str, expected: str | None) -> None:
    assert find_form(example("es", 8), hypothesis, REASON, separate_words) == expected


@pytest.mark.parametrize(
    ("hypothesis", "expected"),
    [
        (OBJECT, "ihr"),
        ("Weil die Katze schnell war, folgte der Hund ihm nicht.", "ihm"),
        ("Weil sie schnell war, folgte der Hund ihm nicht.", "ihm"),
        ("Weil die Katze schnell war, konnte der Hund ihr nicht folgen.", "ihr"),
        ("Weil die Katze schnell war, folgte der Hund nicht.", None),
        ("Weil sie schnell war, folgte der Hund der Katze nicht.", None),
    ],
)
def test_an_object_is_found_among_other_words(hypothesis: str, expected: str | None) -> None:
    assert find_form(example("ihr", 9), hypothesis, OBJECT, separate_words) == expected


def test_pronouns_are_counted_by_distance_distractor_and_form() -> None:
    examples = [
        example("es", 8),  # correct
        example("es", 8),  # wrong
        example("es", 8, distance=2, distractor=None),  # missing
        example("ihr", 9, distance=12),  # correct
    ]
    hypotheses = [
        REASON,
        "Das Tier überquerte die Straße nicht, weil sie zu müde war.",
        "Das Tier überquerte die Straße nicht.",
        OBJECT,
    ]
    scores = score_pronouns(examples, hypotheses, [REASON, REASON, REASON, OBJECT], separate_words)
    assert list_counts(scores) == [
        ("pronouns", PronounCounts(2, 1, 1)),
        ("pronouns with a distractor", PronounCounts(2, 1, 0)),
        ("pronouns without a distractor", PronounCounts(0, 0, 1)),
        ("pronouns 1 to 2 words away", PronounCounts(0, 0, 1)),
        ("pronouns 7 to 8 words away", PronounCounts(1, 1, 0)),
        ("pronouns 11 words away or more", PronounCounts(1, 0, 0)),
        ("pronouns: es", PronounCounts(1, 1, 1)),
        ("pronouns: ihr", PronounCounts(1, 0, 0)),
    ]
    assert (scores.all.total, scores.all.accuracy) == (4, 50.0)


def test_distractors_are_left_out_where_there_are_none() -> None:
    scores = score_pronouns([example("es", 8, distractor=None)], [REASON], [REASON], separate_words)
    assert [label for label, _ in list_counts(scores)] == ["pronouns", "pronouns 7 to 8 words away", "pronouns: es"]
