"""A segment: text that is translated in one piece, with the markup inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Mark:
    """Markup of a part of a segment. Marks are nested in each other, or apart.

    Attributes:
        start, end: the part, in characters of the segment's text. It is empty for something between characters, such
            as a picture.
        opening, closing: what stands around the part in the file.
        is_fixed: the part is not translated, and `opening` is all that stands in the file, such as code.
    """

    start: int
    end: int
    opening: str = ""
    closing: str = ""
    is_fixed: bool = False


@dataclass
class Segment:
    """A text and its marks, outer ones first. White space is single spaces, one on each side of a picture."""

    text: str = ""
    marks: list[Mark] = field(default_factory=list)

    def close_mark(self, index: int, start: int, opening: str, closing: str) -> None:
        """Replaces the placeholder at `index` of the marks by a mark from `start` to the end of the text.

        A mark without text, such as a link around a picture, becomes one fixed mark together with those inside it.
        """
        if self.text[start:].strip():
            self.marks[index] = Mark(start, len(self.text), opening, closing)
            return
        content = "".join(mark.opening for mark in self.marks[index + 1 :])
        self.marks[index:] = [Mark(start, start, opening + content + closing, is_fixed=True)]


@dataclass(frozen=True)
class Piece:
    """A part of a translated segment.

    Attributes:
        text: the part; for a fixed mark, its text in the source.
        marks: around it, outer ones first.
        fixed: the fixed mark for which the piece stands.
    """

    text: str
    marks: tuple[Mark, ...] = ()
    fixed: Mark | None = None


Change = Callable[[Sequence[Segment]], list[list[Piece]]]
"""Translates segments."""


def render(pieces: Sequence[Piece], escape: Callable[[str], str] = str) -> str:
    """The text of pieces with their markup, as it stands in a file.

    Args:
        escape: writes text so that none of it is read as markup.
    """
    parts: list[str] = []
    opened: list[Mark] = []
    for piece in [*pieces, Piece("")]:
        num_kept = 0
        while num_kept < min(len(opened), len(piece.marks)) and opened[num_kept] is piece.marks[num_kept]:
            num_kept += 1
        parts += [mark.closing for mark in reversed(opened[num_kept:])]
        opened = [*piece.marks]
        parts += [mark.opening for mark in opened[num_kept:]]
        parts.append(escape(piece.text) if piece.fixed is None else piece.fixed.opening)
    return "".join(parts)
