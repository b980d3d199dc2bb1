"""`nmt translate`: lines in, lines out.

One line in is one line out, in order, whatever is in it: a line ends at a line feed and nowhere else, and what comes
out holds nothing else that any reader takes for the end of a line. What a line suffered is said on standard error.
No more is held in memory than the lines of one batch, each up to LONGEST_LINE.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from omegaconf import DictConfig

from nmt.cli.description import translator_of
from nmt.cli.shell.errors import say
from nmt.errors import Failure, UserError
from nmt.files import atomic_write, describe_os_error, make_folder
from nmt.run import RunFolder
from nmt.translator import Translation

LONGEST_LINE = 2**20
"""Bytes of a line that are read; the rest is passed over. No model takes as many pieces, and a file without line feeds,
or an endless stream, would else be one line in memory."""

MOST_REMARKS = 20
"""So many lines of a kind are remarked on one by one; more are only counted."""

SEPARATORS = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}
"""Line separators that JSON leaves as they are inside a text."""


class Remarks:
    """What is said about single lines on standard error: the first of each kind one by one, the rest as a number.

    A million lines that are all too long must not drown what else there is to say, nor fill a log.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, kind: str, number: int, message: str) -> None:
        """Says `message` about line `number`, from 1. `kind` ends the sentence "5 lines in all …"."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_REMARKS:
            say("nmt translate", f"line {number}: {message}")
        if self.counts[kind] == MOST_REMARKS:
            say("nmt translate", f"further lines that {kind} are only counted")

    def close(self) -> None:
        """Says the numbers of those that were only counted."""
        for kind, count in self.counts.items():
            if count > MOST_REMARKS:
                say("nmt translate", f"{count:,} lines in all {kind}")


def run(config: DictConfig) -> None:
    """Translates as `config` (conf/translate.yaml) says."""
    if config.format not in ("text", "jsonl"):
        raise UserError(f"format={config.format} is unknown: use text or jsonl")
    if config.format == "text" and (config.n_best != 1 or config.attention):
        raise UserError("n_best and attention need format=jsonl: in text one line in is one line out")
    if config.batch_size < 1:
        raise UserError(f"batch_size={config.batch_size} must be at least 1")
    folder = RunFolder.open(str(config.run))
    if config.output is not None:
        make_folder(Path(config.output).parent)
    translator, _ = translator_of(folder, config.search, device=config.device, batch_tokens=None)
    shape: Callable[[list[Translation]], str] = as_text if config.format == "text" else as_json
    remarks = Remarks()
    with opened_input(config.input) as source, opened_output(config.output) as target:
        by_hand = config.input is None and sys.stdin.isatty()
        results = translator.stream(
            read_lines(source, remarks, prompt="> " if by_hand else ""),
            n_best=config.n_best,
            batch_size=1 if by_hand else config.batch_size,
            need_attention=config.attention,
            warn=lambda number, message: remarks("were cut off", number + 1, message),
        )
        for number, translations in enumerate(results):
            line = shape(translations).encode("utf-8", errors="replace") + b"\n"
            try:
                target.write(line)
                target.flush()
            except BrokenPipeError:  # the reader has seen enough
                raise
            except OSError as error:
                name = "standard output" if config.output is None else f"output={config.output}"
                raise Failure(f"{name} cannot be written after {number:,} lines: {describe_os_error(error)}") from error
    remarks.close()


def opened_input(path: str | None) -> AbstractContextManager[BinaryIO]:
    """The file, or standard input. Raises ValueError where the caller closed that."""
    if path is not None:
        return Path(path).open("rb")
    if sys.stdin is None:
        raise UserError("standard input is closed: name a file with input=FILE")
    return nullcontext(sys.stdin.buffer)


def opened_output(path: str | None) -> AbstractContextManager[BinaryIO]:
    """The file, whole or not at all, or standard output. Raises ValueError where the caller closed that."""
    if path is not None:
        return atomic_write(Path(path))
    if sys.stdout is None:
        raise UserError("standard output is closed: name a file with output=FILE")
    return nullcontext(sys.stdout.buffer)


def read_lines(source: BinaryIO, remarks: Remarks, *, prompt: str) -> Iterator[str]:
    """The lines of a binary file without their ends: only a line feed ends one, as it does for `wc -l`, and the last
    one may lack it. A carriage return before it goes with it.

    Bytes that are not UTF-8 become U+FFFD, a line over LONGEST_LINE is cut, and a remark says so.
    """
    number = 0
    while True:
        if prompt:
            print(prompt, end="", file=sys.stderr, flush=True)
        line = source.readline(LONGEST_LINE)
        if not line:
            if prompt:
                print(file=sys.stderr)  # the shell's own prompt begins a new line
            return
        number += 1
        whole = line.endswith(b"\n") or not (passed := pass_over(source))
        if not whole:
            remarks("were not read whole", number, f"{len(line) + passed:,} bytes, only {len(line):,} are read")
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield decoded(text, whole=whole, errors="strict")
        except UnicodeDecodeError as error:
            remarks("were not UTF-8", number, f"byte {error.start + 1} is not UTF-8; replaced")
            yield decoded(text, whole=whole, errors="replace")


def pass_over(source: BinaryIO) -> int:
    """Reads up to the next line end; how many bytes, that end not counted."""
    passed = 0
    while piece := source.readline(LONGEST_LINE):
        passed += len(piece)
        if piece.endswith(b"\n"):
            return passed - 1
    return passed


def decoded(line: bytes, *, whole: bool, errors: str) -> str:
    """The text of UTF-8; of a line that is not whole, without the character in which it was cut."""
    return codecs.getincrementaldecoder("utf-8")(errors).decode(line, final=whole)


def as_text(translations: list[Translation]) -> str:
    """The best translation of a line."""
    return translations[0].text


def as_json(translations: list[Translation]) -> str:
    """A JSON object of the best translation of a line, with the list of all if several were asked for."""
    every = [_as_json(translation) for translation in translations]
    value = {**every[0], "n_best": every} if len(every) > 1 else every[0]
    return json.dumps(value, ensure_ascii=False).translate(SEPARATORS)


def _as_json(translation: Translation) -> dict[str, Any]:
    value: dict[str, Any] = {
        "text": translation.text,
        "score": translation.score,
        "log_probability": translation.log_probability,
        "source_tokens": translation.source_tokens,
        "target_tokens": translation.target_tokens,
    }
    alignment = translation.alignment()
    if alignment is not None:
        value["attention"] = alignment.tolist()
    return value
