"""Plain text: paragraphs with blank lines between them, in lines of limited width or in one line each."""

from __future__ import annotations

import re
import textwrap
from functools import partial
from itertools import pairwise

from nmt.documents.edits import Edit, apply_edits, collapse, decode
from nmt.documents.segment import Change, Segment

NUMBER = r"(?:\d{1,3}|[A-Za-z]|[ivx]{2,4}|[IVX]{2,4})"
"""The number of an item of a list: 12, a or iv. A longer word before a full stop is text."""

BULLET = re.compile(rf"\ufeff?[ \t]*(?:(?:[-*+•–—]|\(?{NUMBER}[.)])[ \t]+)?")
"""What stands before the text of a line and stays: its indentation, and the sign or number of an item of a list."""

GAP = re.compile(r" *\t[ \t]*| {2,}")
"""What separates the columns of a line."""

WIDE_GAP = re.compile(r"\S(?: *\t| {3,})[ \t]*\S")
"""What only a line with columns has. Other lines have two spaces behind a full stop, or between justified words."""

MIN_WIDTH = 40
"""Minimum length of the longest line of a paragraph, in characters, for it to count as broken into lines."""


def translate_plain(content: bytes, change: Change) -> bytes:
    """Translates a .txt file.

    Lines that were broken at a certain width are joined before their sentences are found, and broken again at the same
    width. Any other line is a paragraph of its own, or several if it has columns.
    """
    text = decode(content)
    edits: list[Edit] = []
    for block in re.finditer(r"(?:[^\r\n]*\S[^\r\n]*(?:\r\n|\n|\r|\Z))+", text):
        lines = [(block.start() + each.start(), each[0]) for each in re.finditer(r"[^\r\n]+", block[0])]
        if is_wrapped([line for _, line in lines]):
            edits.append(_edit_lines(text, lines))
        else:
            edits += [edit for start, line in lines for edit in _edit_columns(start, line)]
    with_letters = [edit for edit in edits if any(map(str.isalpha, edit.segment.text))]
    return apply_edits(text, with_letters, change).encode("utf-8")


def is_wrapped(lines: list[str]) -> bool:
    """Whether lines come from a paragraph that was broken at a width: the next line's first word never fits."""
    width = max(map(len, lines))
    follows = [len(line) + 1 + len(after.split()[0]) for line, after in pairwise(lines)]
    starts_item = any(len(after) != len(after.lstrip()) + _indent(lines) or _has_bullet(after) for after in lines[1:])
    has_columns = any(map(WIDE_GAP.search, lines))
    return len(lines) > 1 and width >= MIN_WIDTH and min(follows) > width and not starts_item and not has_columns


def _edit_columns(start: int, line: str) -> list[Edit]:
    """The edits of a line by itself.

    Args:
        start: of the line in the text.
        line: without its end.
    """
    bullet = BULLET.match(line)
    assert bullet is not None
    begins = [bullet.end(), *(gap.end() for gap in GAP.finditer(line, bullet.end()))]
    ends = [*(gap.start() for gap in GAP.finditer(line, bullet.end())), len(line)]
    edits = []
    for begin, end in zip(begins, ends, strict=True):
        column = line[begin:end].rstrip()
        edits.append(Edit(start + begin, start + begin + len(column), Segment(collapse(column))))
    return edits


def _edit_lines(text: str, lines: list[tuple[int, str]]) -> Edit:
    """The edit of a paragraph of several lines: each with its start in the text."""
    start, first = lines[0]
    bullet = BULLET.match(first)
    assert bullet is not None
    begin = start + bullet.end()
    last_start, last = lines[-1]
    end = last_start + len(last.rstrip())
    finish = partial(
        _wrap,
        start=len(bullet[0]),
        indent=_indent([line for _, line in lines]),
        width=max(len(line.rstrip()) for _, line in lines),
        end=text[start + len(first) : lines[1][0]],
    )
    return Edit(begin, end, Segment(collapse(text[begin:end])), finish=finish)


def _wrap(text: str, *, start: int, indent: int, width: int, end: str) -> str:
    """Breaks a text into lines.

    Args:
        start: where the first line starts.
        indent: of the other lines.
        width: of a line.
        end: of a line.
    """
    wrapped = textwrap.wrap(
        "x" * start + text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return end.join(wrapped)[start:]


def _indent(lines: list[str]) -> int:
    """The indentation of the second line, which the others share."""
    return len(lines[1]) - len(lines[1].lstrip())


def _has_bullet(line: str) -> bool:
    match = BULLET.match(line)
    return match is not None and match[0].strip() != ""
