"""Reads and writes text line by line, for commands that give one output line for each input line.

An input line ends at a line feed and nowhere else. Memory holds one line at a time, of limited length.
"""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from nmt.cli.shell.line_warnings import LineWarnings
from nmt.data.file_format import HEAD_BYTES, describe_foreign_format
from nmt.errors import Failure, UserError
from nmt.files import atomic_write, describe_os_error, reading

MAX_LINE_BYTES = 2**20
"""Maximum bytes of a line that are read; the rest is skipped.

No model takes as many pieces. Without the limit a file without line feeds, or an endless stream, would have to fit into
memory as one line.
"""

STANDARD_INPUT = "-"
"""In place of the name of a file: standard input."""

JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Line separators that `json.dumps` does not escape."""


def open_file(path: str, *, key: str) -> io.BufferedReader:
    """Opens a file that the user has named by a key.

    Raises:
        UserError: the file cannot be read.
    """
    with reading(f"{key}={path}"):
        return Path(path).open("rb")


def open_input(path: str | None) -> AbstractContextManager[io.BufferedReader]:
    """Opens the file, or standard input if `path` is None.

    Raises:
        UserError: the file cannot be read, or the caller has closed standard input.
    """
    if path is not None:
        return open_file(path, key="input")
    if sys.stdin is None:
        raise UserError("standard input is closed: name a file with input=FILE")
    buffer: Any = sys.stdin.buffer
    # A caller may have replaced standard input by a stream without a buffer, such as a BytesIO.
    return nullcontext(buffer if isinstance(buffer, io.BufferedReader) else io.BufferedReader(buffer))


def open_file_or_input(path: str, *, key: str) -> AbstractContextManager[io.BufferedReader]:
    """Opens a file that the user has named by a key, or standard input for "-".

    Raises:
        UserError: the file cannot be read, or the caller has closed standard input.
    """
    return open_input(None) if path == STANDARD_INPUT else open_file(path, key=key)


def refuse_other_formats(source: io.BufferedReader, name: str) -> None:
    """Reads ahead, and raises UserError if the input is not text in UTF-8, but for example compressed or UTF-16."""
    with reading(name):
        head = source.peek(HEAD_BYTES)[:HEAD_BYTES]
    if description := describe_foreign_format(head):
        raise UserError(f"{name} is {description}")


def open_output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    """Opens the file, or standard output if `path` is None. The file appears under its name when it is complete.

    Raises:
        UserError: the caller has closed standard output.
    """
    if path is not None:
        return atomic_write(path)
    if sys.stdout is None:
        raise UserError("standard output is closed: name a file with output=FILE")
    return nullcontext(sys.stdout.buffer)


def read_lines(source: BinaryIO, warnings: LineWarnings, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[str]:
    """Yields the lines of a binary file without their ends.

    Only a line feed ends a line, as for `wc -l`; it may be missing after the last line. A carriage return before it is
    removed, and so is a byte order mark. Bytes that are not UTF-8 become U+FFFD, and lines longer than `max_bytes` are
    cut; both with a warning.
    """
    number = 0
    while True:
        # 1. Read one line, at most `max_bytes` of it.
        with reading("the input"):
            line = source.readline(max_bytes)
            num_skipped = 0 if line.endswith(b"\n") else skip_rest_of_line(source)
        if number == 0:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not line:
            return
        number += 1

        # 2. Remove its end and decode it; warn of what is lost.
        yield decode_with_warnings(line, number, warnings, num_skipped=num_skipped)


def read_pairs(
    first: BinaryIO,
    second: BinaryIO,
    warnings: tuple[LineWarnings, LineWarnings],
    *,
    names: tuple[str, str],
    max_bytes: int = MAX_LINE_BYTES,
) -> Iterator[tuple[str, str]]:
    """Yields line i of both files together. If one file has more lines, which are all blank, the other's are empty.

    Args:
        first: a file.
        second: a file with as many lines.
        warnings: about the lines of each file, see `read_lines`.
        names: of the files, for the message.
        max_bytes: of a line of the second file; the rest is skipped.

    Raises:
        UserError: one file has more lines, which are not all blank.
    """
    num_pairs = 0  # without those that only one file has
    sides = (read_lines(first, warnings[0]), read_lines(second, warnings[1], max_bytes=max_bytes))
    for number, (line, other) in enumerate(zip_longest(*sides), start=1):
        if line is not None and other is not None:
            num_pairs = number
        elif (line or other or "").strip():
            longer, shorter = names if other is None else names[::-1]
            num_lines = number + sum(1 for lines in sides for _ in lines)
            raise UserError(
                f"{longer} has {num_lines:,} lines, but {shorter} has {num_pairs:,}: line i of one must belong to "
                "line i of the other"
            )
        yield line or "", other or ""


def skip_rest_of_line(source: BinaryIO) -> int:
    """Reads up to the next line feed, and returns the number of bytes before it."""
    num_bytes = 0
    while chunk := source.readline(MAX_LINE_BYTES):
        num_bytes += len(chunk)
        if chunk.endswith(b"\n"):
            return num_bytes - 1
    return num_bytes


def decode_with_warnings(line: bytes, number: int, warnings: LineWarnings, *, num_skipped: int) -> str:
    """Removes the end of a line and decodes it. Warns if bytes behind it were skipped, or are not UTF-8."""
    if num_skipped:
        message = f"{len(line) + num_skipped:,} bytes, only the first {len(line):,} are read"
        warnings.add("were not read completely", number, message)
    content = line.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return decode_line(content, is_cut=num_skipped > 0, errors="strict")
    except UnicodeDecodeError as error:
        warnings.add("were not UTF-8", number, f"byte {error.start + 1} is not UTF-8 and was replaced")
        return decode_line(content, is_cut=num_skipped > 0, errors="replace")


def decode_line(line: bytes, *, is_cut: bool, errors: str) -> str:
    """Decodes UTF-8. A line that was cut in the middle of a character loses that character without an error."""
    return codecs.getincrementaldecoder("utf-8")(errors).decode(line, final=not is_cut)


def json_line(value: Any) -> str:
    """A JSON value as one line that contains no line separator."""
    return json.dumps(value, ensure_ascii=False).translate(JSON_ESCAPES)


def write_lines(lines: Iterable[str], target: BinaryIO, *, name: str, first: int = 0) -> None:
    """Writes each line as soon as it is translated; `first` lines have been written before.

    Raises:
        BrokenPipeError: the reader has closed the pipe, as `head` does.
        Failure: the system refuses to write for another reason; `name` says where.
    """
    for number, line in enumerate(lines, start=first):
        data = line.encode("utf-8", errors="replace") + b"\n"
        try:
            target.write(data)
            target.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failure(f"{name} cannot be written after {number:,} lines: {describe_os_error(error)}") from error
