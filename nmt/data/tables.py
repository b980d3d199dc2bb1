"""Reads parallel text from one file with both languages: .tsv, .csv, .jsonl, .json or .parquet.

    train.tsv       columns separated by tabs, without quoting; the first line names the languages
    train.csv       columns separated by commas; a cell with commas or line ends is in double quotes (RFC 4180)
    train.jsonl     one object per line: {"en": …, "de": …} or {"translation": {"en": …, "de": …}}
    train.json      a list of such objects, or the same as .jsonl
    train.parquet   columns named by language, or a column "translation" with one field per language

Every cell is text, also "NA", "null", "1.0" or nothing. Blank lines, of which no row can consist, are skipped. Line
ends inside a cell become spaces. All but .parquet may be compressed (train.csv.gz).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nmt.data.text_file import read_lines, read_text
from nmt.errors import UserError
from nmt.files import reading

Pairs = Iterator[tuple[str, str]]

MAX_SHOWN_CHARACTERS = 60
"""Maximum number of characters of a file that an error message quotes."""

PARQUET_ROWS = 10_000
"""Number of rows of a .parquet file that are held as Python strings at a time."""


def table_ending(path: Path) -> str | None:
    """The ending of a file that `read_table` reads, without .gz, such as "tsv"; None for any other file."""
    name = path.name.removesuffix(".gz")
    return next((ending for ending in _READERS if name.endswith(f".{ending}") and name != f".{ending}"), None)


def read_table(path: Path, *, source: str, target: str) -> Pairs:
    """Yields the source and the target text of each row of a file.

    Args:
        path: a file for which `table_ending` is not None.
        source, target: language codes, which name the columns or keys.

    Raises:
        UserError: the file does not have the format that its ending promises; the message names the file and the line.
    """
    ending = table_ending(path)
    assert ending is not None
    return _READERS[ending](path, source, target)


def join_lines(text: str) -> str:
    """Replaces line ends by spaces, because a sentence is one line in every file that is read or written."""
    return text.replace("\r\n", " ").replace("\n", " ")


def _read_tsv(path: Path, source: str, target: str) -> Pairs:
    """Yields the cells of the two columns that are named `source` and `target` in line 1."""
    lines = enumerate(read_lines(path), start=1)
    rows = ((number, line.split("\t")) for number, line in lines if line.strip() or "\t" in line)
    return _select_columns(rows, path, source, target)


def _read_csv(path: Path, source: str, target: str) -> Pairs:
    """Yields the cells of the two columns that are named `source` and `target` in line 1."""
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        while True:
            start = reader.line_num + 1
            try:
                row = next(reader, None)
            except csv.Error as error:
                reason, remedy = _explain_csv_error(str(error))
                raise UserError(
                    f"{path}: the row that starts in line {start} is not CSV ({reason}): {remedy}"
                ) from None
            if row is None:
                return
            if any(cell.strip() for cell in row) or len(row) > 1:
                yield start, row

    return _select_columns(rows(), path, source, target)


def _explain_csv_error(message: str) -> tuple[str, str]:
    """The reason of an error of the module csv, and the remedy."""
    if "new-line character" in message:
        return "a cell has a carriage return but no quotes", "put that cell into quotes"
    if "field limit" in message:  # often the rest of the file, behind quotes that are not closed
        reason = f"a cell has more than {csv.field_size_limit():,} characters"
        return reason, "close its quotes, or use .tsv or .jsonl for longer text"
    return message, 'put a cell with quotes into quotes, and double those inside: "say ""hi"""'


def _select_columns(rows: Iterator[tuple[int, list[str]]], path: Path, source: str, target: str) -> Pairs:
    """Yields the cells of two columns.

    Args:
        rows: the number of the line and the cells of each row; the first row names the columns.
    """
    names: list[str] = []
    for number, cells in rows:
        if not names:
            names = [cell.strip() for cell in cells]
            for language in (source, target):
                if names.count(language) != 1:
                    raise UserError(
                        f"{path} line {number} must name the columns by language code, {language} among them; "
                        f"it reads: {_shorten(' | '.join(names))}"
                    )
        elif len(cells) != len(names):
            raise UserError(f"{path} line {number} has {len(cells)} columns, but line 1 names {len(names)}")
        else:
            yield join_lines(cells[names.index(source)]), join_lines(cells[names.index(target)])


def _read_jsonl(path: Path, source: str, target: str) -> Pairs:
    """Yields the texts of both languages from the object in each line."""
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            yield _get_texts(_parse(line, f"{path} line {number}"), source, target, f"{path} line {number}")


def _read_json(path: Path, source: str, target: str) -> Pairs:
    """Yields the texts of both languages from each object of a list; a file without "[" at its start is a .jsonl."""
    if not next((line for line in read_lines(path) if line.strip()), "").lstrip().startswith("["):
        yield from _read_jsonl(path, source, target)
        return
    for number, row in enumerate(_parse(read_text(path), str(path)), start=1):
        yield _get_texts(row, source, target, f"{path} object {number}")


def _read_parquet(path: Path, source: str, target: str) -> Pairs:
    """Yields the texts of both languages from each row."""
    import pyarrow  # type: ignore[import-untyped] # only here: it takes a while, and most corpora do without
    import pyarrow.parquet  # type: ignore[import-untyped]

    number = 0
    with reading(path):
        try:
            file = pyarrow.parquet.ParquetFile(path)
            names = file.schema_arrow.names
            columns = [source, target] if {source, target} <= set(names) else ["translation"]
            for batch in file.iter_batches(PARQUET_ROWS, columns=columns if set(columns) <= set(names) else None):
                for row in _iterate_rows(batch):
                    number += 1
                    yield _get_texts(row, source, target, f"{path} row {number}")
        except UnicodeDecodeError:
            raise UserError(f"{path} row {number + 1} is not UTF-8") from None
        except pyarrow.ArrowException as error:
            raise UserError(f"{path} is not a Parquet file: {' '.join(str(error).split())}") from None


def _iterate_rows(batch: Any) -> Iterator[dict[str, Any]]:
    """Yields the rows of a record batch; raises UnicodeDecodeError at the first one that is not UTF-8."""
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:
        rows = (batch.slice(index, 1).to_pylist()[0] for index in range(batch.num_rows))  # much slower
    yield from rows


def _parse(text: str, where: str) -> Any:
    """Parses JSON. Raises UserError, which says `where`, if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also an integer of thousands of digits
        raise UserError(f"{where} is not JSON: {error}") from None


def _get_texts(row: Any, source: str, target: str, where: str) -> tuple[str, str]:
    """The texts of both languages from a row, or else from its "translation".

    Raises:
        UserError: there are no such texts.
    """
    nested = row.get("translation") if isinstance(row, dict) else None
    has_both = isinstance(row, dict) and source in row and target in row
    pair = nested if isinstance(nested, dict) and not has_both else row
    if not isinstance(pair, dict):
        raise UserError(f'{where} is not an object like {{"{source}": "…", "{target}": "…"}}')
    return _get_text(pair, source, where), _get_text(pair, target, where)


def _get_text(row: dict[str, Any], language: str, where: str) -> str:
    """Returns the text of one language. Raises UserError if there is no such text."""
    if language not in row:
        raise UserError(f"{where} has no {language!r}: it has {_shorten(', '.join(row))}")
    text = row[language]
    if not isinstance(text, str):
        raise UserError(f"{where}: the value of {language!r} is not text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
        raise UserError(f"{where}: the value of {language!r} is not valid Unicode") from None
    return join_lines(text)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…")


_READERS: dict[str, Callable[[Path, str, str], Pairs]] = {
    "tsv": _read_tsv,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "json": _read_json,
    "parquet": _read_parquet,
}
"""The reader of each kind of file, by its ending."""

TABLE_ENDINGS = tuple(_READERS)
"""The endings of the files that hold both languages."""
