"""`nmt translate`: lines in, lines out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from omegaconf import DictConfig

from nmt.cli.description import translator_of
from nmt.cli.errors import say
from nmt.files import make_folder, replacing
from nmt.run import RunFolder
from nmt.translator import Translation

BATCH_TOKENS = 4096
"""Most sentences × pieces of one batch: bounds the memory, whatever the lines are like."""


def run(config: DictConfig) -> None:
    """Translates as `config` (conf/translate.yaml) says."""
    if config.format not in ("text", "jsonl"):
        raise ValueError(f"format={config.format} is unknown: use text or jsonl")
    if config.format == "text" and (config.n_best != 1 or config.attention):
        raise ValueError("n_best and attention need format=jsonl: in text one line in is one line out")
    if config.batch_size < 1:
        raise ValueError(f"batch_size={config.batch_size} must be at least 1")
    folder = RunFolder.open(str(config.run))
    if config.output is not None:
        make_folder(Path(config.output).parent)
    translator, _ = translator_of(folder, config.search, device=config.device, batch_tokens=BATCH_TOKENS)
    by_hand = config.input is None and sys.stdin.isatty()
    with (
        nullcontext(sys.stdin.buffer) if config.input is None else Path(config.input).open("rb") as source,
        nullcontext(sys.stdout.buffer) if config.output is None else replacing(Path(config.output)) as target,
    ):
        results = translator.stream(
            read_lines(source, prompt="> " if by_hand else ""),
            n_best=config.n_best,
            batch_size=1 if by_hand else config.batch_size,
            need_attention=config.attention,
            warn=lambda number, message: say("nmt translate", f"line {number + 1}: {message}"),
        )
        for translations in results:
            line = (
                translations[0].text
                if config.format == "text"
                else json.dumps(as_json(translations), ensure_ascii=False)
            )
            target.write(line.encode("utf-8", errors="replace") + b"\n")
            target.flush()


def read_lines(source: BinaryIO, *, prompt: str) -> Iterator[str]:
    """The lines of a binary file without their ends: only a line feed ends one, as it does for `wc -l`.

    Bytes that are not UTF-8 become U+FFFD, and a line on standard error says so.
    """
    number = 0
    while True:
        if prompt:
            print(prompt, end="", file=sys.stderr, flush=True)
        line = source.readline()
        if not line:
            if prompt:
                print(file=sys.stderr)  # the shell's own prompt begins a new line
            return
        number += 1
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield text.decode("utf-8")
        except UnicodeDecodeError as error:
            say("nmt translate", f"line {number}: byte {error.start + 1} is not UTF-8; replaced")
            yield text.decode("utf-8", errors="replace")


def as_json(translations: list[Translation]) -> dict[str, Any]:
    """The best translation of a line, and the list of all that were asked for."""
    every = [_as_json(translation) for translation in translations]
    return {**every[0], "n_best": every} if len(every) > 1 else every[0]


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
