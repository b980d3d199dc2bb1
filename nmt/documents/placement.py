"""Where the markup of a sentence belongs in its translation: around the words that are linked to the words in it.

Words are those of `separate_words`, so a mark never takes in a full stop by mistake. Without links, or for words that
have none, the place is the one at the same fraction of the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from itertools import combinations, pairwise

from nmt.data.pharaoh import Link
from nmt.data.words import Span, separate_words
from nmt.documents.segment import Mark, Piece

MAX_GAP = 2
"""Maximum number of words without links between two words that get the same mark."""

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
    words = separate_words(source), separate_words(target)
    copies = _find_copies(source, target, marks)
    places = [(mark, copies.get(id(mark)) or _find_place(mark, source, target, words, links)) for mark in marks]
    fixed = [place for place in places if place[0].is_fixed]
    around = _separate([(mark, span) for mark, span in places if not mark.is_fixed and span[0] < span[1]], target)
    emptied = [(mark, span) for mark, span in around if span[0] == span[1]]
    pieces, position = [], 0
    for mark, (start, end) in sorted(fixed + emptied, key=lambda place: place[1]):
        start = max(start, position)  # two marks may be linked to the same words
        if not mark.is_fixed:
            outer = tuple(each for each, (first, last) in around if first <= start < last and _contains(each, mark))
            pieces += [*_cut(target, position, start, around), Piece("", (*outer, mark))]
            position = start
            continue
        text = source[mark.start : mark.end]
        follows_space = source[: mark.start].endswith(" ")
        if not text and follows_space and not source[mark.start :].startswith(" "):
            start += target[start:].startswith(" ")  # it stands directly before a word
        pieces += _cut(target, position, start, around)
        inside = tuple(outer for outer, (first, last) in around if first <= start < last and outer.start <= mark.start)
        # Something between spaces, or a fixed word that was not translated.
        needs_space = follows_space if not text else start >= end
        if needs_space and start > 0 and not target[start - 1].isspace():
            pieces.append(Piece(" "))
        pieces.append(Piece(text, inside, mark))
        position = max(start, end)
    return [*pieces, *_cut(target, position, len(target), around)]


def _contains(outer: Mark, inner: Mark) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _separate(places: Sequence[Placement], target: str) -> list[Placement]:
    """The places, so that marks beside each other in the source do not overlap in the translation.

    The first mark keeps the words that both are linked to, unless only they are left for the second one, and the first
    has more. A mark that is left without words gets an empty range behind them.
    """
    spans = [span for _, span in places]
    order = sorted(range(len(places)), key=lambda index: places[index][0].start)
    for first, second in combinations(order, 2):
        (start, end), (other_start, other_end) = spans[first], spans[second]
        is_apart = places[first][0].end <= places[second][0].start
        if not is_apart or max(start, other_start) >= min(end, other_end):
            continue
        if rest := _subtract(target, spans[second], spans[first]):
            spans[second] = rest
        elif rest := _subtract(target, spans[first], spans[second]):
            spans[first] = rest
        else:
            spans[second] = end, end
    return [(mark, span) for (mark, _), span in zip(places, spans, strict=True)]


def _subtract(target: str, span: Span, taken: Span) -> Span | None:
    """The longer part of a range outside another one, without spaces around it; None if no part has words."""
    parts = [(span[0], min(span[1], taken[0])), (max(span[0], taken[1]), span[1])]
    start, end = max(parts, key=lambda part: part[1] - part[0])
    text = target[start:end]
    return (
        (start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())) if _has_letters(text) else None
    )


def _cut(target: str, start: int, end: int, places: Sequence[Placement]) -> list[Piece]:
    """The pieces of a part of the translation: each is as long as its marks are the same."""
    limits = {start, end} | {each for _, span in places for each in span if start < each < end}
    cuts = sorted(limits)
    return [
        Piece(target[left:right], tuple(mark for mark, (first, last) in places if first <= left and right <= last))
        for left, right in pairwise(cuts)
    ]


def _find_copies(source: str, target: str, marks: Sequence[Mark]) -> dict[int, Span]:
    """The ranges of the marks whose text stands in the translation as it is, by the ids of the marks.

    Such marks are fixed, or have no letters or digits, or are around a part of a word, as in m<sup>2</sup>.
    """
    copies: dict[int, Span] = {}
    for mark in marks:
        text = source[mark.start : mark.end]
        divides_word = any(_is_word(source, at - 1) and _is_word(source, at) for at in (mark.start, mark.end))
        if not text or not (mark.is_fixed or divides_word or not _has_letters(text)):
            continue
        # No part of another word, unless it is one in the source.
        left = r"(?<!\w)" if _is_word(source, mark.start) and not _is_word(source, mark.start - 1) else ""
        right = r"(?!\w)" if _is_word(source, mark.end - 1) and not _is_word(source, mark.end) else ""
        whole = left + re.escape(text) + right
        spans = [match.span() for match in re.finditer(whole, target)]
        originals = [match.start() for match in re.finditer(whole, source)]
        number = sum(start < mark.start for start in originals)  # of the occurrence in the source
        free = [span for span in spans if span not in copies.values()]
        if number < len(spans) == len(originals) and spans[number] in free:
            copies[id(mark)] = spans[number]
        elif free:
            copies[id(mark)] = min(free, key=lambda span: abs(span[0] / len(target) - mark.start / len(source)))
    return copies


def _find_place(
    mark: Mark, source: str, target: str, words: tuple[Sequence[Span], Sequence[Span]], links: Set[Link]
) -> Span:
    """The range of a mark in the translation; it is empty for a mark between words, and for one of punctuation only."""
    sources, targets = words
    if not targets or not sources:
        return 0, len(target)
    covered = [index for index, (start, end) in enumerate(sources) if start < mark.end and end > mark.start]
    if mark.start == mark.end or not covered or not (mark.is_fixed or _has_letters(source[mark.start : mark.end])):
        return _find_point(mark, words, links)
    source_words = {index for index, span in enumerate(sources) if _has_letters(source[slice(*span)])}
    target_words = {index for index, span in enumerate(targets) if _has_letters(target[slice(*span)])}
    if source_words and source_words <= {*covered}:
        first, last = _take_all(covered, len(sources), len(targets), target_words)
        return targets[first][0], targets[last][1]
    linked = sorted({other for word, other in links if word in source_words & {*covered}} & target_words)
    if linked:
        others = {other for word, other in links if word not in covered} - {*linked}
        run = _longest_run(linked, others, target_words)
        first, last = _add_punctuation(run, covered, source_words, target_words, len(targets))
        start, end = targets[first][0], targets[last][1]
        return _widen(target, start, end) if mark.is_fixed else (start, end)
    if mark.is_fixed:
        return _find_point(mark, words, links)
    # Without links: as many words at the same fraction of the sentence.
    real = [targets[index] for index in sorted(target_words)] or [*targets]
    first = min(covered[0] * len(targets) // len(sources), len(real) - 1)
    last = min(first + len(covered) - 1, len(real) - 1)
    return real[first][0], real[last][1]


def _take_all(covered: Sequence[int], num_sources: int, num_targets: int, target_words: Set[int]) -> tuple[int, int]:
    """The first and last index of the whole translation, with its punctuation if the mark has that of the sentence."""
    first, last = 0, num_targets - 1
    while first < last and covered[0] > 0 and first not in target_words:
        first += 1
    while last > first and covered[-1] < num_sources - 1 and last not in target_words:
        last -= 1
    return first, last


def _longest_run(linked: Sequence[int], others: Set[int], target_words: Set[int]) -> Sequence[int]:
    """The longest run of linked words, with at most MAX_GAP words between two of them, none of which is in `others`."""
    runs = [[linked[0]]]
    for index in linked[1:]:
        between = target_words & {*range(runs[-1][-1] + 1, index)}
        if others.isdisjoint(between) and len(between) <= MAX_GAP:
            runs[-1].append(index)
        else:
            runs.append([index])
    return max(runs, key=len)


def _add_punctuation(
    run: Sequence[int], covered: Sequence[int], source_words: Set[int], target_words: Set[int], num_targets: int
) -> tuple[int, int]:
    """The first and last index of a run, with as much punctuation on each side as the mark has, if there is some."""
    first, last = run[0], run[-1]
    is_word = [word in source_words for word in covered]
    for _ in range(is_word.index(True)):
        first -= first > 0 and first - 1 not in target_words
    for _ in range(is_word[::-1].index(True)):
        last += last + 1 < num_targets and last + 1 not in target_words
    return first, last


def _find_point(mark: Mark, words: tuple[Sequence[Span], Sequence[Span]], links: Set[Link]) -> Span:
    """An empty range in the translation for a mark: behind the translation of the word before it."""
    sources, targets = words
    before = [index for index, (start, _) in enumerate(sources) if start < mark.start]
    if not before:
        return targets[0][0], targets[0][0]
    if len(before) == len(sources):
        return targets[-1][1], targets[-1][1]
    for index in reversed(before):
        if linked := [target for source, target in links if source == index]:
            return targets[max(linked)][1], targets[max(linked)][1]
    nearest = min(len(before) * len(targets) // len(sources), len(targets) - 1)
    return targets[nearest][1], targets[nearest][1]


def _widen(target: str, start: int, end: int) -> Span:
    """A range with the rest of its words, so that nothing is left of a wrong address. Final punctuation stays."""
    while start > 0 and not target[start - 1].isspace() and target[start - 1] not in "\"'(“„«‘":
        start -= 1
    while end < len(target) and not target[end].isspace():
        end += 1
    return start, max(start, start + len(target[start:end].rstrip(".,;:!?)\"'”“»’…")))


def _is_word(text: str, index: int) -> bool:
    """Whether there is a letter or a digit at an index, which may lie outside of the text."""
    return 0 <= index < len(text) and text[index].isalnum()


def _has_letters(text: str) -> bool:
    """Whether a text is more than punctuation: it has a letter or a digit."""
    return any(map(str.isalnum, text))
