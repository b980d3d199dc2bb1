"""Replaces segments in the text of a file, and leaves all other characters as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmt.documents.segment import Change, Segment, render
from nmt.errors import UserError


@dataclass(frozen=True)
class Edit:
    """A part of a text that is replaced by its translation.

    Attributes:
        start, end: the part, in characters.
        segment: its text and markup.
        escape: writes translated text so that none of it is read as markup.
        finish: changes the rendered translation, for example breaks it into lines.
    """

    start: int
    end: int
    segment: Segment
    escape: Callable[[str], str] = str
    finish: Callable[[str], str] = str


def apply_edits(text: str, edits: Sequence[Edit], change: Change) -> str:
    """Translates all edits together. They must not overlap."""
    translations = change([edit.segment for edit in edits])
    parts, position = [], 0
    for edit, pieces in sorted(zip(edits, translations, strict=True), key=lambda pair: pair[0].start):
        parts += [text[position : edit.start], edit.finish(render(pieces, edit.escape))]
        position = edit.end
    return "".join([*parts, text[position:]])


def decode(content: bytes) -> str:
    """The text of a file. Raises UserError if it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start + 1} of the document is not UTF-8: convert it first, by iconv") from None


def collapse(text: str) -> str:
    """The text with single spaces for white space, except for no-break spaces."""
    return re.sub(r"[ \t\r\n\f\v]+", " ", text)
