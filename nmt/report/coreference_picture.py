"""A picture of what one head attends to from a pronoun: sentences whose words are shaded by their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

COLORMAP = "cividis_r"
DOTS_PER_INCH = 150
FONT_SIZE = 10.0
"""In points."""

CHARACTER_INCHES = 0.602 * FONT_SIZE / 72
"""Width of a character of the font, DejaVu Sans Mono, in inches."""

LINE_INCHES, MARGIN_INCHES, TITLE_INCHES = 0.3, 0.15, 0.35
"""Height of a line, the margin around everything, and the height of the title."""

DARK = 0.45
"""Weight from which the text on its shade is white."""


@dataclass(frozen=True)
class ShadedSentence:
    """A sentence, seen from one of its words.

    Attributes:
        words: of the sentence.
        weights: on each word.
        pronoun: index of the word that attends.
        translation: shown below the sentence.
    """

    words: Sequence[str]
    weights: Sequence[float]
    pronoun: int
    translation: str


def save_shaded_sentences(file: BinaryIO, sentences: Sequence[ShadedSentence], *, title: str) -> None:
    """Draws sentences one below the other as a PNG file: the darker a word, the more the framed pronoun attends to it."""
    import matplotlib as mpl  # only here: it is slow to import
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    longest = max(len(" ".join(text)) for each in sentences for text in (each.words, each.translation.split(" ")))
    width = longest * CHARACTER_INCHES + 2 * MARGIN_INCHES
    height = TITLE_INCHES + len(sentences) * 2.6 * LINE_INCHES + MARGIN_INCHES
    with mpl.rc_context({"font.family": "DejaVu Sans Mono", "font.size": FONT_SIZE}):
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))  # in inches, from the upper left corner
        axes.axis("off")
        axes.text(MARGIN_INCHES, TITLE_INCHES / 2, title, va="center", weight="bold")
        top = TITLE_INCHES
        for sentence in sentences:
            left = MARGIN_INCHES
            for index, (word, weight) in enumerate(zip(sentence.words, sentence.weights, strict=True)):
                box = len(word) * CHARACTER_INCHES
                shade = Rectangle(
                    (left - 0.03, top + 0.03),
                    box + 0.06,
                    LINE_INCHES - 0.06,
                    facecolor=mpl.colormaps[COLORMAP](weight) if index != sentence.pronoun else "white",
                    edgecolor="black" if index == sentence.pronoun else "none",
                    linewidth=1.2,
                )
                axes.add_patch(shade)
                is_dark = weight > DARK and index != sentence.pronoun
                axes.text(left, top + LINE_INCHES / 2, word, va="center", color="white" if is_dark else "black")
                left += box + CHARACTER_INCHES
            axes.text(MARGIN_INCHES, top + 1.5 * LINE_INCHES, sentence.translation, va="center", color="#5b6670")
            top += 2.6 * LINE_INCHES
        figure.savefig(file, format="png")
