"""How text is changed before it is cut into pieces: rules that become part of the SentencePiece model.

The model file contains the rules and their inverse, so every program that applies the model reads and writes the same
text. There are three sets of rules:

- `compose`, the default, writes a letter and its combining marks as one character, if Unicode has one: "e" and U+0301
  become "é". Both look the same, and a corpus that mixes them would have two spellings of every such word. A letter
  with a mark too many for one character, such as Yoruba "ẹ́", becomes a composed character and that mark.
- `none` keeps both spellings, for text whose letters and marks are separate throughout.
- `nmt_nfkc` is SentencePiece's own set, for comparison with other systems. It also replaces characters by others that
  look different: "m²" becomes "m2", "½" becomes "1⁄2", "，" becomes ",". Zero-width characters disappear, and runs of
  white space become one space.

`compose` and `none` lose nothing else: spaces, zero-width characters and even the characters that SentencePiece
reserves for itself come back when a text is decoded. Only line separators become spaces, since a sentence is one line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

Normalization = Literal["compose", "none", "nmt_nfkc"]

LINE_SEPARATORS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
"""Every character at which `str.splitlines` splits."""

STAND_INS = {"▁": "\ufdd0", "▅": "\ufdd1", "\t": "\ufdd2"}
"""The characters that SentencePiece reserves for itself, and what stands for each of them inside a model.

The stand-ins are noncharacters, which Unicode sets aside for use inside a program; in a text, they would be taken for
the characters that they stand for."""

INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}
"""Unicode categories of characters that print nothing: control and formatting characters, and white space."""


@contextmanager
def normalization_options(normalization: Normalization) -> Iterator[dict[str, Any]]:
    """Options of SentencePiece's trainer that put the rules into the model. They name files that exist in the block."""
    if normalization == "nmt_nfkc":
        yield {"normalization_rule_name": "nmt_nfkc"}
        return
    with TemporaryDirectory() as folder:
        rules, inverse = Path(folder, "rules.tsv"), Path(folder, "inverse.tsv")
        rules.write_text(_rules_text(normalization), encoding="ascii")
        inverse.write_text(_format_rules({new: old for old, new in STAND_INS.items()}), encoding="ascii")
        yield {
            "normalization_rule_tsv": str(rules),
            "denormalization_rule_tsv": str(inverse),
            "remove_extra_whitespaces": False,
        }


def replace_reserved(line: str) -> str:
    """Writes the stand-ins of reserved characters, as the model's rules do.

    SentencePiece's trainer skips a line with a reserved character before it applies the rules.
    """
    for character, stand_in in STAND_INS.items():
        line = line.replace(character, stand_in)
    return line


def is_blank(text: str) -> bool:
    """Whether a text prints nothing: it is empty, or has only white space, control and formatting characters."""
    return all(unicodedata.category(character) in INVISIBLE for character in text)


@cache
def _rules_text(normalization: Literal["compose", "none"]) -> str:
    """The rules in SentencePiece's format."""
    if normalization == "none":
        return _format_rules(_keeping_rules())
    composition = _composition_rules()
    return _format_rules(_keeping_rules() | composition | _extra_mark_rules(composition))


def _format_rules(rules: Mapping[str, str]) -> str:
    """Formats rules for SentencePiece: in each line the code points before and after, in hexadecimal."""
    lines = ("\t".join(" ".join(f"{ord(code):X}" for code in side) for side in rule) for rule in rules.items())
    return "\n".join(lines) + "\n"


def _keeping_rules() -> dict[str, str]:
    """Keeps reserved characters by their stand-ins, and a text in one line."""
    return STAND_INS | dict.fromkeys(LINE_SEPARATORS, " ")


def _composition_rules() -> dict[str, str]:
    """Every spelling of a composed character by several ones → the character.

    Only characters that Unicode itself composes: canonical composition (NFC) also replaces some single characters,
    such as CJK compatibility ideographs, by others that may look different. Marks that do not interact may come in any
    order, and the first ones may be composed already: "ậ" is also "ạ" and "◌̂", or "â" and "◌̣".
    """
    rules = {}
    for code in range(0x110000):
        composed = chr(code)
        if unicodedata.is_normalized("NFD", composed) or unicodedata.normalize("NFC", composed) != composed:
            continue
        decomposed = unicodedata.normalize("NFD", composed)
        for marks in permutations(decomposed[1:]):
            spelling = decomposed[0] + "".join(marks)
            if unicodedata.normalize("NFC", spelling) == composed:
                for length in range(1, len(spelling)):
                    head = unicodedata.normalize("NFC", spelling[:length])
                    if len(head) == 1:
                        rules[head + spelling[length:]] = composed
    return rules


def _extra_mark_rules(composition: Mapping[str, str]) -> dict[str, str]:
    """Every spelling of a composed character and one more mark that Unicode writes otherwise → the way it writes them.

    Unicode has no character for "e" with both U+0323, the dot below, and U+0301. It composes the lower mark: "é" and
    U+0323 become "ẹ" and U+0301. If it has no character for the letter and the lower mark alone, as for "a" and U+0331,
    nothing changes: "a", U+0331 and U+0301 stay three characters, although "á" and U+0331 look the same.
    """
    spellings: dict[str, list[str]] = {}  # of each character with marks, in the order of the rules
    for spelling, composed in composition.items():
        if unicodedata.combining(spelling[-1]):
            spellings.setdefault(composed, [composed]).append(spelling)
    marks = sorted({spelling[-1] for group in spellings.values() for spelling in group[1:]})
    rules: dict[str, str] = {}
    for composed, group in spellings.items():
        for mark in marks:
            text = unicodedata.normalize("NFC", composed + mark)
            if len(text) > 1 and text != composed + mark:
                rules |= {spelling + mark: text for spelling in group}
    return rules
