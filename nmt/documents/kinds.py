"""The kinds of files, and the packages that they need."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from nmt.documents.html import translate_html
from nmt.documents.markdown import translate_markdown
from nmt.documents.plain import translate_plain
from nmt.documents.segment import Change
from nmt.documents.subtitles import translate_subtitles
from nmt.documents.word import translate_word
from nmt.errors import UserError

KINDS: dict[str, Callable[[bytes, Change], bytes]] = {
    "txt": translate_plain,
    "md": translate_markdown,
    "html": translate_html,
    "srt": translate_subtitles,
    "docx": translate_word,
}
"""The kinds of files, by the usual ends of their names."""

FURTHER_ENDINGS = {"text": "txt", "markdown": "md", "htm": "html", "xhtml": "html", "vtt": "srt"}
"""Other ends of names, and the kind that each means."""

PACKAGES = {"md": "markdown_it", "docx": "docx"}
"""What some kinds need besides the splitter of sentences, by the names for importing."""

SPLITTER = "sentencex"
"""Finds sentences."""


def find_kind(name: str | None, kind: str | None) -> str:
    """The kind of a file.

    Args:
        name: of the file; None for standard input.
        kind: what the user says; None: by the end of the name.

    Raises:
        UserError: there is no such kind, the name does not tell it, or a package for it is missing.
    """
    if kind is None:
        ending = "" if name is None else name.rpartition(".")[2].lower()
        found = FURTHER_ENDINGS.get(ending, ending)
        if found not in KINDS:
            shown = "standard input" if name is None else f"input={name}"
            raise UserError(f"{shown} has no name that tells its kind: add document= with {', '.join(KINDS)}")
        kind = found
    if kind not in KINDS:
        raise UserError(f"document={kind} is unknown: use one of {', '.join(KINDS)}")
    for package in (SPLITTER, PACKAGES.get(kind)):
        if package is not None and find_spec(package) is None:
            raise UserError(f"format=document needs {package}: pip install 'nmt[documents]'")
    return kind
