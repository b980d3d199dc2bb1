"""Labels of the pieces or words beside an attention matrix."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from nmt.data.words import BYTE_PIECE, SYMBOL, UNSPACED_CHARACTERS, WORD_START, find_special
from nmt.report.formatting import is_ignorable, is_right_to_left, show_control_characters

CONTINUATION = "·"
"""The mark on a piece that continues a word."""

SPACE = "␣"
"""The mark for a space."""

DOTTED_CIRCLE = "◌"
"""Unicode's letter to which a combining mark is attached that is shown alone."""

MAX_LABEL_LENGTH = 24
"""Maximum length of a label, in characters; a longer one is cut, and shown in full on hover in a page."""


def piece_labels(pieces: Sequence[str]) -> list[str]:
    """Labels for people: the first piece of a word is plain ("dog"), a piece that continues one has a dot ("·gie").

    Punctuation, symbols ("<br>"), special pieces ("</s>") and scripts without spaces get no dot. If no piece has a "▁",
    each piece is a whole word. Whatever has no ink is made visible: a space becomes "␣", a combining mark alone gets a
    dotted circle, and other characters alone are written as their numbers ("U+200C").
    """
    marked = any(piece.startswith(WORD_START) for piece in pieces)
    special = find_special(pieces)
    return [
        show_control_characters(piece)
        if index in special or BYTE_PIECE.fullmatch(piece)
        else _label(piece, marked=marked)
        for index, piece in enumerate(pieces)
    ]


def _label(piece: str, *, marked: bool) -> str:
    """The label of a piece that is not special; `marked` if "▁" marks the pieces that start a word."""
    text = piece.removeprefix(WORD_START)
    if not text.strip(WORD_START):
        return SPACE * max(1, len(piece))
    text = "".join(SPACE if _is_space(character) else character for character in show_control_characters(text))
    if all(map(is_ignorable, text)):
        return " ".join(f"U+{ord(character):04X}" for character in text)
    if unicodedata.category(text[0])[0] == "M":
        text = DOTTED_CIRCLE + text
    has_letters = not SYMBOL.fullmatch(text) and any(unicodedata.category(character)[0] in "LMN" for character in text)
    if marked and not piece.startswith(WORD_START) and has_letters and not UNSPACED_CHARACTERS.search(text):
        return CONTINUATION + text
    return text


def _is_space(character: str) -> bool:
    return character == WORD_START or unicodedata.category(character) == "Zs"


def runs_right_to_left(pieces: Sequence[str]) -> bool:
    """Tells whether columns with these labels run from right to left: most of their letters are of such a script."""
    special = find_special(pieces)
    return is_right_to_left("".join(piece for index, piece in enumerate(pieces) if index not in special))


def shorten(label: str) -> str:
    """Cuts a label to MAX_LABEL_LENGTH characters, but not between a letter and its marks."""
    if len(label) <= MAX_LABEL_LENGTH:
        return label
    end = MAX_LABEL_LENGTH - 1
    while end > MAX_LABEL_LENGTH // 2 and (_joins(label[end]) or label[end - 1] == "\u200d"):
        end -= 1
    return label[:end] + "…"


def _joins(character: str) -> bool:
    """Tells whether a character belongs to the one before it: a combining mark, or part of an emoji."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"


def text_width(text: str) -> float:
    """Approximate width in pixels at 12 px, in whatever sans-serif font the reader has."""
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> float:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    return 13.0 if unicodedata.east_asian_width(character) in "WF" else 7.0
