"""Subtitles: .srt and .vtt. Numbers, times and the number of lines of each subtitle stay."""

from __future__ import annotations

import html
import re
import textwrap
from functools import partial

from nmt.documents.edits import Edit, apply_edits, collapse, decode
from nmt.documents.segment import Change, Mark, Segment

CUE = re.compile(r"[^\r\n]*-->[^\r\n]*(?:\r\n|\n|\r)((?:(?![^\r\n]*-->)[^\r\n]*\S[^\r\n]*(?:\r\n|\n|\r|\Z))*)")
"""The line with the times of a subtitle, and the lines of its text."""

TAG = re.compile(r"<(/?)([A-Za-z]\w*)[^<>]*>|\{\\[^{}]*\}|<[\d:.]+>")
"""Markup: <i>…</i>, or a position such as {\\an8}."""

SPEAKER = re.compile(
    rf"(?:\s|{TAG.pattern})*(?:[-–—]\s*|[A-Z][A-Z .]*(?:{TAG.pattern})*:(?:{TAG.pattern})*\s+|<v[ .][^<>]*>)"
)
"""What begins the line of another speaker, and stays: tags, and a dash, a name or a tag with a name."""


def translate_subtitles(content: bytes, change: Change) -> bytes:
    """Translates a .srt or .vtt file. Each subtitle is translated by itself, and each speaker in it."""
    text = decode(content)
    is_vtt = text.removeprefix("\ufeff").startswith("WEBVTT")  # in which "&" is written as "&amp;"
    edits = []
    for cue in CUE.finditer(text):
        lines = [(cue.start(1) + each.start(), each[0]) for each in re.finditer(r"[^\r\n]+", cue[1])]
        parts: list[list[tuple[int, str]]] = []
        for line in lines:
            if parts and SPEAKER.match(line[1]) is None:
                parts[-1].append(line)
            else:
                parts.append([line])
        edits += [_edit_part(text, part, is_vtt=is_vtt) for part in parts]
    return apply_edits(text, edits, change).encode("utf-8")


def _edit_part(text: str, lines: list[tuple[int, str]], *, is_vtt: bool) -> Edit:
    start, first = lines[0]
    speaker = SPEAKER.match(first)
    begin = start + (speaker.end() if speaker else 0)
    end = lines[-1][0] + len(lines[-1][1].rstrip())
    line_end = text[start + len(first) : lines[1][0]] if len(lines) > 1 else "\n"
    finish = partial(break_lines, count=len(lines), end=line_end)
    segment = parse_tags(text[begin:end], is_vtt=is_vtt)
    return Edit(begin, end, segment, escape=partial(html.escape, quote=False) if is_vtt else str, finish=finish)


def parse_tags(text: str, *, is_vtt: bool) -> Segment:
    """A text with tags as a segment. A tag without a partner stays at its place."""
    segment, position = Segment(), 0
    opened: list[tuple[str, int, str, int]] = []  # name, start, tag, index of the mark
    for match in [*TAG.finditer(text), None]:
        plain = collapse(text[position : match.start() if match else len(text)])
        plain = html.unescape(plain) if is_vtt else plain
        segment.text += plain.lstrip() if segment.text.endswith(" ") else plain
        if match is None:
            break
        position = match.end()
        if match[2] and not match[1]:
            opened.append((match[2], len(segment.text), match[0], len(segment.marks)))
            segment.marks.append(Mark(0, 0))  # its place, until the end tag is found
        elif match[1] and match[2] in [name for name, *_ in opened]:
            while opened:
                name, start, opening, index = opened.pop()
                if name == match[2]:
                    segment.close_mark(index, start, opening, match[0])
                    break
                segment.marks[index] = Mark(start, start, opening, is_fixed=True)
        else:
            segment.marks.append(Mark(len(segment.text), len(segment.text), match[0], is_fixed=True))
    for _, start, opening, index in opened:
        segment.marks[index] = Mark(start, start, opening, is_fixed=True)
    return segment


def break_lines(text: str, *, count: int, end: str) -> str:
    """Breaks a text into at most `count` lines of similar length, and no tag into two."""
    text = TAG.sub(lambda match: match[0].replace(" ", "\0"), text)
    for width in range(max(1, -(-len(text) // count)), len(text) + 2):
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        if len(lines) <= count:
            break
    return end.join(lines).replace("\0", " ")
