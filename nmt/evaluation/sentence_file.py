"""Text files with one line for each sentence of a split: further references, or the output of another program."""

from __future__ import annotations

from pathlib import Path

from nmt.errors import UserError
from nmt.files import read_text


def read_lines(path: Path) -> list[str]:
    """The lines of a file. Only "\n" ends a line: a sentence may contain other characters that end lines elsewhere.

    Raises:
        UserError: the file cannot be read.
    """
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def read_sentences(path: Path, *, num_sentences: int, split: str) -> list[str]:
    """Reads a file with one line for each sentence of a split. Further lines must be blank, and are left out.

    Raises:
        UserError: the file cannot be read, or has another number of lines.
    """
    lines = read_lines(path)
    if len(lines) < num_sentences or any(line.strip() for line in lines[num_sentences:]):
        raise UserError(
            f"{path} has {len(lines):,} lines, but {split} has {num_sentences:,} sentences: it needs one line for each"
        )
    return lines[:num_sentences]
