"""Gold word links of a corpus in files: a third file beside the two texts of a split.

    test.en  test.de  test.en-de.align     line i links the words of line i of test.en to those of test.de

The file is in Pharaoh format (`nmt.data.pharaoh`) and may be compressed (test.en-de.align.gz). Its name says in which
direction it is written: for the translation from German to English, the links are reversed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.data.pharaoh import GoldLinks, check_links, format_links, parse_links
from nmt.data.text_file import read_lines
from nmt.data.words import spaced_words
from nmt.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

ENDING = "align"


@dataclass(frozen=True)
class LinksFile:
    """A file with the links of a split; `is_reversed` if its links lead from target to source."""

    path: Path
    is_reversed: bool


def find_links(folder: Path, split: str, *, source: str, target: str) -> LinksFile | None:
    """Finds the file with the links of a split; takes the one of the other direction only if there is no other.

    Raises:
        UserError: the folder contains the file both plain and compressed.
    """
    for first, second, is_reversed in ((source, target, False), (target, source, True)):
        name = f"{split}.{first}-{second}.{ENDING}"
        present = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if len(present) == 2:
            raise UserError(f"{folder} contains {name} both plain and compressed: keep one of them there")
        if present:
            return LinksFile(present[0], is_reversed)
    return None


def add_links(pairs: Iterator[dict[str, str]], links: LinksFile) -> Iterator[dict[str, str]]:
    """Adds the column "alignment" to each pair: its links from source to target, in Pharaoh format.

    Blank lines after that of the last pair are ignored.

    Raises:
        UserError: the file does not have one line per pair, or a line is wrong; the message names the line.
    """
    num_pairs = 0
    for number, (pair, line) in enumerate(zip_longest(pairs, read_lines(links.path)), start=1):
        if pair is None:
            if line.strip():
                raise UserError(
                    f"{links.path} has more than the {num_pairs:,} lines of the text: each line holds the links of the "
                    "pair in the same line"
                )
            continue
        num_pairs = number
        if line is None:
            raise UserError(
                f"{links.path} has {number - 1:,} lines, but the text has more: add one line per pair, which is empty "
                "if a pair has no links"
            )
        location = f"{links.path} line {number}"
        gold = parse_links(line, location=location)
        sides = (pair["source"], pair["target"])
        check_links(gold, sides[::-1] if links.is_reversed else sides, split=spaced_words, location=location)
        if links.is_reversed:
            gold = gold.reversed()
        yield {**pair, "alignment": format_links(gold.sure, gold.possible)}


def read_gold(pairs: Dataset, split: str) -> list[GoldLinks]:
    """The gold links of each pair of a split; an empty list if the split has no gold links.

    Raises:
        UserError: a line is not in Pharaoh format.
    """
    if "alignment" not in pairs.column_names:
        return []
    return [
        parse_links(text, location=f"{split}, line {number}") for number, text in enumerate(pairs["alignment"], start=1)
    ]
