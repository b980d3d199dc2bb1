"""Reads parallel text from local files, as a stream; finds which splits a folder contains.

A split is named by the stem of its files. It is stored in two plain files, one per language, or in one file for both:

    train.en  train.de      line i of one is the translation of line i of the other
    train.tsv               columns separated by tabs, without quoting; the first line names the languages
    train.jsonl             one object per line: {"en": …, "de": …} or {"translation": {"en": …, "de": …}}

Each of them may be compressed (train.en.gz). Text is UTF-8. A line ends with "\\n" or "\\r\\n" and with nothing else:
the other line separators of Unicode stay inside the line. A byte order mark at the start of a file is dropped.
`describe_repairs` reports such corrections.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from nmt.errors import UserError
from nmt.files import reading

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

BLOCK_BYTES = 2**20
"""Number of bytes that are read at a time when line ends are counted."""

MAX_SHOWN_CHARACTERS = 60
"""Maximum number of characters of a file that an error message quotes."""


def find_splits(folder: Path, *, source: str, target: str) -> dict[str, tuple[Path, ...]]:
    """Finds the splits that contain both languages: split name → its one file, or its two files (source, target).

    Raises:
        UserError: the folder does not exist, or contains a split twice.
    """
    splits: dict[str, tuple[Path, ...]] = {}
    candidates = chain(find_pairs(folder, source=source, target=target).items(), _find_tables(folder))
    for split, paths in candidates:
        if split in splits:
            names = ", ".join(path.name for path in (*splits[split], *paths))
            raise UserError(f"{folder} contains the split {split} more than once ({names}): keep one of them there")
        splits[split] = paths
    return splits


def find_pairs(folder: Path, *, source: str, target: str) -> dict[str, tuple[Path, Path]]:
    """Finds the splits that are stored in two plain files: split name → (source file, target file).

    Raises:
        UserError: the folder does not exist, or contains a file both plain and compressed.
    """
    source_paths, target_paths = (_find_by_ending(folder, language) for language in (source, target))
    return {split: (path, target_paths[split]) for split, path in source_paths.items() if split in target_paths}


def _find_tables(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for ending in ("tsv", "jsonl"):
        for split, path in _find_by_ending(folder, ending).items():
            yield split, (path,)


def _find_by_ending(folder: Path, ending: str) -> dict[str, Path]:
    """The files named STEM.ending or STEM.ending.gz, by stem."""
    paths: dict[str, Path] = {}
    for path in list_files(folder):
        stem = path.name.removesuffix(".gz").removesuffix(f".{ending}")
        if stem and path.name in (f"{stem}.{ending}", f"{stem}.{ending}.gz"):
            if stem in paths:
                raise UserError(f"{folder} contains {stem}.{ending} both plain and compressed: keep one of them there")
            paths[stem] = path
    return paths


def expand_path(path: str | Path) -> Path:
    """Replaces "~" or "~user" at the start of a path by the home folder.

    Raises:
        UserError: there is no such user.
    """
    try:
        return Path(str(path)).expanduser()  # str: the configuration may hold a number
    except RuntimeError:
        raise UserError(f"{path} names the home folder of an unknown user: give data.path=DIR in full") from None


def list_files(folder: Path) -> list[Path]:
    """The files of a folder, without hidden ones, sorted by name.

    Raises:
        UserError: there is no such folder, or it cannot be read.
    """
    with reading(folder):
        if not folder.is_dir():
            raise UserError(f"{folder} is not a folder: data.path=DIR names the folder with the corpus")
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def content_key(paths: tuple[Path, ...]) -> str:
    """A digest of the files' content, as a cache key.

    Raises:
        UserError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with reading(path), path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def read_split(paths: tuple[Path, ...], *, source: str, target: str) -> Iterator[dict[str, str]]:
    """Yields the pairs of a split, one at a time, as {"source": …, "target": …}.

    Args:
        paths: the files of the split, as `find_splits` returns them.
        source, target: language codes, which name the columns of a .tsv and the keys of a .jsonl.

    Raises:
        UserError: a file does not have the format that this module describes; the message names the file and the line.
    """
    if len(paths) == 2:
        pairs = _read_two_files(paths[0], paths[1])
    elif paths[0].name.removesuffix(".gz").endswith(".tsv"):
        pairs = _read_tsv(paths[0], source, target)
    else:
        pairs = _read_jsonl(paths[0], source, target)
    is_empty = True
    for source_text, target_text in pairs:
        is_empty = False
        yield {"source": source_text, "target": target_text}
    if is_empty:
        raise UserError(f"the corpus is empty: no text in {' and '.join(map(str, paths))}")


def describe_repairs(path: Path) -> str | None:
    """Describes what reading a file corrects: a byte order mark, CRLF line ends. None if nothing.

    Raises:
        UserError: the file cannot be read.
    """
    num_lines = num_crlf = 0
    last_byte = b""
    has_mark = False
    for number, block in enumerate(_read_blocks(path)):
        if number == 0:
            has_mark = block.startswith(BYTE_ORDER_MARK)
        num_lines += block.count(b"\n")
        num_crlf += block.count(b"\r\n") + (last_byte == b"\r" and block.startswith(b"\n"))
        last_byte = block[-1:]
    repairs = ["a byte order mark was dropped"] if has_mark else []
    if num_crlf > 0:
        others = "" if num_crlf == num_lines else f", {num_lines - num_crlf:,} in LF"
        repairs.append(f"{num_crlf:,} lines end in CRLF{others}")
    return f"{path.name}: {'; '.join(repairs)}" if repairs else None


def _read_two_files(source: Path, target: Path) -> Iterator[tuple[str, str]]:
    """Yields line i of both files together. Raises UserError if one file has more lines."""
    lines = zip_longest(_read_lines(source), _read_lines(target))
    for number, (source_line, target_line) in enumerate(lines, start=1):
        if source_line is None or target_line is None:
            num_lines = number + sum(1 for _ in lines)
            longer, shorter = (source, target) if target_line is None else (target, source)
            raise UserError(
                f"{longer} has {num_lines} lines but {shorter.name} has {number - 1}: from line {number} on, "
                f"{longer.name} has no translation"
            )
        yield _decode(source_line, source, number), _decode(target_line, target, number)


def _read_tsv(path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    """Yields the cells of the two columns that are named `source` and `target` in line 1."""
    names: list[str] = []
    for number, line in enumerate(_read_lines(path), start=1):
        cells = _decode(line, path, number).split("\t")
        if not names:
            names = [cell.strip() for cell in cells]
            for language in (source, target):
                if names.count(language) != 1:
                    raise UserError(
                        f"{path} line 1 must name the columns by language code, {language} among them; "
                        f"it reads: {_shorten(' | '.join(names))}"
                    )
        elif len(cells) != len(names):
            raise UserError(f"{path} line {number} has {len(cells)} columns, but line 1 names {len(names)}")
        else:
            yield cells[names.index(source)], cells[names.index(target)]


def _read_jsonl(path: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    """Yields the texts of both languages from the object in each line; blank lines are skipped."""
    for number, line in enumerate(_read_lines(path), start=1):
        text = _decode(line, path, number)
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: also an integer of thousands of digits
            raise UserError(f"{path} line {number} is not JSON: {error}") from None
        pair = row.get("translation", row) if isinstance(row, dict) else row
        if not isinstance(pair, dict):
            raise UserError(f'{path} line {number} is not an object like {{"{source}": "…", "{target}": "…"}}')
        yield _get_text(pair, source, path, number), _get_text(pair, target, path, number)


def _get_text(row: dict[str, Any], language: str, path: Path, number: int) -> str:
    """Returns the text of one language from the object in line `number`. Raises UserError if there is no such text."""
    if language not in row:
        raise UserError(f"{path} line {number} has no {language!r}: it has {_shorten(', '.join(row))}")
    text = row[language]
    if not isinstance(text, str):
        raise UserError(f"{path} line {number}: the value of {language!r} is not text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # JSON can spell half of a surrogate pair
        raise UserError(f"{path} line {number}: the value of {language!r} is not valid Unicode") from None
    return join_lines(text)


def join_lines(text: str) -> str:
    """Replaces line ends by spaces, because a sentence is one line in every file that is read or written."""
    return text.replace("\r\n", " ").replace("\n", " ")


def _shorten(text: str) -> str:
    return repr(text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + "…")


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """Opens a file, which is decompressed if its name ends with .gz.

    Raises:
        UserError: the file cannot be opened, or reading it fails inside the block; also if its compression is damaged.
    """
    with reading(path):
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                yield file
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise UserError(f"{path} is not a complete gzip file") from None


def _read_lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a file without their ends.

    Raises:
        UserError: the file cannot be read, or its compression is damaged.
    """
    with _open(path) as file:
        for number, line in enumerate(file, start=1):  # the lines of a binary file end with "\n" only
            if number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
                if not line:
                    continue
            yield line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line


def _read_blocks(path: Path) -> Iterator[bytes]:
    """Yields the content of a file in blocks of `BLOCK_BYTES`.

    Raises:
        UserError: the file cannot be read, or its compression is damaged.
    """
    with _open(path) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _decode(line: bytes, path: Path, number: int) -> str:
    """Decodes line `number` of a file. Raises UserError if it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} line {number} is not UTF-8: byte {line[error.start]:#04x} at position {error.start + 1}; "
            f"convert the file, for example with iconv"
        ) from None
