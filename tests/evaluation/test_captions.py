"""Exact captions and recovered colours, counted by hand."""

from nmt.data.captions import CaptionExample
from nmt.evaluation.captions import ColorCounts, list_caption_scores, score_captions

REFERENCES = [
    "Ein kleiner roter Kreis ist über zwei großen blauen Ringen.",
    "Das Bild zeigt eine gelbe Raute.",
    "Zwei kleine grüne Kreuze sind unter drei roten Quadraten.",
]
EXAMPLES = [
    CaptionExample(colors=("rot", "blau"), hidden=(1,), num_choices=6),
    CaptionExample(colors=("gelb",), hidden=(0,), num_choices=6),
    CaptionExample(colors=("grün", "rot"), hidden=(), num_choices=6),
]


def test_captions_and_colours_are_counted() -> None:
    hypotheses = [
        "Ein kleiner roter Kreis ist über drei großen blauen Quadraten.",  # both colours right, but not the rest
        "Das Bild zeigt eine gelbe Raute.",
        "Zwei kleine schwarze Kreuze sind da.",  # one colour wrong, one missing
    ]
    scores = score_captions(EXAMPLES, hypotheses, REFERENCES, language="de")
    assert (scores.exact, scores.total) == (1, 3)
    assert scores.hidden == ColorCounts(correct=2, total=2)
    assert scores.visible == ColorCounts(correct=1, total=3)
    assert list_caption_scores(scores) == [
        ("exact captions", 100 / 3, "1 of 3"),
        ("hidden colours", 100.0, "2 of 2 correct, 16.7% by chance"),
        ("visible colours", 100 / 3, "1 of 3 correct"),
    ]


def test_a_colour_in_another_place_is_wrong() -> None:
    scores = score_captions(EXAMPLES[:1], ["Blaue Ringe sind unter roten Kreisen."], REFERENCES[:1], language="de")
    assert (scores.exact, scores.hidden.correct, scores.visible.correct) == (0, 0, 0)
