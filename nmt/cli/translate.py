"""`nmt translate`: translates line by line.

Each input line gives exactly one output line, in order, whatever it contains. An input line ends at a line feed and
nowhere else; an output line contains no other character that a reader could take for a line end. Warnings about single
lines are printed to standard error. Memory holds only the lines of one batch, each up to MAX_LINE_BYTES.
"""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from omegaconf import DictConfig

from nmt.checks import check_sizes
from nmt.cli.shell.length_limit import TruncatedLines
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.cli.shell.missing_text import MissingText
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import SearchChanges, describe_search, load_translator
from nmt.data.file_format import HEAD_BYTES, describe_foreign_format
from nmt.errors import Failure, UserError
from nmt.files import atomic_write, describe_os_error, reading
from nmt.run import RunFolder
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translation

MAX_LINE_BYTES = 2**20
"""Maximum bytes of a line that are read; the rest is skipped.

No model takes as many pieces. Without the limit a file without line feeds, or an endless stream, would have to fit into
memory as one line.
"""

JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Line separators that `json.dumps` does not escape."""


class TranslateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/translate.yaml, which describes each setting."""

    run: Path
    input: str | None
    output: Path | None
    format: str
    n_best: int
    attention: bool
    copy: bool
    batch_size: int
    search: Component | SearchChanges
    device: str
    threads: str
    heads_off: list[str]

    def __post_init__(self) -> None:
        if self.format not in ("text", "jsonl"):
            raise UserError(f"format={self.format} is unknown: use text or jsonl")
        if self.format == "text" and (self.n_best != 1 or self.attention):
            raise UserError("n_best and attention need format=jsonl: text has one translation per line")
        check_sizes(batch_size=self.batch_size)
        check_threads(self.threads)


def run(config: DictConfig) -> None:
    """Translates the input line by line."""
    settings = to_settings(config, TranslateSettings)
    folder = RunFolder.open(settings.run)
    warnings = LineWarnings("nmt translate")
    with open_input(settings.input) as source:
        if settings.output is not None:
            prepare_output_file(settings.output, key="output")
        search = describe_search(folder, settings.search)
        translator = load_translator(
            folder, search, device=settings.device, batch_tokens=None, heads_off=settings.heads_off
        )
        as_json = partial(format_json, n_best=settings.n_best, need_attention=settings.attention)
        format_line = format_text if settings.format == "text" else as_json
        name = "standard output" if settings.output is None else f"output={settings.output}"

        def translate_lines(lines: Iterable[str], target: BinaryIO, *, first: int = 0) -> None:
            """Translates and writes lines; `first` is the index of the first one in the whole input."""
            truncated, missing = TruncatedLines(), MissingText()
            translations = translator.stream(
                lines,
                n_best=settings.n_best,
                batch_size=settings.batch_size,
                attention="cross" if settings.attention else (),
                copy=settings.copy,
                warn=lambda index, message: warnings.add_cut_off(first + index, message),
            )
            translations = missing.watch(truncated.watch(translations, first=first), first=first)
            translations = warn_of_missing(translations, settings.n_best, warnings, first=first)
            write_lines(map(format_line, translations), target, name=name, first=first)
            truncated.print_remark("nmt translate")
            missing.print_remark("nmt translate", copied=settings.copy)

        with limit_threads(settings.threads, translator.model.device) as translator.before_batch:
            if settings.input is None and sys.stdin.isatty():
                translate_interactively(translate_lines, warnings, settings.output)
            else:
                refuse_other_formats(source, "standard input" if settings.input is None else f"input={settings.input}")
                with open_output(settings.output) as target:
                    translate_lines(read_lines(source, warnings), target)
    warnings.print_totals()


def warn_of_missing(
    translations: Iterable[list[Translation]], n_best: int, warnings: LineWarnings, *, first: int
) -> Iterator[list[Translation]]:
    """Passes on the translations of each line, and warns of lines with words that have fewer than `n_best`.

    Args:
        first: the index of the first line in the whole input.
    """
    for number, found in enumerate(translations, start=first + 1):
        if len(found) < n_best and found[0].source_tokens:
            kind = "have fewer translations than n_best"
            warnings.add(kind, number, f"only {len(found)} of {n_best} different translations were found")
        yield found


def translate_interactively(translate_lines: Callable[..., None], warnings: LineWarnings, output: Path | None) -> None:
    """Translates each line that the user types on the terminal, until Ctrl-D."""
    from nmt.cli.translation.interactive import converse, terminal_as_standard_output  # not needed in a pipe

    numbers = count(1)
    with open_output(output) as file, terminal_as_standard_output() as standard_output:
        target = file if output is not None else standard_output

        def answer(content: bytes) -> None:
            number = next(numbers)
            num_skipped = max(0, len(content) - MAX_LINE_BYTES)
            line = decode_with_warnings(content[:MAX_LINE_BYTES], number, warnings, num_skipped=num_skipped)
            translate_lines([line], target, first=number - 1)

        converse(answer)


def open_input(path: str | None) -> AbstractContextManager[io.BufferedReader]:
    """Opens the file, or standard input if `path` is None.

    Raises:
        UserError: the file cannot be read, or the caller has closed standard input.
    """
    if path is not None:
        with reading(f"input={path}"):
            return Path(path).open("rb")
    if sys.stdin is None:
        raise UserError("standard input is closed: name a file with input=FILE")
    buffer: Any = sys.stdin.buffer
    # A caller may have replaced standard input by a stream without a buffer, such as a BytesIO.
    return nullcontext(buffer if isinstance(buffer, io.BufferedReader) else io.BufferedReader(buffer))


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


def read_lines(source: BinaryIO, warnings: LineWarnings) -> Iterator[str]:
    """Yields the lines of a binary file without their ends.

    Only a line feed ends a line, as for `wc -l`; it may be missing after the last line. A carriage return before it is
    removed. Bytes that are not UTF-8 become U+FFFD, and lines longer than MAX_LINE_BYTES are cut; both with a warning.
    """
    number = 0
    while True:
        # 1. Read one line, at most MAX_LINE_BYTES of it.
        with reading("the input"):
            line = source.readline(MAX_LINE_BYTES)
            num_skipped = 0 if line.endswith(b"\n") else skip_rest_of_line(source)
        if not line:
            return
        number += 1

        # 2. Remove its end and decode it; warn of what is lost.
        yield decode_with_warnings(line, number, warnings, num_skipped=num_skipped)


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


def format_text(translations: list[Translation]) -> str:
    """The best translation of a line."""
    return translations[0].text


def format_json(translations: list[Translation], *, n_best: int, need_attention: bool) -> str:
    """A JSON object with the best translation of a line; with the list `n_best` if several were requested.

    Every line gets the same keys, also one without words, whose only translation is empty.
    """
    values = [_json_value(translation, need_attention=need_attention) for translation in translations]
    value = {**values[0], "n_best": values} if n_best > 1 else values[0]
    return json.dumps(value, ensure_ascii=False).translate(JSON_ESCAPES)


def _json_value(translation: Translation, *, need_attention: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "text": translation.text,
        "score": translation.score,
        "log_probability": translation.log_probability,
        "source_tokens": translation.source_tokens,
        "target_tokens": translation.target_tokens,
        "missing": [fragment.text for fragment in translation.missing],
    }
    if need_attention:
        alignment = translation.alignment()
        is_empty = not translation.target_tokens  # a matrix of 0 rows; null means a model without attention
        value["attention"] = [] if is_empty else alignment if alignment is None else alignment.tolist()
    return value


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
