#!/usr/bin/env python
"""Renews the figures in the tables of docs/mechanisms.md from docs/results/attention-zoo.json.

    python scripts/mechanisms_tables.py

A row that begins with the name of an experiment, such as `zoo_luong`, shows the figures of this mechanism in the
columns of COLUMNS. A test fails if they differ from the record. Rows of mechanisms that the record lacks stay.
"""

from __future__ import annotations

import re
from pathlib import Path

from nmt.files import write_text
from nmt.report.formatting import format_mean, format_number
from results_page import Record, read_json
from zoo_table import summarize

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mechanisms.md"
RECORD = ROOT / "docs" / "results" / "attention-zoo.json"

COLUMNS = {
    "BLEU test": ("grammar", "test bleu"),
    "BLEU test_long": ("grammar", "test_long bleu"),
    "words test_long": ("grammar", "test_long words"),
    "AER test": ("grammar", "test alignment error"),
    "AER test_long": ("grammar", "test_long alignment error"),
    "pronouns": ("grammar", "pronouns pronouns"),
    "BLEU Multi30k": ("multi30k", "test_2016_flickr bleu"),
}
"""The score that a column shows: its heading → corpus and key."""


def with_figures(page: str, record: Record) -> str:
    """The page in which every table has the figures of the record."""
    mechanisms = summarize(record)
    headings: list[str] = []
    lines = page.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("|"):
            headings = []
        elif not headings:
            headings = split_cells(line)
        elif (found := re.match(r"\| `zoo_(\w+)`", line)) and found[1] in mechanisms:
            cells = zip(headings, split_cells(line), strict=True)
            lines[number] = f"| {' | '.join(renew(*cell, mechanisms[found[1]]) for cell in cells)} |"
    return "\n".join(lines) + "\n"


def split_cells(line: str) -> list[str]:
    """The cells of a row of a table; none of them may contain a bar."""
    return [cell.strip() for cell in line.strip("|").split("|")]


def renew(heading: str, cell: str, mechanism: Record) -> str:
    """The new content of a cell of a mechanism's row."""
    if heading == "parameters":
        return format_number(mechanism.get("grammar", {}).get("parameters"))
    if heading not in COLUMNS:
        return cell
    corpus, key = COLUMNS[heading]
    return format_mean(mechanism.get(corpus, {}).get("scores", {}).get(key))


def main() -> None:
    write_text(PAGE, with_figures(PAGE.read_text(encoding="utf-8"), read_json(RECORD)))


if __name__ == "__main__":
    main()
