"""Reads a text file as a stream of lines: plain or compressed with gzip, in UTF-8, with line ends LF or CRLF.

A line ends with "\\n" or "\\r\\n" and with nothing else: the other line separators of Unicode stay inside the line, as
do form feeds and single carriage returns. A byte order mark at the start of a file is dropped. `describe_repairs`
reports such corrections. A file of another encoding or format is refused (`nmt.data.file_format`).
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from nmt.data.file_format import HEAD_BYTES, describe_foreign_format
from nmt.errors import UserError
from nmt.files import reading

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

BLOCK_BYTES = 2**20
"""Number of bytes that are read at a time when line ends are counted."""


def read_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file without their ends; the first one is line 1 of error messages.

    Raises:
        UserError: the file cannot be read, its compression is damaged, or it is not text in UTF-8; the message names
            the line.
    """
    with _open(path) as file:
        for number, line in enumerate(file, start=1):  # the lines of a binary file end with "\n" only
            if number == 1:
                line = line.removeprefix(BYTE_ORDER_MARK)
                if not line:
                    continue
            if line.endswith(b"\n"):
                line = line.removesuffix(b"\n").removesuffix(b"\r")
            yield _decode(line, path, number)


def read_text(path: Path) -> str:
    """Returns the whole text of a file, line ends unchanged. Raises UserError as `read_lines`."""
    with _open(path) as file:
        content = file.read().removeprefix(BYTE_ORDER_MARK)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        line = content.split(b"\n")[number - 1]
        return _decode(line, path, number)  # raises the error that names the line


def describe_repairs(path: Path) -> str | None:
    """Describes what reading a file corrects: a byte order mark, CRLF line ends. None if nothing.

    Raises:
        UserError: the file cannot be read.
    """
    if path.suffix == ".parquet":  # not a text file
        return None
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


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Opens a text file, which is decompressed if its name ends with .gz.

    Raises:
        UserError: the file cannot be opened, or reading it fails inside the block; also if its compression is damaged,
            or it is not text in UTF-8 by its first bytes.
    """
    with reading(path):
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                if description := describe_foreign_format(file.peek(HEAD_BYTES)[:HEAD_BYTES]):
                    raise UserError(f"{path} is {description}")
                yield cast(BinaryIO, file)
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise UserError(f"{path} is not a complete gzip file") from None


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
