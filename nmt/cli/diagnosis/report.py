"""How `nmt doctor` prints: labelled lines, warnings at the end, and numbers for people."""

from __future__ import annotations

import textwrap

from rich.table import Table

from nmt.console import ResultConsole

LINE_WIDTH = 80
"""Characters of a line of the report."""

LABEL_WIDTH = 11
"""Characters of the column of labels."""

MAX_TEXT_LENGTH = 60
"""Characters of a quoted sentence; longer ones are cut."""


class DoctorReport:
    """Prints every finding at once on standard output, and collects warnings for the end."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def print(self, label: str, text: str) -> None:
        """Prints a label and, beside it, the text in as many lines as it needs."""
        lines = textwrap.wrap(
            f"{label:<{LABEL_WIDTH}}{text}", LINE_WIDTH, subsequent_indent=" " * LABEL_WIDTH, break_on_hyphens=False
        )
        print("\n".join(lines), flush=True)

    def print_table(self, table: Table) -> None:
        """Prints a table as wide as the lines."""
        ResultConsole(width=LINE_WIDTH).print(table)

    def warn(self, text: str) -> None:
        """Keeps a warning until the end of the report."""
        self.warnings.append(text)

    def finish(self, verdict: str) -> None:
        """Prints the warnings and the verdict."""
        for warning in self.warnings:
            self.print("warning", warning)
        print(textwrap.fill(verdict, LINE_WIDTH, break_on_hyphens=False))


def format_bytes(number: int) -> str:
    """1,500,000 as "1.5 MB"."""
    for size, unit in ((1e9, "GB"), (1e6, "MB")):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1e3:,.1f} kB"


def shorten(text: str) -> str:
    """The text, or its beginning and an ellipsis where it is longer than MAX_TEXT_LENGTH."""
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[: MAX_TEXT_LENGTH - 1]}…"
