"""Writes Markdown: text in which nothing is markup, code, the targets of links, and emphasis."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from nmt.documents.segment import Mark, Piece, render

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

ENTITY = re.compile(r"&(?=#?\w+;)")
"""What would be read as the beginning of a reference such as &copy; in an address or a title."""

EMPHASIS = {"*": "em", "_": "em", "**": "strong", "__": "strong", "~~": "s"}
"""The signs of emphasis, and the HTML elements that mean the same."""

STARS = {"_": "*", "__": "**"}
"""Signs that must stand at the ends of words, and others that mean the same and need not."""


@cache
def make_parser() -> MarkdownIt:
    """The parser of all files."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"store_labels": True}).enable(["table", "strikethrough"])


def escape(text: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\`*\[\]<]|~(?=~)|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def keep_paragraph(text: str) -> str:
    """The text of a line, changed if its beginning would turn the line into a heading, an item or a quotation.

    A heading also loses "#" at its end.
    """
    text = re.sub(r"^(\d{1,9})([.)])(?=\s|$)", r"\1\\\2", text)
    text = re.sub(r"(?<=\s)(#+)$", r"\\\1", text)
    return re.sub(r"^([#>+\-=](?=[\s#>+\-=]|$)|~(?=~~))", r"\\\1", text)


def write_code(token: Token) -> str:
    """A code span as it stands in the file."""
    edge = " " if token.content.startswith("`") or token.content.endswith("`") else ""
    return f"{token.markup}{edge}{token.content}{edge}{token.markup}"


def write_target(token: Token, attribute: str) -> str:
    """What follows the text of a link or a picture: its address, or its label in the file."""
    if "label" in token.meta:
        return f"[{token.meta['label']}]"
    address = ENTITY.sub("&amp;", str(token.attrs.get(attribute, "")))
    if re.search(r"[ ()<>]", address) or not address:
        address = f"<{address}>" if address else ""
    if "title" not in token.attrs:
        return f"({address})"
    title = re.sub(r'(["\\])', r"\\\1", ENTITY.sub("&amp;", str(token.attrs["title"])))
    return f'({address} "{title}")'


def keep_emphasis(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces, with other signs of emphasis if the parser would read theirs in another way.

    That depends on the characters around them: "_" is no sign between two letters, as in languages without spaces.
    """
    pieces = [each for each in pieces if each.text or each.fixed or not each.marks or not _is_emphasis(each.marks[-1])]
    if not any(map(_is_emphasis, {mark for piece in pieces for mark in piece.marks})):
        return pieces
    with_tags = _replace_signs(pieces, {sign: (f"<{name}>", f"</{name}>") for sign, name in EMPHASIS.items()})
    meaning = make_parser().renderInline(render(with_tags, escape))
    with_stars = _replace_signs(pieces, {sign: (star, star) for sign, star in STARS.items()})
    for possible in (pieces, with_stars):
        if make_parser().renderInline(render(possible, escape)) == meaning:
            return possible
    return with_tags


def _is_emphasis(mark: Mark) -> bool:
    return mark.opening == mark.closing and mark.opening in EMPHASIS


def _replace_signs(pieces: Sequence[Piece], signs: Mapping[str, tuple[str, str]]) -> list[Piece]:
    """The pieces with other signs around them: those with which to begin and to end, for each sign of emphasis."""
    new: dict[Mark, Mark] = {}
    for mark in {mark for piece in pieces for mark in piece.marks}:
        opening, closing = signs.get(mark.opening, (mark.opening, mark.closing))
        new[mark] = replace(mark, opening=opening, closing=closing) if _is_emphasis(mark) else mark
    return [replace(piece, marks=tuple(new[mark] for mark in piece.marks)) for piece in pieces]
