"""Captions of pictures: how many are exactly right, and whether their colours are.

Caglayan et al. (2019), https://arxiv.org/abs/1903.08678, §3.1, mask colour words in the source to ask whether a model
looks at the picture. A model that does names the masked colours; one that reads the words alone can only guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from nmt.data.captions import CaptionExample
from nmt.data.scenes.colors import find_colors
from nmt.run.format import Count


class ColorCounts(msgspec.Struct):
    """Numbers of colours in the references: of all, and of those that the translations name, too."""

    correct: Count = 0
    total: Count = 0

    @property
    def accuracy(self) -> float:
        """Percentage of correct colours."""
        return 100 * self.correct / self.total if self.total else 0.0


class CaptionScores(msgspec.Struct, kw_only=True):
    """How the captions of a split were written.

    Attributes:
        exact: number of captions that equal their reference, character by character.
        total: number of captions.
        hidden: the colours that the words of the source do not name: masked, or without words at all.
        visible: the other colours.
        num_choices: number of colours among which a guess chooses.
    """

    exact: Count
    total: Count
    hidden: ColorCounts
    visible: ColorCounts
    num_choices: Count


def score_captions(
    examples: Sequence[CaptionExample], hypotheses: Sequence[str], references: Sequence[str], *, language: str
) -> CaptionScores:
    """Scores the captions of a split.

    The n-th colour of a caption is compared with the n-th colour of its reference.

    Args:
        examples: the colours of each caption.
        hypotheses: the translations.
        references: the reference captions.
        language: of both.
    """
    counts = {True: ColorCounts(), False: ColorCounts()}  # by whether a colour is hidden
    for example, hypothesis in zip(examples, hypotheses, strict=True):
        named = find_colors(hypothesis, language)
        for index, color in enumerate(example.colors):
            count = counts[index in example.hidden]
            count.total += 1
            count.correct += named[index : index + 1] == [color]
    return CaptionScores(
        exact=sum(hypothesis == reference for hypothesis, reference in zip(hypotheses, references, strict=True)),
        total=len(references),
        hidden=counts[True],
        visible=counts[False],
        num_choices=max((example.num_choices for example in examples), default=1),
    )


def list_caption_scores(scores: CaptionScores) -> list[tuple[str, float, str]]:
    """The scores for a table: what is counted, a percentage, and a note."""
    exact = 100 * scores.exact / scores.total if scores.total else 0.0
    lines = [("exact captions", exact, f"{scores.exact:,} of {scores.total:,}")]
    chance = f"{100 / scores.num_choices:.1f}% by chance"
    for name, counts, note in (("hidden", scores.hidden, f", {chance}"), ("visible", scores.visible, "")):
        if counts.total:
            lines.append((f"{name} colours", counts.accuracy, f"{counts.correct:,} of {counts.total:,} correct{note}"))
    return lines
