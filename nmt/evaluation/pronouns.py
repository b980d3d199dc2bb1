"""Whether pronouns are translated by the right form, on a corpus that knows the noun to which each pronoun refers."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import msgspec

from nmt.data.pronouns import PronounExample
from nmt.data.words import Splitter
from nmt.run.format import Count

DISTANCE_BOUNDS = (2, 4, 6, 8, 10)
"""The largest distance of each bucket of `PronounScores.by_distance`, in words; a last bucket has no limit."""

PLACEHOLDER = "\0"
"""Stands for any pronoun while a translation is compared with its reference, so that the form does not matter."""


class PronounCounts(msgspec.Struct):
    """Numbers of pronouns by their translation.

    Attributes:
        correct: translated by the form of the reference.
        wrong: translated by another personal pronoun of the third person.
        missing: the translation has no such pronoun where the reference has one.
    """

    correct: Count = 0
    wrong: Count = 0
    missing: Count = 0

    @property
    def total(self) -> int:
        return self.correct + self.wrong + self.missing

    @property
    def accuracy(self) -> float:
        """Percentage of correct forms."""
        return 100 * self.correct / self.total if self.total else 0.0


class DistanceBucket(msgspec.Struct):
    """The pronouns whose antecedent is `shortest` to `longest` words away; `longest` is None in the last bucket."""

    shortest: Count
    longest: Count | None
    counts: PronounCounts


class PronounScores(msgspec.Struct, kw_only=True):
    """How the pronouns of a split were translated.

    Attributes:
        all: all pronouns.
        with_distractor: those with another noun, which takes another form, between the antecedent and the pronoun.
        without_distractor: the others.
        by_distance: by the distance from the antecedent to the pronoun; buckets without pronouns are left out.
        by_form: by the correct form, such as "er".
    """

    all: PronounCounts
    with_distractor: PronounCounts
    without_distractor: PronounCounts
    by_distance: list[DistanceBucket]
    by_form: dict[str, PronounCounts]


def score_pronouns(
    examples: Sequence[PronounExample], hypotheses: Sequence[str], references: Sequence[str], words: Splitter
) -> PronounScores:
    """Counts the correct pronouns in the translations of a split.

    Args:
        examples: the pronoun of each pair.
        hypotheses: the translations.
        references: the reference translations.
        words: splits a line as the corpus does.
    """
    found = [
        find_form(example, hypothesis, reference, words)
        for example, hypothesis, reference in zip(examples, hypotheses, references, strict=True)
    ]
    buckets = zip((1, *(bound + 1 for bound in DISTANCE_BOUNDS)), (*DISTANCE_BOUNDS, None), strict=True)
    by_distance = [
        DistanceBucket(
            shortest, longest, _count(examples, found, [_is_within(each, shortest, longest) for each in examples])
        )
        for shortest, longest in buckets
    ]
    return PronounScores(
        all=_count(examples, found, [True] * len(examples)),
        with_distractor=_count(examples, found, [each.distractor is not None for each in examples]),
        without_distractor=_count(examples, found, [each.distractor is None for each in examples]),
        by_distance=[bucket for bucket in by_distance if bucket.counts.total],
        by_form={
            form: _count(examples, found, [each.correct == form for each in examples])
            for form in sorted({each.correct for each in examples})
        },
    )


def find_form(example: PronounExample, hypothesis: str, reference: str, words: Splitter) -> str | None:
    """Finds the pronoun of a translation that corresponds to the pronoun of the reference, in lower case.

    The words of both are matched in order, and any pronoun matches any other. So the words around the pronoun show
    which one is meant, and the translation may differ elsewhere.

    Returns:
        The form; None if the translation has no pronoun there, for example because it repeats the noun.
    """
    pronouns = {example.correct, *example.wrong}
    lines = [[line[start:end].lower() for start, end in words(line)] for line in (reference, hypothesis)]
    masked = [[PLACEHOLDER if word in pronouns else word for word in line] for line in lines]
    matcher = SequenceMatcher(None, masked[0], masked[1], autojunk=False)
    for start, hypothesis_start, size in matcher.get_matching_blocks():
        offset = example.target_pronoun - start
        if 0 <= offset < size:
            return lines[1][hypothesis_start + offset]
    return None


def list_counts(scores: PronounScores) -> list[tuple[str, PronounCounts]]:
    """All counts with their labels for a table: "pronouns", "… with a distractor", "… 3 to 4 words away".

    Distractors are left out if there are none, such as in lines whose nouns are in the line before.
    """
    distractors = [
        ("pronouns with a distractor", scores.with_distractor),
        ("pronouns without a distractor", scores.without_distractor),
    ]
    return [
        ("pronouns", scores.all),
        *(distractors if scores.with_distractor.total else []),
        *((f"pronouns {_describe_distance(bucket)}", bucket.counts) for bucket in scores.by_distance),
        *((f"pronouns: {form}", counts) for form, counts in scores.by_form.items()),
    ]


def _describe_distance(bucket: DistanceBucket) -> str:
    if bucket.longest is None:
        return f"{bucket.shortest} words away or more"
    return f"{bucket.shortest} to {bucket.longest} words away"


def _count(examples: Sequence[PronounExample], found: Sequence[str | None], selected: Sequence[bool]) -> PronounCounts:
    """Counts the forms that were found for the selected examples."""
    counts = PronounCounts()
    for example, form, is_selected in zip(examples, found, selected, strict=True):
        if is_selected:
            counts.correct += form == example.correct
            counts.wrong += form in example.wrong
            counts.missing += form is None
    return counts


def _is_within(example: PronounExample, shortest: int, longest: int | None) -> bool:
    return shortest <= example.distance and (longest is None or example.distance <= longest)
