"""Translates segments sentence by sentence."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

from nmt.copying import KINDS
from nmt.data.pharaoh import Link
from nmt.data.words import Span
from nmt.documents.placement import place_marks
from nmt.documents.segment import Mark, Piece, Segment

Translate = Callable[[Sequence[str]], Sequence[str]]
"""Translates sentences."""

Align = Callable[[Sequence[tuple[str, str]]], Sequence[Set[Link]]]
"""Links the words of sentences and their translations, as `separate_words` counts them."""

ADDRESS = re.compile(f"{KINDS['URL']}|{KINDS['e-mail address']}")
"""Text that no translation changes."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a segment.

    Attributes:
        text: without white space around it.
        marks: those that overlap it, each with its range in the segment.
        start: index of its first character in the segment.
    """

    text: str
    marks: list[Mark]
    start: int

    @property
    def is_translated(self) -> bool:
        """Whether it has a letter outside fixed marks."""
        fixed = [mark for mark in self.marks if mark.is_fixed]
        letters = (self.start + index for index, character in enumerate(self.text) if character.isalpha())
        return any(not any(mark.start <= index < mark.end for mark in fixed) for index in letters)


def translate_segments(
    segments: Sequence[Segment], *, language: str, translate: Translate, align: Align
) -> list[list[Piece]]:
    """Translates segments.

    Args:
        segments: texts with marks.
        language: code of the source language, for finding sentences.
        translate: translates all sentences together.
        align: is called with those that have marks inside.
    """
    divided = [divide(add_addresses(segment), language) for segment in segments]
    sentences = [each for parts in divided for each in parts if isinstance(each, Sentence) and each.is_translated]
    texts = translate([re.sub(" +", " ", each.text) for each in sentences])
    translations = {id(each): match_end(each.text, text) for each, text in zip(sentences, texts, strict=True)}
    marked = [each for each in sentences if each.marks]
    pairs = [(each.text, translations[id(each)]) for each in marked]
    links = dict(zip(map(id, marked), align(pairs) if pairs else [], strict=True))
    result = []
    for parts in divided:
        pieces: list[Piece] = []
        for each in parts:
            if isinstance(each, Piece):
                pieces.append(each)
            else:
                identity = {(i, i) for i in range(len(each.text))}
                target = translations.get(id(each), each.text)
                own_links = links.get(id(each), identity if not each.is_translated else set())
                pieces += place_in_segment(each, target, own_links)
        result.append(pieces)
    return result


def match_end(source: str, translation: str) -> str:
    """The translation without a full stop that its source lacks, as a heading does."""
    has_end = unicodedata.category(source[-1]).startswith("P")
    return translation if has_end else translation.removesuffix(".").removesuffix("。")


def place_in_segment(sentence: Sentence, target: str, links: Set[Link]) -> list[Piece]:
    """The pieces of a translated sentence, with the marks of its segment."""
    originals: dict[int, Mark] = {}
    own = []
    for mark in sentence.marks:
        start, end = (min(max(0, each - sentence.start), len(sentence.text)) for each in (mark.start, mark.end))
        own.append(replace(mark, start=start, end=end))
        originals[id(own[-1])] = mark
    return [
        replace(
            piece,
            marks=tuple(originals[id(mark)] for mark in piece.marks),
            fixed=None if piece.fixed is None else originals[id(piece.fixed)],
        )
        for piece in place_marks(sentence.text, target, own, links)
    ]


def divide(segment: Segment, language: str) -> list[Sentence | Piece]:
    """The sentences of a segment, and the white space around them as pieces."""
    parts: list[Sentence | Piece] = []
    points = sorted((mark for mark in segment.marks if mark.start == mark.end), key=lambda mark: mark.start)

    def add_between(start: int, end: int) -> None:
        """Adds white space, and the marks between its characters, which nothing moves."""
        while points and points[0].start <= end:
            mark = points.pop(0)
            add_space(start, mark.start)
            parts.append(Piece("", _marks_around(segment, mark.start, mark.start), mark))
            start = mark.start
        add_space(start, end)

    def add_space(start: int, end: int) -> None:
        if start < end:
            parts.append(Piece(segment.text[start:end], _marks_around(segment, start, end)))

    position = 0
    for start, end in split_sentences(segment, language):
        text = segment.text[start:end]
        first = start + len(text) - len(text.lstrip())
        last = first + len(text.strip())
        add_between(position, first)
        inside = [mark for mark in points if mark.start < last]
        marks = [mark for mark in segment.marks if mark.start < last and mark.end > first]
        points = points[len(inside) :]
        if first < last:
            marks = sorted({*marks, *inside}, key=segment.marks.index)
            parts.append(Sentence(segment.text[first:last], marks, first))
        position = last
    add_between(position, len(segment.text))
    return parts


def split_sentences(segment: Segment, language: str) -> list[Span]:
    """The sentences of a segment with the white space after each; no fixed mark is divided."""
    import sentencex

    boundaries = [each["end_index"] for each in sentencex.get_sentence_boundaries(language, segment.text)]
    inside = [each for each in boundaries if any(m.is_fixed and m.start < each < m.end for m in segment.marks)]
    ends = sorted({*boundaries, len(segment.text)} - {*inside})
    return list(zip([0, *ends], ends, strict=False))


def add_addresses(segment: Segment) -> Segment:
    """The segment with a fixed mark for each URL and e-mail address outside other fixed marks."""
    marks = [*segment.marks]
    for match in ADDRESS.finditer(segment.text):
        start, end = match.span()
        if not any(mark.is_fixed and mark.start < end and mark.end > start for mark in marks):
            marks.append(Mark(start, end, match[0], is_fixed=True))
    return Segment(segment.text, marks)


def _marks_around(segment: Segment, start: int, end: int) -> tuple[Mark, ...]:
    return tuple(mark for mark in segment.marks if mark.start <= start and mark.end >= end and not mark.is_fixed)
