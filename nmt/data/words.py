"""Splits a line into words, and groups subword pieces by the words that they spell.

There are two ways to count words, and alignments use both:

    spaced_words      words stand between white space, as in the Pharaoh format: "Tier, das" is Tier, · das
    separate_words    punctuation marks are words of their own, as a reader sees them: Tier · , · das; but a symbol
                      such as <br> is one word

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

SPECIAL_PIECE = re.compile(r"<(pad|s|/s|unk|mask|\..*)>")
"""A piece that stands for no text wherever it is: one of the tokenizer's own, or the cell of a picture, such as <.>."""

SYMBOL = re.compile("<[!-;=?-~]+>")
"""ASCII characters in angle brackets, as in a user-defined symbol such as <br>, or in a tag such as <2de>."""

UNIT = re.compile(f"{SYMBOL.pattern}|.", re.DOTALL)
"""What is never split: a symbol, or a character."""

UNSPACED_CHARACTERS = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3040-\u312f\u31a0-\u31bf"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)
"""In the order of ranges: Thai, Lao, Tibetan and Burmese; Khmer; Tai Le and New Tai Lue; Tai Tham; Balinese; 々〆〇;
kana and Bopomofo; more Bopomofo; more kana; Chinese characters (two ranges) and Yi; Javanese and more Burmese; more
Burmese; more Chinese characters; half-width kana; rare kana; rare Chinese characters. `labels.js` has the same."""

HALF_WIDTH_MARKS = "\uff9e\uff9f"
"""The voicing marks of half-width kana, which Unicode takes for letters."""


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
        for unit in UNIT.finditer(line, *match.span()):
            if spans and spans[-1][1] == unit.start() and _continues(line, spans[-1], separate=separate):
                spans[-1] = (spans[-1][0], unit.end())
            else:
                spans.append(unit.span())
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
    if _is_mark(last):  # nothing but marks so far: they belong to what they stand before
        return True
    if UNSPACED_CHARACTERS.match(character) or UNSPACED_CHARACTERS.match(last):
        return False
    if not separate:
        return True
    if character in INNER_SIGNS:
        return _is_letter(last) and _is_letter(after)
    # A letter continues a word of letters, and a sign that such a word has continued with.
    has_continued = last in INNER_SIGNS and any(map(_is_letter, line[start:last_index]))
    return _is_letter(character) and (_is_letter(last) or has_continued)


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _is_mark(character: str) -> bool:
    """Whether a character is written on or inside another: accents, vowel signs, joiners."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or character in HALF_WIDTH_MARKS


def is_special(piece: str) -> bool:
    """Whether a piece stands for no text, by its name, such as "</s>". A user-defined symbol such as "<br>" is text."""
    return SPECIAL_PIECE.fullmatch(piece) is not None


def find_special(pieces: Sequence[str]) -> set[int]:
    """The indices of the pieces of a sentence that stand for no text: by their names, or at the start as its tag."""
    first = "".join(pieces[:1])
    has_tag = SYMBOL.fullmatch(first) and not BYTE_PIECE.fullmatch(first)
    return {index for index, piece in enumerate(pieces) if is_special(piece) or (index == 0 and has_tag)}


def join_pieces(pieces: Sequence[str]) -> tuple[str, list[Span]]:
    """The text that pieces spell, none of which is special, and the span of each piece in it.

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
    for end in (*sorted(find_special(pieces)), len(pieces)):
        if start < end:
            words += [
                (word, [start + index for index in indices]) for word, indices in _group(pieces[start:end], split)
            ]
        if end < len(pieces):
            words.append((pieces[end], [end]))
        start = end + 1
    return words


def find_text_words(pieces: Sequence[str], split: Splitter) -> list[tuple[int, list[int]]]:
    """The words of the text that pieces spell, as links count them: those of `group_pieces` that are not special.

    Returns:
        the index of each word in `group_pieces`, and the indices of its pieces.
    """
    special = find_special(pieces)
    groups = enumerate(indices for _, indices in group_pieces(pieces, split))
    return [(word, indices) for word, indices in groups if indices[0] not in special]


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
