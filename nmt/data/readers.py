"""Parallel text in local files: which splits a folder holds, and their pairs, read as a stream.

A split is a file's stem. It lies in two plain files, one a language, or in one file for both:

    train.en  train.de      line i of one is the translation of line i of the other
    train.tsv               columns separated by tabs, nothing quoted; the first line names them by language code
    train.jsonl             one object a line: {"en": …, "de": …} or {"translation": {"en": …, "de": …}}

Any of them may be compressed (train.en.gz). Text is UTF-8. A line ends at "\\n" or "\\r\\n" and at nothing else: the
other line separators of Unicode stay inside the line. A byte order mark at a file's start is dropped. `repairs_of`
tells what was put right so.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from nmt.errors import UserError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

BLOCK = 2**20
"""Bytes that are looked at in one go where line ends are counted."""


def find_splits(folder: Path, *, source: str, target: str) -> dict[str, tuple[Path, ...]]:
    """The splits that hold both languages: by name, the file or the two files (source, target).

    Raises:
        ValueError: the folder is missing, or a split lies there twice.
    """
    splits: dict[str, tuple[Path, ...]] = {}
    for files in chain(find_pairs(folder, source=source, target=target).items(), _tables(folder)):
        split, paths = files
        if split in splits:
            names = ", ".join(path.name for path in (*splits[split], *paths))
            raise UserError(f"{folder} holds the split {split} more than once ({names}): keep one of them there")
        splits[split] = paths
    return splits


def find_pairs(folder: Path, *, source: str, target: str) -> dict[str, tuple[Path, Path]]:
    """The splits that lie in two plain files: by name, the source's file and the target's.

    Raises:
        ValueError: the folder is missing, or a file lies there both plain and compressed.
    """
    sides = [_with_ending(folder, language) for language in (source, target)]
    return {split: (path, sides[1][split]) for split, path in sides[0].items() if split in sides[1]}


def _tables(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for ending in ("tsv", "jsonl"):
        for split, path in _with_ending(folder, ending).items():
            yield split, (path,)


def _with_ending(folder: Path, ending: str) -> dict[str, Path]:
    """The files called STEM.ending or STEM.ending.gz, by stem."""
    found: dict[str, Path] = {}
    for path in list_files(folder):
        stem = path.name.removesuffix(".gz").removesuffix(f".{ending}")
        if stem and path.name in (f"{stem}.{ending}", f"{stem}.{ending}.gz"):
            if stem in found:
                raise UserError(f"{folder} holds {stem}.{ending} both plain and compressed: keep one of them there")
            found[stem] = path
    return found


def list_files(folder: Path) -> list[Path]:
    """The folder's files, hidden ones left out, by name. Raises ValueError where there is no such folder."""
    try:
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder: data.path=DIR names the folder with the corpus")
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:  # no permission, a name that is too long
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None


def content_key(paths: tuple[Path, ...]) -> str:
    """Names the files' content: what was read from them once serves again for as long as they hold the same bytes."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def read_split(paths: tuple[Path, ...], *, source: str, target: str) -> Iterator[dict[str, str]]:
    """The pairs of a split as {"source": …, "target": …}, one at a time.

    Raises:
        ValueError: the text is not what this module's docstring says; the message names the file and the line.
    """
    if len(paths) == 2:
        pairs = _read_pair(paths[0], paths[1])
    elif paths[0].name.removesuffix(".gz").endswith(".tsv"):
        pairs = _read_tsv(paths[0], source, target)
    else:
        pairs = _read_jsonl(paths[0], source, target)
    empty = True
    for source_text, target_text in pairs:
        empty = False
        yield {"source": source_text, "target": target_text}
    if empty:
        raise UserError(f"the corpus is empty: no text in {' and '.join(map(str, paths))}")


def repairs_of(path: Path) -> str | None:
    """What reading a file puts right, in words; None if nothing. The file must be readable."""
    lines = ended = 0
    with _opened(path) as file:
        marked = file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
        file.seek(0)
        before = b""
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            ended += block.count(b"\r\n") + (before == b"\r" and block.startswith(b"\n"))
            before = block[-1:]
    found = ["a byte order mark was dropped"] * marked
    if ended > 0:
        others = "" if ended == lines else f", {lines - ended:,} in LF"
        found.append(f"{ended:,} lines end in CRLF{others}")
    return f"{path.name}: {'; '.join(found)}" if found else None


def _read_pair(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    lines = zip_longest(_raw_lines(source), _raw_lines(target))
    for number, (source_line, target_line) in enumerate(lines, start=1):
        if source_line is None or target_line is None:
            more = number + sum(1 for _ in lines)
            longer, shorter = (source, target) if target_line is None else (target, source)
            raise UserError(
                f"{longer} has {more} lines but {shorter.name} has {number - 1}: from line {number} on, "
                f"{longer.name} has no partner"
            )
        yield _decoded(source_line, source, number), _decoded(target_line, target, number)


def _read_tsv(path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    names: list[str] = []
    for number, line in enumerate(_raw_lines(path), start=1):
        cells = _decoded(line, path, number).split("\t")
        if not names:
            names = [cell.strip() for cell in cells]
            for language in (source, target):
                if names.count(language) != 1:
                    raise UserError(
                        f"{path} line 1 must name the columns by language code, {language} among them; "
                        f"it reads: {_shown(' | '.join(names))}"
                    )
        elif len(cells) != len(names):
            raise UserError(f"{path} line {number} has {len(cells)} columns, but line 1 names {len(names)}")
        else:
            yield cells[names.index(source)], cells[names.index(target)]


def _read_jsonl(path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(_raw_lines(path), start=1):
        text = _decoded(line, path, number)
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
            raise UserError(f"{path} line {number} is not JSON: {error}") from None
        pair = row.get("translation", row) if isinstance(row, dict) else row
        if not isinstance(pair, dict):
            raise UserError(f'{path} line {number} is not an object like {{"{source}": "…", "{target}": "…"}}')
        yield _cell(pair, source, path, number), _cell(pair, target, path, number)


def _cell(row: dict[str, Any], language: str, path: Path, number: int) -> str:
    if language not in row:
        raise UserError(f"{path} line {number} has no {language!r}: it has {_shown(', '.join(row))}")
    text = row[language]
    if not isinstance(text, str):
        raise UserError(f"{path} line {number}: the value of {language!r} is not text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
        raise UserError(f"{path} line {number}: the value of {language!r} is not valid Unicode") from None
    return single_line(text)


def single_line(text: str) -> str:
    """The text with its line ends as spaces: a sentence is one line in every file that is read or written."""
    return text.replace("\r\n", " ").replace("\n", " ")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _raw_lines(path: Path) -> Iterator[bytes]:
    """The file's lines without their ends. Raises ValueError where the file or its compression is damaged."""
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, start=1):  # a binary file's lines end at "\n" alone
                if number == 1:
                    line = line.removeprefix(BYTE_ORDER_MARK)
                    if not line:
                        continue
                yield line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(f"{path} is not a whole gzip file: reading failed after line {number}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} line {number} is not UTF-8: byte {line[error.start]:#04x} at position {error.start + 1}; "
            f"convert the file, for example with iconv"
        ) from None
