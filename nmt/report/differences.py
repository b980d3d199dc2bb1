"""Marks where a translation differs from its reference, word by word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from nmt.data.words import separate_words


@dataclass(frozen=True)
class Segment:
    """A part of a translation.

    Attributes:
        text: the part itself; empty where the translation lacks words.
        is_different: the reference has other words here, or none.
        missing: the words of the reference for which the translation has none.
    """

    text: str
    is_different: bool = False
    missing: str = ""


def mark_differences(translation: str, reference: str) -> list[Segment]:
    """Cuts a translation into segments that are, in turn, equal to the reference and different from it.

    The equal segments are a longest common sequence of words, as far as difflib finds one. The texts of all segments
    together are the translation.
    """
    return list(_segments(translation, reference))


def _segments(translation: str, reference: str) -> Iterator[Segment]:
    spans, reference_spans = separate_words(translation), separate_words(reference)
    words = [translation[start:end] for start, end in spans]
    reference_words = [reference[start:end] for start, end in reference_spans]
    done = 0  # characters of the translation that are in a segment
    for tag, a, b, first, last in SequenceMatcher(None, reference_words, words, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        start = spans[first][0] if first < len(spans) else len(translation)
        if start > done:
            yield Segment(translation[done:start])
        done = spans[last - 1][1] if last > first else start
        if tag == "delete":
            yield Segment("", missing=reference[reference_spans[a][0] : reference_spans[b - 1][1]])
        else:
            yield Segment(translation[start:done], is_different=True)
    if done < len(translation):
        yield Segment(translation[done:])
