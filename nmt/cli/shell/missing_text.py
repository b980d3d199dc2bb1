"""One remark about text of the source that translations lack: numbers, URLs, unknown words and the like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from nmt.cli.shell.errors import print_message
from nmt.translator import Translation

MAX_SHOWN_LINES = 10
"""Maximum number of line numbers in the remark."""

PLURALS = {"emoji": "emoji", "e-mail address": "e-mail addresses"}


class MissingText:
    """Counts what the translations of a file lack of their sources, to report it once."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.num_lines = 0
        self.first_lines: list[int] = []  # their numbers, from 1

    def watch(self, translations: Iterable[list[Translation]], *, first: int) -> Iterator[list[Translation]]:
        """Passes on the translations of each line and counts what the best one lacks.

        Args:
            first: the index of the first line in the file.
        """
        for number, n_best in enumerate(translations, start=first + 1):
            if missing := n_best[0].missing:
                self.kinds.update(fragment.kind for fragment in missing)
                self.num_lines += 1
                if self.num_lines <= MAX_SHOWN_LINES:
                    self.first_lines.append(number)
            yield n_best

    def print_remark(self, program: str, *, copied: bool) -> None:
        """Prints the counts and the first line numbers, if anything is missing.

        Args:
            copied: whether missing text was copied; then only short numbers can be missing.
        """
        if self.num_lines == 0:
            return
        counts = ", ".join(
            f"{count:,} {kind if count == 1 else PLURALS.get(kind, f'{kind}s')}"
            for kind, count in self.kinds.most_common()
        )
        lines = ("line " if self.num_lines == 1 else "lines ") + ", ".join(map(str, self.first_lines))
        if self.num_lines > MAX_SHOWN_LINES:
            lines += f" and {self.num_lines - MAX_SHOWN_LINES:,} more"
        remedy = (
            "numbers of one or two digits are not copied, since they may be written in words"
            if copied
            else "copy=true copies it"
        )
        print_message(program, f"translations lack text of their source: {counts} ({lines}); {remedy}")
