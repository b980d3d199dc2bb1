"""The colours that a sentence names, and sentences that do not name all of them."""

from __future__ import annotations

import re
from collections.abc import Collection

MASK = "___"
"""What stands for a masked word."""

COLOR_WORDS = {
    "en": re.compile(r"\b(red|green|blue|yellow|brown|black)\b", re.IGNORECASE),
    "de": re.compile(r"\b(rot|grün|blau|gelb|braun|schwarz)(?:e[nrsm]?)?\b", re.IGNORECASE),
}
"""Colour words by language; the group is the word without its ending."""


def find_colors(sentence: str, language: str) -> list[str]:
    """The colours that a sentence names, in order, without endings: "zwei rote Kreise" names "rot"."""
    return [match[1].lower() for match in COLOR_WORDS[language].finditer(sentence)]


def mask_colors(sentence: str, language: str, hidden: Collection[int]) -> str:
    """Replaces some colour words by MASK.

    Args:
        hidden: which ones, by their index among the colour words of the sentence.
    """
    indices = iter(range(len(sentence)))
    return COLOR_WORDS[language].sub(lambda match: MASK if next(indices) in hidden else match[0], sentence)
