"""Where the markup of a sentence belongs in its translation: around the words that are linked to the words in it.

Words are those of `separate_words`, so a mark never takes in a full stop by mistake. Without links, or for words that
have none, the place is the one at the same fraction of the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import pairwise

from nmt.data.pharaoh import Link
from nmt.data.words import Span, separate_words
from nmt.documents.segment import Mark, Piece

Placement = tuple[Mark, Span]
"""A mark and its range in the translation, in characters."""


def place_marks(source: str, target: str, marks: Sequence[Mark], links: Set[Link]) -> list[Piece]:
    """Divides a translation into pieces with marks.

    Args:
        source: the sentence.
        target: its translation.
        marks: of the sentence, with ranges in it, outer ones first.
        links: between the words of both, as (source, target).
    """
    words, others = separate_words(source), separate_words(target)
    places = [(mark, _find_place(mark, source, target, (words, others), links)) for mark in marks]
    fixed = [place for place in places if place[0].is_fixed]
    around = [place for place in places if not place[0].is_fixed]
    pieces, position = [], 0
    for mark, (start, end) in sorted(fixed, key=lambda place: place[1]):
        start = max(start, position)  # two marks may be linked to the same words
        pieces += _cut(target, position, start, around)
        inside = tuple(outer for outer, (first, last) in around if first <= start < last and outer.start <= mark.start)
        text = source[mark.start : mark.end]
        needs_space = text and start >= end and start > 0 and not target[start - 1].isspace()
        if needs_space:  # the word was not translated
            pieces.append(Piece(" "))
        pieces.append(Piece(text, inside, mark))
        position = max(start, end)
    return [*pieces, *_cut(target, position, len(target), around)]


def _cut(target: str, start: int, end: int, places: Sequence[Placement]) -> list[Piece]:
    """The pieces of a part of the translation: each is as long as its marks are the same."""
    limits = {start, end} | {each for _, span in places for each in span if start < each < end}
    cuts = sorted(limits)
    return [
        Piece(target[left:right], tuple(mark for mark, (first, last) in places if first <= left and right <= last))
        for left, right in pairwise(cuts)
    ]


def _find_place(
    mark: Mark, source: str, target: str, words: tuple[Sequence[Span], Sequence[Span]], links: Set[Link]
) -> Span:
    """The range of a mark in the translation; it is empty for a mark between words."""
    sources, targets = words
    covered = [index for index, (start, end) in enumerate(sources) if start < mark.end and end > mark.start]
    if not targets or not sources:
        return 0, len(target)
    if not covered:
        return _find_point(mark, words, links)
    # All words of the sentence: the whole translation, with its punctuation if the mark has that of the sentence.
    texts = {index for index, (start, end) in enumerate(sources) if source[start:end].strip("\"'“”„«»").isalnum()}
    if texts and texts <= {*covered}:
        first, last = 0, len(targets) - 1
        while first < last and covered[0] > 0 and not _is_text(target, targets[first]):
            first += 1
        while last > first and covered[-1] < len(sources) - 1 and not _is_text(target, targets[last]):
            last -= 1
        return targets[first][0], targets[last][1]
    # Some words: those that are linked to them, the longest run of these if they are apart.
    real_targets = {index for index, span in enumerate(targets) if _is_text(target, span)}
    linked = sorted({other for word, other in links if word in texts & {*covered}} & real_targets)
    if linked:
        others = {other for word, other in links if word not in covered} - {*linked}
        runs = [[linked[0]]]
        for index in linked[1:]:
            between = range(runs[-1][-1] + 1, index)
            if others.isdisjoint(between) and len(between) <= 2:
                runs[-1].append(index)
            else:
                runs.append([index])
        run = max(runs, key=len)
        return targets[run[0]][0], targets[run[-1]][1]
    if mark.is_fixed:
        return _find_point(mark, words, links)
    real = [span for span in targets if _is_text(target, span)] or targets
    first = min(covered[0] * len(targets) // len(sources), len(real) - 1)
    last = min(first + len(covered) - 1, len(real) - 1)
    return real[first][0], real[last][1]


def _find_point(mark: Mark, words: tuple[Sequence[Span], Sequence[Span]], links: Set[Link]) -> Span:
    """An empty range in the translation for a mark: behind the translation of the word before it."""
    sources, targets = words
    before = [index for index, (_, end) in enumerate(sources) if end <= mark.start]
    if not before:
        return targets[0][0], targets[0][0]
    if len(before) == len(sources):
        return targets[-1][1], targets[-1][1]
    for index in reversed(before):
        if linked := [target for source, target in links if source == index]:
            return targets[max(linked)][1], targets[max(linked)][1]
    nearest = min(len(before) * len(targets) // len(sources), len(targets) - 1)
    return targets[nearest][1], targets[nearest][1]


def _is_text(target: str, span: Span) -> bool:
    """Whether a word is more than punctuation."""
    return any(map(str.isalnum, target[span[0] : span[1]]))
