"""HTML. Paragraphs and the like are segments; tags inside a line, such as links, are marks."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from html.parser import HTMLParser

from nmt.documents.edits import Edit, apply_edits, collapse, decode
from nmt.documents.segment import Change, Mark, Segment

INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "del", "dfn", "em", "font", "i", "img", "ins"}
    | {"mark", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "wbr"}
    | {"data", "picture", "source"}
)
"""Elements inside a line. Any other element begins a new segment."""

BLOCKS = frozenset({"pre", "script", "style", "textarea", "template", "noscript", "iframe", "object"})
"""Elements that are not translated and end a segment."""

FIXED = BLOCKS | {"code", "kbd", "samp", "var", "math", "svg"}
"""Elements that are not translated. Those that are inside a sentence keep their place in it."""

VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
"""Elements without an end."""

CELLS, ROWS = frozenset({"td", "th"}), frozenset({"tr", "thead", "tbody", "tfoot"})

PARAGRAPH_ENDS = frozenset(
    {"address", "article", "aside", "blockquote", "details", "dialog", "div", "dl", "fieldset", "figcaption", "figure"}
    | {"footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "main", "menu", "nav", "ol", "p"}
    | {"pre", "search", "section", "table", "ul"}
)

ENDED_BY: dict[str, frozenset[str]] = {
    "li": frozenset({"li"}),
    **dict.fromkeys(("dt", "dd"), frozenset({"dt", "dd"})),
    "p": PARAGRAPH_ENDS,
    **dict.fromkeys(("rb", "rt", "rp"), frozenset({"rb", "rt", "rp"})),
    "option": frozenset({"option", "optgroup", "hr"}),
    "optgroup": frozenset({"optgroup", "hr"}),
    **dict.fromkeys(("td", "th"), CELLS | ROWS),
    "tr": ROWS,
    **dict.fromkeys(("caption", "colgroup", "thead", "tbody", "tfoot"), ROWS - {"tr"}),
}
"""Elements that need no end tag, and those whose beginning ends them."""

CHARSET = re.compile(r"""<meta\b[^<>]*\bcharset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
"""The format of the file, as it says itself."""


@dataclass(frozen=True)
class Token:
    """A tag, a text, or something else such as a comment.

    Attributes:
        kind: "start", "end", "text" or "other".
        name: of the element.
        is_excluded: whether a start tag says translate="no".
        start: index of its first character.
    """

    kind: str
    name: str
    is_excluded: bool
    start: int


class Tokenizer(HTMLParser):
    """Lists the tokens of a document with their places."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tokens: list[Token] = []
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.feed(text)
        self.close()

    def add(self, kind: str, name: str = "", *, is_excluded: bool = False) -> None:
        line, column = self.getpos()
        self.tokens.append(Token(kind, name, is_excluded, self.line_starts[line - 1] + column))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_excluded = values.get("translate") == "no" or "notranslate" in (values.get("class") or "").split()
        self.add("start", tag, is_excluded=is_excluded and tag not in VOID)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.add("start" if tag in VOID else "other", tag)

    def handle_endtag(self, tag: str) -> None:
        self.add("end", tag)

    def handle_data(self, data: str) -> None:
        self.add("text")

    def handle_entityref(self, name: str) -> None:
        self.add("text")

    def handle_charref(self, name: str) -> None:
        self.add("text")

    def handle_comment(self, data: str) -> None:
        self.add("other")

    def handle_decl(self, decl: str) -> None:
        self.add("other", "!")

    def handle_pi(self, data: str) -> None:
        self.add("other", "!")

    def unknown_decl(self, data: str) -> None:
        self.add("other", "!")


def translate_html(content: bytes, change: Change) -> bytes:
    """Translates the text of a .html file, without its attributes, and nothing inside translate="no"."""
    text = decode(content)
    result = apply_edits(text, find_edits(text), change)
    charset = CHARSET.search(text)
    if content.isascii() and charset is not None and charset[1].lower() not in ("utf-8", "utf8"):
        # Browsers will read the file in another format, in which only these characters are the same.
        return result.encode("ascii", "xmlcharrefreplace")
    return result.encode("utf-8")


def find_edits(text: str) -> list[Edit]:
    """The segments of a document."""
    tokens = Tokenizer(text).tokens
    ends = [token.start for token in tokens[1:]] + [len(text)]
    edits: list[Edit] = []
    buffer: list[tuple[Token, str]] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "start" and (token.name in FIXED or token.is_excluded) and token.name not in VOID:
            # The whole element is one token, which is not looked into.
            last = _find_end(tokens, index)
            if token.name in BLOCKS or (token.name not in INLINE and token.name not in FIXED):
                edits += _edit(buffer)
                buffer = []
            else:
                buffer.append((Token("fixed", token.name, True, token.start), text[token.start : ends[last]]))
            index = last + 1
            continue
        is_inside = token.kind == "text" or (token.kind == "other" and token.name != "!") or token.name in INLINE
        if is_inside:
            buffer.append((token, text[token.start : ends[index]]))
        else:
            edits += _edit(buffer)
            buffer = []
        index += 1
    return edits + _edit(buffer)


def _find_end(tokens: list[Token], index: int) -> int:
    """The index of the last token of an element; the last index of all if its end is missing."""
    opened = [tokens[index].name]
    for position in range(index + 1, len(tokens)):
        kind, name = tokens[position].kind, tokens[position].name
        if kind == "start":
            for depth in range(len(opened) - 1, -1, -1):
                if name in ENDED_BY.get(opened[depth], ()):
                    del opened[depth:]
                    break
                if opened[depth] not in ENDED_BY:
                    break
            if not opened:
                return position - 1
            if name not in VOID:
                opened.append(name)
        elif kind == "end" and name in opened:
            del opened[len(opened) - 1 - opened[::-1].index(name) :]
            if not opened:
                return position
        elif kind == "end" and opened[0] in ENDED_BY and name not in INLINE:  # the element around it ends
            return position - 1
    return len(tokens) - 1


def _edit(buffer: list[tuple[Token, str]]) -> list[Edit]:
    """The edit of the tokens between two tags of paragraphs; none without text."""
    is_text = [token.kind == "text" and raw.strip() != "" for token, raw in buffer]
    if not any(is_text):
        return []
    # White space at both ends stays outside, and so do tags before and after all text that are not in pairs.
    first, last = 0, len(buffer) - 1
    while buffer[first][0].kind == "text" and not is_text[first]:
        first += 1
    while buffer[last][0].kind == "text" and not is_text[last]:
        last -= 1
    tokens = buffer[first : last + 1]
    start, end = tokens[0][0].start, tokens[-1][0].start + len(tokens[-1][1])
    if is_text[first]:
        token, raw = tokens[0]
        tokens[0] = token, raw.lstrip()
        start += len(raw) - len(raw.lstrip())
    if is_text[last]:
        token, raw = tokens[-1]
        tokens[-1] = token, raw.rstrip()
        end -= len(raw) - len(raw.rstrip())
    return [Edit(start, end, parse_tokens(tokens), escape=escape)]


def parse_tokens(tokens: list[tuple[Token, str]]) -> Segment:
    """Texts and tags as a segment. A tag without a partner stays at its place."""
    segment = Segment()
    opened: list[tuple[str, int, str, int]] = []
    for token, raw in tokens:
        if token.kind == "text":
            plain = collapse(html.unescape(raw))
            last = segment.marks[-1] if segment.marks else None
            follows_fixed = last is not None and last.is_fixed and last.start == last.end == len(segment.text)
            segment.text += plain.lstrip(" ") if segment.text.endswith(" ") and not follows_fixed else plain
        elif token.kind == "fixed":
            content = collapse(html.unescape(re.sub(r"<[^>]*>", "", raw))).strip()
            start = len(segment.text)
            segment.text += content
            segment.marks.append(Mark(start, len(segment.text), raw, is_fixed=True))
        elif token.kind == "start" and token.name not in VOID:
            opened.append((token.name, len(segment.text), raw, len(segment.marks)))
            segment.marks.append(Mark(0, 0))  # its place, until the end tag is found
        elif token.kind == "end" and token.name in [name for name, *_ in opened]:
            while opened:
                name, start, opening, index = opened.pop()
                if name == token.name:
                    segment.close_mark(index, start, opening, raw)
                    break
                segment.marks[index] = Mark(start, start, opening, is_fixed=True)
        else:
            segment.marks.append(Mark(len(segment.text), len(segment.text), raw, is_fixed=True))
    for _, start, opening, index in opened:
        segment.marks[index] = Mark(start, start, opening, is_fixed=True)
    return segment


def escape(text: str) -> str:
    """Text as HTML writes it between tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
