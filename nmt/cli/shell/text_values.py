"""Values that are taken as typed: the paths and names on the command line.

In Hydra's grammar many characters have a meaning (`# [ ] { } ( ) , = '`), letters are ASCII, and 2024, null and true
are no text. A path may contain any character and be called anything. So the value of a key in `TEXT_KEYS` is put in
quotes before Hydra reads it. Two things keep their meaning in it: a reference such as `${seed}`, and quotes around the
whole value, with which Hydra's users protect special characters.
"""

from __future__ import annotations

import re

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError

from nmt.cli.shell.configuration import escape

TEXT_KEYS = frozenset(
    {
        *("run", "runs", "name", "out", "split", "comet", "init"),
        *("data.path", "data.id", "data.subset", "data.parts"),
        *("tokenizer.run", "tokenizer.path", "tokenizer.target_path", "tokenizer.user_defined_symbols"),
    }
)
"""The keys of all commands whose values are paths, names or other texts."""

LIST_KEYS = frozenset({"run", "runs", "data.parts", "tokenizer.user_defined_symbols"})
"""Those of them that can take a list, `[a,b]`; each of its items is taken as typed."""

GROUP_KEYS = frozenset({"data.parts"})
"""Those of them whose items may also be groups of keys, `{a:b}`."""

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_GROUP = re.compile(r"\{.*:.*\}", re.DOTALL)
_FUNCTION = re.compile(r"(choice|range|glob|sort|shuffle|interval)\(.*\)", re.DOTALL)


def is_text_key(key: str) -> bool:
    """Whether a key takes a path or a name. It may have Hydra's prefix `+` or `++`."""
    return key.lstrip("+") in TEXT_KEYS


def quote_text(argument: str) -> str:
    """Puts the value of `key=value` in quotes if the key takes a path or a name; returns other arguments unchanged.

    The value null stays: for some keys it means "none".
    """
    key, equals, value = argument.partition("=")
    if not (equals and is_text_key(key)) or value == "null":
        return argument
    if key.lstrip("+") in LIST_KEYS and value.startswith("[") and value.endswith("]"):
        items = [item.strip() for item in split_at_commas(value[1:-1])] if value[1:-1].strip() else []
        may_group = key.lstrip("+") in GROUP_KEYS
        quoted = [item if may_group and _GROUP.fullmatch(item) else quote(item) for item in items]
        return f"{key}=[{','.join(quoted)}]"
    return f"{key}={quote(value)}"


def quote(text: str) -> str:
    """Quotes a text for Hydra. A text in quotes, and references in a text, stay as they are."""
    if _QUOTED.fullmatch(text):
        return text
    return QuotedString(escape(text) if text == "???" or not _is_readable(text) else text, Quote.single).with_quotes()


def unquote(text: str) -> str:
    """The text that Hydra reads in a value: without quotes around it, or without backslashes before characters."""
    return text[1:-1] if _QUOTED.fullmatch(text) else re.sub(r"\\([\\()\[\]{}:=, \t])", r"\1", text)


def split_values(value: str) -> list[str] | None:
    """Splits the values that `-m` gives to a key of `TEXT_KEYS`: `a,b`. None for a function of Hydra: `choice(a,b)`."""
    return None if _FUNCTION.fullmatch(value) else [part.strip() for part in split_at_commas(value)]


def split_at_commas(text: str) -> list[str]:
    """Splits a text at each comma outside quotes and brackets. A quote only opens at the beginning of a part."""
    parts, depth, quote, start = [], 0, "", 0
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[index - 1] != "\\" else quote
        elif character in "'\"" and not text[start:index].strip():
            quote = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth = max(0, depth - 1)
        elif character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _is_readable(text: str) -> bool:
    """Whether OmegaConf can read a text: each `${` in it begins a reference."""
    try:
        OmegaConf.create({"text": text})
    except GrammarParseError:
        return False
    return True
