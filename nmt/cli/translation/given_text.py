"""What the user gives of translations: the file of their beginnings, and the file of terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import tee
from typing import BinaryIO

from nmt.cli.shell.line_streams import open_file, read_lines, read_pairs, refuse_other_formats
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.errors import UserError
from nmt.translator import Translator
from nmt.translator.given_target import encode_prefix
from nmt.translator.terms import Terminology, check_search, comparable


@contextmanager
def open_lines(
    source: BinaryIO, warnings: LineWarnings, translator: Translator, *, input: str | None, prefix: str | None
) -> Iterator[tuple[Iterator[str], Iterator[str] | None]]:
    """The lines of the input, and what the translation of each must begin with; None without a file of prefixes.

    Raises:
        UserError: the file of prefixes cannot be read. While lines are read: the files have different numbers of lines,
            or no translation can begin with a prefix.
    """
    if prefix is None:
        yield read_lines(source, warnings), None
        return
    key = f"prefix={prefix}"
    with open_file(prefix, key="prefix") as file:
        refuse_other_formats(file, key)
        names = ("standard input" if input is None else f"input={input}", key)
        pairs, same_pairs = tee(
            read_pairs(source, file, (warnings, LineWarnings(warnings.program, text="prefix, ")), names=names)
        )

        def checked_prefixes() -> Iterator[str]:
            for number, (_, line) in enumerate(same_pairs, start=1):
                try:
                    encode_prefix(translator.tokenizer, line, max_pieces=translator.max_length - 1)
                except UserError as error:
                    raise UserError(f"{key}, line {number}: {error}") from None
                yield line

        yield (line for line, _ in pairs), checked_prefixes()


def read_terms(path: str, translator: Translator, program: str) -> Terminology:
    """Reads a file with a source term, a tab and its target term per line.

    Raises:
        UserError: the file cannot be read, a line has no two terms, a source term occurs twice, the vocabulary lacks a
            character of a target term, or the search cannot place terms.
    """
    check_search(translator.search)
    terms: dict[str, str] = {}
    key = f"terms={path}"
    with open_file(path, key="terms") as file:
        refuse_other_formats(file, key)
        for number, line in enumerate(read_lines(file, LineWarnings(program, text="terms, ")), start=1):
            source, _, target = (part.strip() for part in line.partition("\t"))
            if not (source and target) or "\t" in target:
                raise UserError(f"{key}, line {number}: a line is a source term, a tab and its target term")
            if terms.setdefault(comparable(source), target) != target:
                raise UserError(f"{key}, line {number}: {source} has another target term before: leave one of them out")
            try:
                encode_prefix(translator.tokenizer, target, max_pieces=translator.max_length - 1)
            except UserError as error:
                raise UserError(f"{key}, line {number}: {str(error).replace('the prefix', 'the term')}") from None
    return Terminology(terms)
