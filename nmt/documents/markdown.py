"""Markdown: paragraphs, headings, items of lists and cells of tables are segments; emphasis and links are marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from nmt.documents.edits import Edit, apply_edits, collapse, decode
from nmt.documents.html import FIXED, VOID, Tokenizer
from nmt.documents.markdown_writing import (
    escape,
    keep_emphasis,
    keep_paragraph,
    make_parser,
    write_code,
    write_target,
)
from nmt.documents.segment import Change, Mark, Segment

if TYPE_CHECKING:
    from markdown_it.token import Token

FRONT_MATTER = re.compile(r"\A\ufeff?(?:(---|\+\+\+)\r?\n.*?^(?:\1|\.\.\.)[ \t]*\r?$\n?)?", re.DOTALL | re.MULTILINE)
"""Settings at the start of a file, which are no Markdown, and the mark of UTF-8."""

LABEL = re.compile(r"(?:\[!\w+\]|:::.*)\s*\Z")
"""A line of its own that begins a note, as GitHub's [!NOTE] and :::note of other programs, or ends one."""

HARD_BREAK = re.compile(r"(?: {2,}|\\)\Z")
"""What ends a line that must stay a line."""

LINE_END = re.compile(r"(?:\r\n|\n|\r)[ \t>]*")
"""The end of a line, and what the next one begins with inside a quotation or an item."""

FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]:?|\[[ xX]\](?= )")
"""A footnote's sign, or the box of a task, which are extensions of Markdown."""

HTML_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][\w-]*)")
"""The beginning of an HTML tag."""

FIXED_ELEMENT = "fixed_element"
"""The type of a token that stands for an HTML element which is not translated: its text, and as markup all of it."""

TEXTUAL = frozenset({"text", "text_special", "softbreak", "code_inline"})
"""Types of tokens that are text for the reader."""

WRITABLE = TEXTUAL | {"html_inline"} | {f"{name}_{end}" for name in ("em", "strong", "s") for end in ("open", "close")}
"""Types of tokens that can be written by themselves."""


def translate_markdown(content: bytes, change: Change) -> bytes:
    """Translates a .md file. The lines of a paragraph become one line, except where the break has a meaning."""
    text = decode(content)
    edits = find_edits(text)
    return apply_edits(text, edits, lambda segments: [*map(keep_emphasis, change(segments))]).encode("utf-8")


def find_edits(text: str) -> list[Edit]:
    """The segments of a document."""
    front = FRONT_MATTER.match(text)
    assert front is not None  # it may be empty
    offset = front.end()
    parser = make_parser()
    environment: dict[str, object] = {}
    tokens = parser.parse(text[offset:], environment)
    references = environment.get("references")
    if isinstance(references, dict):  # a definition such as "[^1]: http://x.org" is that of a footnote
        environment["references"] = {key: value for key, value in references.items() if not key.startswith("^")}
    # Like the parser, count a line feed, a carriage return, or both as one end of a line.
    lines = [(offset + each.start(), each[1]) for each in re.finditer(r"([^\r\n]*)(\r\n|\n|\r|\Z)", text[offset:])]
    edits: list[Edit] = []
    cursors: dict[int, int] = {}  # number of a line -> where its text has not been found yet
    for token in tokens:
        if token.type != "inline" or token.map is None or not token.content.strip():
            continue
        for part in _split_lines(token):
            found = _locate(part, lines, range(*token.map), cursors)
            if found is None:  # the parser has changed the text, as in a cell with \|
                continue
            start, end = found
            source = HARD_BREAK.sub("", "\n".join(part))
            [inline] = parser.parseInline(source, environment)
            line_end = LINE_END.search(text, start, end)
            segment = parse_inline(inline.children or [], line_end=line_end[0] if line_end else "")
            edits.append(Edit(start, end, segment, escape=escape, finish=keep_paragraph))
    return edits


def _split_lines(token: Token) -> Iterator[list[str]]:
    """The lines of a segment, in groups that end at hard breaks, unless one of these is inside a mark."""
    depth, is_inside = 0, False
    for child in token.children or []:
        depth += child.nesting
        is_inside |= child.type == "hardbreak" and depth > 0
    group: list[str] = []
    for line in token.content.split("\n"):
        if LABEL.match(line):
            if group:
                yield group
            group = []
            continue
        group.append(line)
        if HARD_BREAK.search(line) and not is_inside:
            yield group
            group = []
    if group:
        yield group


def _locate(
    part: Sequence[str], lines: Sequence[tuple[int, str]], numbers: range, cursors: dict[int, int]
) -> tuple[int, int] | None:
    """The range of some lines of a segment in the file, without white space around it."""
    starts = []
    remaining = list(numbers)
    for wanted in (line.strip() for line in part):
        while remaining:
            number = remaining[0]
            start, line = lines[number]
            column = line.find(wanted, cursors.get(number, 0))
            if column >= 0:
                cursors[number] = column + len(wanted)
                starts.append((start + column, len(wanted)))
                if len(part) > 1 or len(numbers) > 1:
                    remaining.pop(0)
                break
            remaining.pop(0)
        else:
            return None
    end = starts[-1][0] + len(HARD_BREAK.sub("", part[-1].strip()).rstrip())
    return starts[0][0], end


def parse_inline(tokens: Sequence[Token], *, line_end: str) -> Segment:
    """The text and the marks of the parser's tokens.

    Args:
        line_end: what stands at a hard break, behind its sign.
    """
    segment = Segment()
    opened: list[tuple[int, int, str, str]] = []  # index of the mark, start, opening, closing
    tokens = join_fixed_elements(tokens)
    tags = pair_tags(tokens)
    end_tags = set(tags.values())

    def open_mark(opening: str, closing: str) -> None:
        opened.append((len(segment.marks), len(segment.text), opening, closing))
        segment.marks.append(Mark(0, 0))  # its place, until its end is found

    def add_fixed(text: str, raw: str) -> None:
        segment.marks.append(Mark(len(segment.text), len(segment.text) + len(text), raw, is_fixed=True))
        segment.text += text

    is_autolink = False
    for index, token in enumerate(tokens):
        if token.type in ("text", "text_special"):
            if is_autolink:
                continue
            position = 0
            for match in FOOTNOTE.finditer(token.content):
                segment.text += collapse(token.content[position : match.start()])
                add_fixed("", match[0])
                position = match.end()
            segment.text += collapse(token.content[position:])
        elif token.type in ("softbreak", "hardbreak"):
            if token.type == "hardbreak":
                add_fixed("", "\\" + line_end)
            segment.text += "" if segment.text.endswith(" ") else " "
        elif token.type == "code_inline":
            add_fixed(token.content, write_code(token))
        elif token.type == FIXED_ELEMENT:
            add_fixed(token.content, token.markup)
        elif index in tags:
            open_mark(token.content, tokens[tags[index]].content)
        elif index in end_tags:
            segment.close_mark(*opened.pop())
        elif token.type == "html_inline":
            add_fixed("", token.content)
            segment.text += " " if token.content.startswith("<br") else ""  # it separates words
        elif token.type == "image":
            alt = token.content
            add_fixed("", f"![{alt}]{write_target(token, 'src')}")
        elif token.type == "link_open" and token.markup == "autolink":
            is_autolink = True
            address = str(token.attrs["href"]).removeprefix("mailto:")
            add_fixed(address, f"<{address}>")
        elif token.type == "link_close" and is_autolink:
            is_autolink = False
        elif token.nesting == 1:
            marks = ("[", f"]{write_target(token, 'href')}") if token.type == "link_open" else (token.markup,) * 2
            open_mark(*marks)
        elif token.nesting == -1:
            segment.close_mark(*opened.pop())
    return segment


def pair_tags(tokens: Sequence[Token]) -> dict[int, int]:
    """The HTML tags that belong together: the index of the opening one → that of the closing one.

    Marks are nested, so tags belong together only if both are inside the same emphasis and the same link.
    """
    pairs: dict[int, int] = {}
    opened: list[tuple[str, int]] = []  # name of an HTML tag, "" for Markdown's own marks; index
    for index, token in enumerate(tokens):
        if tag := HTML_TAG.match(token.content) if token.type == "html_inline" else None:
            name = tag["name"].lower()
            names = [each for each, _ in takewhile(lambda each: each[0], reversed(opened))]
            if not tag["end"] and name not in VOID and not token.content.endswith("/>"):
                opened.append((name, index))
            elif tag["end"] and name in names:
                del opened[len(opened) - names.index(name) :]  # tags without a partner
                pairs[opened.pop()[1]] = index
        elif token.nesting == 1:
            opened.append(("", index))
        elif token.nesting == -1:
            while opened.pop()[0]:
                pass  # a tag without a partner
    return pairs


def join_fixed_elements(tokens: Sequence[Token]) -> list[Token]:
    """The tokens, in which one stands for each HTML element that is not translated, as in `nmt.documents.html`.

    An element with a link, a picture or a hard break inside is left as it is.
    """
    from markdown_it.token import Token

    joined: list[Token] = []
    ends, index = pair_tags(tokens), 0
    while index < len(tokens):
        end = ends.get(index, index)
        inner = tokens[index + 1 : end]
        if end > index and _is_fixed(tokens[index].content) and all(each.type in WRITABLE for each in inner):
            text = "".join(" " if each.type == "softbreak" else each.content for each in inner if each.type in TEXTUAL)
            raw = "".join(map(_write_token, tokens[index : end + 1]))
            joined.append(Token(FIXED_ELEMENT, "", 0, content=collapse(text), markup=raw))
        else:
            end = index
            joined.append(tokens[index])
        index = end + 1
    return joined


def _is_fixed(tag: str) -> bool:
    """Whether an element with this opening tag is not translated."""
    [element] = Tokenizer(tag).tokens
    return element.name in FIXED or element.is_excluded


def _write_token(token: Token) -> str:
    """What stands in the file for a token of a type in `WRITABLE`."""
    if token.type in ("text", "text_special"):
        return escape(token.content)
    if token.type == "softbreak":
        return " "
    if token.type == "code_inline":
        return write_code(token)
    return token.content if token.type == "html_inline" else token.markup
