"""Warnings about single lines of a text."""

from __future__ import annotations

from collections import Counter

from nmt.cli.shell.errors import print_message

MAX_WARNINGS_PER_KIND = 20
"""How many lines with the same problem get a warning each; further ones are only counted."""

CUT_OFF = "were cut off"
"""The kind of warning about lines that are too long for the model."""


class LineWarnings:
    """Warnings about single lines: the first lines of each kind get one each, further lines are only counted.

    Otherwise a million lines with the same problem would hide all other messages and fill a log.

    Args:
        program: the words before the colon in every message, such as "nmt translate".
        text: names the text in front of the number of a line, such as "test, "; empty if there is only one.
    """

    def __init__(self, program: str, *, text: str = "") -> None:
        self.program = program
        self.text = text
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, number: int, message: str) -> None:
        """Warns about a line.

        Args:
            kind: completes the sentence "5 lines in total …", such as "were cut off".
            number: of the line, from 1.
            message: what is wrong with the line.
        """
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_WARNINGS_PER_KIND:
            print_message(self.program, f"{self.text}line {number}: {message}")
        if self.counts[kind] == MAX_WARNINGS_PER_KIND:
            print_message(self.program, f"{self.text}further lines that {kind} are only counted")

    def add_cut_off(self, index: int, message: str) -> None:
        """Warns about a line that is too long for the model. Its index counts from 0, see `LineWarning`."""
        self.add(CUT_OFF, index + 1, message)

    def print_totals(self) -> None:
        """Prints the number of lines for each kind that had more than MAX_WARNINGS_PER_KIND."""
        for kind, count in self.counts.items():
            if count > MAX_WARNINGS_PER_KIND:
                print_message(self.program, f"{self.text}{count:,} lines in total {kind}")
