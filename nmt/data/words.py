"""Splits a line into words, and groups subword pieces by the words that they spell.

There are two ways to count words, and alignments use both:

    spaced_words      words stand between white space, as in the Pharaoh format: "Tier, das" is Tier, · das
    separate_words    punctuation marks are words of their own, as a reader sees them: Tier · , · das

In scripts without spaces between words, such as Chinese or Thai, every character is a word, with the marks that belong
to it.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import takewhile

Span = tuple[int, int]
"""Start and end of a word in its line, in characters."""

Splitter = Callable[[str], list[Span]]
"""Finds the words of a line."""

NO_TEXT: Span = (-1, -1)
"""The span of a piece that stands for no character of the line, such as a tag."""

WORD_START = "▁"
"""SentencePiece's mark for a space before a piece."""

INNER_SIGNS = "'’-"
"""Signs that belong to a word if letters surround them: don't, coffee-cup."""

BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")
"""A piece for one byte of a character that the vocabulary lacks."""

UNSPACED_CHARACTERS = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3040-\u312f\u3400-\u4dbf\u4e00-\ua4cf"
    "\ua980-\ua9df\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Thai, Lao, Tibetan and Burmese; Khmer; Tai Le and New Tai Lue; Tai Tham; Balinese; kana and Bopomofo; Chinese
characters and Yi; Javanese; further Chinese characters."""


def spaced_words(line: str) -> list[Span]:
    """The words of a line between white space; a script without spaces has one word per character."""
    return _split(line, separate=False)


def separate_words(line: str) -> list[Span]:
    """The words of a line, where each punctuation mark is a word of its own."""
    return _split(line, separate=True)


def _split(line: str, *, separate: bool) -> list[Span]:
    spans: list[Span] = []
    for match in re.finditer(r"\S+", line):
        # The fast path for most words. Only the others are split character by character.
        if (not separate or match[0].isalnum()) and not UNSPACED_CHARACTERS.search(match[0]):
            spans.append(match.span())
            continue
        for index in range(*match.span()):
            if spans and spans[-1][1] == index and _continues(line, spans[-1], separate=separate):
                spans[-1] = (spans[-1][0], index + 1)
            else:
                spans.append((index, index + 1))
    return spans


def _continues(line: str, word: Span, *, separate: bool) -> bool:
    """Whether the character after a word belongs to it."""
    start, end = word
    character, after = line[end], line[end + 1 : end + 2]
    if _is_mark(character):
        return True
    last_index = end - 1  # of the word's last character, its marks left out
    while last_index > start and _is_mark(line[last_index]):
        last_index -= 1
    last = line[last_index]
    if UNSPACED_CHARACTERS.match(character) or UNSPACED_CHARACTERS.match(last):
        return False
    if not separate:
        return True
    if character in INNER_SIGNS:
        return _is_letter(last) and _is_letter(after)
    # A letter continues a word of letters, and a sign that such a word has continued with.
    return _is_letter(character) and (_is_letter(last) or (last in INNER_SIGNS and last_index > start))


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_mark(character: str) -> bool:
    """Whether a character is written on or inside another: accents, vowel signs, joiners."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def is_special(piece: str) -> bool:
    """Whether a piece stands for no text, such as "</s>"."""
    return len(piece) > 2 and piece[0] == "<" and piece[-1] == ">" and not BYTE_PIECE.fullmatch(piece)


def join_pieces(pieces: Sequence[str]) -> tuple[str, list[Span]]:
    """The text that pieces spell, and the span of each piece in it; special pieces spell nothing.

    A run of byte pieces is decoded together: each piece of it has the characters of the whole run as its span.
    """
    text, spans = "", []
    index = 0
    while index < len(pieces):
        num_pieces, part = 1, pieces[index].replace(WORD_START, " ")
        if BYTE_PIECE.fullmatch(pieces[index]):
            run = takewhile(bool, map(BYTE_PIECE.fullmatch, pieces[index:]))
            codes = bytes(int(match[1], 16) for match in run if match)
            num_pieces, part = len(codes), codes.decode("utf-8", "replace")
        elif is_special(pieces[index]):
            part = ""
        spans += [(len(text), len(text) + len(part))] * num_pieces
        text += part
        index += num_pieces
    return text, spans


def group_pieces(pieces: Sequence[str], split: Splitter = separate_words) -> list[tuple[str, list[int]]]:
    """The words that pieces spell, in order, each with the indices of its pieces.

    A piece belongs to every word that it spells a part of. A piece of spaces alone belongs to the next word, or to the
    last one at the end. A special piece, such as "</s>", is a word of its own.
    """
    words: list[tuple[str, list[int]]] = []
    start = 0
    while start < len(pieces):
        if is_special(pieces[start]):
            words.append((pieces[start], [start]))
            start += 1
            continue
        end = next((index for index in range(start, len(pieces)) if is_special(pieces[index])), len(pieces))
        words += [(word, [start + index for index in indices]) for word, indices in _group(pieces[start:end], split)]
        start = end
    return words


def _group(pieces: Sequence[str], split: Splitter) -> list[tuple[str, list[int]]]:
    """Does the work of `group_pieces` for pieces that are not special."""
    text, piece_spans = join_pieces(pieces)
    word_spans = split(text)
    if not word_spans:
        return [(text.replace(" ", WORD_START), list(range(len(pieces))))]
    groups = assign_pieces(piece_spans, word_spans)
    return [(text[start:end], group) for (start, end), group in zip(word_spans, groups, strict=True)]


def assign_pieces(piece_spans: Sequence[Span], word_spans: Sequence[Span]) -> list[list[int]]:
    """The indices of the pieces of each word, by the spans of both in the same text.

    A piece belongs to every word that it overlaps. A piece that overlaps none, such as a space, belongs to the next
    word, or to the last one at the end. A piece that stands for `NO_TEXT` belongs to no word. A word without pieces
    gets an empty list.
    """
    starts, ends = [start for start, _ in word_spans], [end for _, end in word_spans]
    groups: list[list[int]] = [[] for _ in word_spans]
    for index, (start, end) in enumerate(piece_spans if word_spans else []):
        if (start, end) == NO_TEXT:
            continue
        first, stop = bisect_right(ends, start), bisect_left(starts, end)  # the piece overlaps words first … stop - 1
        if first >= stop:  # it overlaps none
            first = min(first, len(word_spans) - 1)
            stop = first + 1
        for group in groups[first:stop]:
            group.append(index)
    return groups
