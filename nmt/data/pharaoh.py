"""Word links of a sentence pair, and the Pharaoh format in which files store them.

One line per pair: "0-0 1-2 2p1" links source word 0 to target word 0, and so on. Words are counted from 0. A "p"
instead of the hyphen marks a link that is only possible: annotators disagreed, or the pair is right with it and without
it (Och and Ney, 2003). All other links are sure. A line may be empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import itemgetter

from nmt.data.words import Splitter
from nmt.errors import UserError

Link = tuple[int, int]
"""The index of a source word and the index of a target word, from 0."""

LINK_PATTERN = re.compile(r"([0-9]{1,9})([-p])([0-9]{1,9})")

MAX_SHOWN_CHARACTERS = 30
"""Maximum number of characters of a wrong link that an error message quotes."""


@dataclass(frozen=True)
class GoldLinks:
    """The word links of one sentence pair as annotated.

    Attributes:
        sure: the links that every good alignment contains.
        possible: the links that a good alignment may contain; sure links are among them.
    """

    sure: frozenset[Link]
    possible: frozenset[Link]

    def reversed(self) -> GoldLinks:
        """The links in the other direction."""
        return GoldLinks(reverse_links(self.sure), reverse_links(self.possible))


def parse_links(text: str, *, location: str) -> GoldLinks:
    """Parses one line in Pharaoh format.

    Args:
        text: the line.
        location: the file and line number, for the error message.

    Raises:
        UserError: something in the line is not a link.
    """
    sure, possible = set(), set()
    for item in text.split():
        match = LINK_PATTERN.fullmatch(item)
        if match is None:
            raise UserError(
                f"{location}: {item[:MAX_SHOWN_CHARACTERS]} is not a link: write the indices of two words, from 0, as "
                "in 3-5, or 3p5 for a link that is only possible"
            )
        link = (int(match[1]), int(match[3]))
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return GoldLinks(frozenset(sure), frozenset(possible))


def check_links(links: GoldLinks, lines: tuple[str, str], *, split: Splitter, location: str) -> None:
    """Checks that the words which links name exist.

    Args:
        links: the links of a sentence pair.
        lines: its source and its target.
        split: how words are counted.
        location: as for `parse_links`.

    Raises:
        UserError: a line has fewer words than a link needs.
    """
    for side, line in enumerate(lines):
        last = max(links.possible, key=itemgetter(side), default=(-1, -1))
        # A line has at least as many words as parts between white space, which are faster to count.
        if last[side] >= len(line.split()) and last[side] >= len(spans := split(line)):
            numbers = "".join(f", and word {len(spans) - 1} is {line[start:end]!r}" for start, end in spans[-1:])
            raise UserError(
                f"{location}: the link {last[0]}-{last[1]} needs word {last[side]} on the {('left', 'right')[side]}, "
                f"but the line there has {len(spans)} words: count them from 0{numbers}"
            )


def format_links(links: Iterable[Link], possible: Iterable[Link] = ()) -> str:
    """Formats links in Pharaoh format, sorted: {(0, 0), (1, 2)} is "0-0 1-2".

    Args:
        links: the sure links.
        possible: further links that are only possible; those among `links` too are sure.
    """
    sure = set(links)
    return " ".join(
        f"{source}{'-' if (source, target) in sure else 'p'}{target}" for source, target in sorted(sure | set(possible))
    )


def reverse_links(links: Iterable[Link]) -> frozenset[Link]:
    """The links in the other direction."""
    return frozenset((target, source) for source, target in links)
