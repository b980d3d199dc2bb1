"""The remark that the search's length limit has cut translations off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nmt.cli.shell.errors import print_message
from nmt.translator import Translation

MAX_SHOWN_LINES = 5
"""Maximum number of line numbers in the remark."""


@dataclass
class TruncatedLines:
    """Counts the lines whose translations were cut, and keeps the numbers of the first ones, from 1."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Counts a line."""
        self.count += 1
        if len(self.first) < MAX_SHOWN_LINES:
            self.first.append(number)

    def watch(self, translations: Iterable[list[Translation]], *, first: int) -> Iterator[list[Translation]]:
        """Passes on the translations of each line, and counts the lines whose best translation was cut.

        Args:
            first: the index of the first line in the whole input.
        """
        for number, n_best in enumerate(translations, start=first + 1):
            if n_best[0].truncated:
                self.add(number)
            yield n_best

    def print_remark(self, program: str) -> None:
        """Says on standard error how many translations were cut, and of which lines; nothing if none was."""
        if self.count == 0:
            return
        shown = ", ".join(map(str, self.first)) + (", …" if self.count > MAX_SHOWN_LINES else "")
        counted = "1 translation was" if self.count == 1 else f"{self.count:,} translations were"
        print_message(
            program,
            f"{counted} cut at the length limit ({'line' if self.count == 1 else 'lines'} {shown}): "
            f"search.max_length_factor and search.max_length_margin set it, search.no_repeat_ngram=3 stops repetitions",
        )


def remark_on_truncated(program: str, lines: Iterable[int]) -> None:
    """Prints the remark on the lines with these numbers."""
    truncated = TruncatedLines()
    for number in lines:
        truncated.add(number)
    truncated.print_remark(program)
