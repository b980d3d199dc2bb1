"""From a system to an export that the other program has verified."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Protocol

import msgspec

from nmt.errors import Failure, UserError
from nmt.export.system import System
from nmt.export.verification import Engine, OwnTranslations, Verification, translate_lines, verify
from nmt.files import make_folder, reading, write_json, writing
from nmt.models.attention import largest_window
from nmt.run.model_hash import hash_model
from nmt.translator import sanitize

RECORD_FILE = "export.json"
"""Says from which run a model was exported, and how it was verified."""


class Format(Protocol):
    """How a system is written for one program.

    Attributes:
        name: as `format=` names it.
        packages: that writing and verifying need; the first one is the program that verifies.
        shares_length_penalty: whether the program ranks hypotheses as ours does, so that no penalty is approximated.
    """

    name: str
    packages: tuple[str, ...]
    shares_length_penalty: bool

    def check(self, system: System) -> None:
        """Raises UserError if the format cannot express the system."""
        ...

    def write(self, system: System, own: OwnTranslations, folder: Path) -> None:
        """Writes the model, and what belongs to it, into an empty folder."""
        ...

    def open(self, system: System, folder: Path) -> Engine:
        """Opens what `write` has written with the other program."""
        ...

    def publish(self, folder: Path, out: Path) -> None:
        """Moves the verified folder to its final path, which does not exist."""
        ...


class ExportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The content of export.json.

    Attributes:
        format: of the export.
        program: that verified it, with its version.
        run, step, model_hash: which weights were exported.
        source, target: codes of the languages.
        beam_size: of the run's search.
        exponent: the length penalty of other programs that is closest to the run's; an approximation.
        mean_length: of the translations for which it is closest, in tokens.
        max_source_pieces: maximum number of pieces of a line, without the end of the sentence.
        tag: the tag of source lines; None for no tag.
    """

    format: str
    program: str
    run: str
    step: int
    model_hash: str
    source: str
    target: str
    beam_size: int
    exponent: float
    mean_length: float
    max_source_pieces: int
    tag: str | None
    verification: Verification


def export_system(exporter: Format, system: System, lines: Sequence[str], out: Path) -> ExportRecord:
    """Exports a system, and verifies the export on some lines; no file is left behind unless it is right.

    Args:
        exporter: of the format.
        lines: to verify with; those without words, and those that are too long for the model, are left out. With sparse
            attention, a line of several blocks is added.
        out: the path of the export, which must not exist.

    Raises:
        UserError: the format cannot express the system, or no line is left to verify with.
        Failure: the other program does not translate as we do, the run has changed in the meantime, or the system
            refuses to write.
    """
    exporter.check(system)
    max_pieces = system.translator.max_length - 1
    lines = list(map(sanitize, lines))
    encoded = zip(lines, system.tokenizer.encode_source(lines), strict=True)
    usable = [line for line, ids in encoded if 0 < len(ids) <= max_pieces]
    if not usable:
        raise UserError("there is no line to verify the export with: name another split, or more sentences")
    if window := largest_window(system.model):
        usable.append(join_lines(system, usable, 2 * window))
    with temporary_folder(out) as folder:  # before the work, in case there cannot be one
        own = translate_lines(system, usable)
        exporter.write(system, own, folder)
        verification = verify(system, exporter.open(system, folder), own)
        if hash_model(system.run) != system.model_hash:
            raise Failure(f"the best model of {system.run.path} has changed during the export: call the command again")
        program = exporter.packages[0]
        record = ExportRecord(
            format=exporter.name,
            program=f"{program} {import_module(program).__version__}",
            run=system.run.name,
            step=system.step,
            model_hash=system.model_hash,
            source=system.source,
            target=system.target,
            beam_size=system.search.beam_size,
            exponent=own.exponent,
            mean_length=own.mean_length,
            max_source_pieces=max_pieces,
            tag=system.tokenizer.source_tag,
            verification=verification,
        )
        write_json(folder / RECORD_FILE, msgspec.to_builtins(record))
        exporter.publish(folder, out)
    return record


def join_lines(system: System, lines: Sequence[str], num_pieces: int) -> str:
    """The beginning of a text of these lines, in turn: more than `num_pieces` pieces if the model takes so many."""
    text = lines[0]
    for line in itertools.cycle([*lines[1:], lines[0]]):
        longer = f"{text} {line}"
        length, longer_length = map(len, system.tokenizer.encode_source([text, longer]))
        if length > num_pieces or longer_length >= system.translator.max_length:
            break
        text = longer
    return text


def check_out(out: Path) -> None:
    """Raises UserError if something with this name exists already."""
    with reading(f"out={out}"):
        if out.exists():
            raise UserError(f"out={out} exists already: name another path")


@contextmanager
def temporary_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, which is removed at the end of the block unless it was moved away.

    Raises:
        UserError: the folder of `out` does not exist and cannot, or the user may not write there.
    """
    make_folder(out.absolute().parent)
    with writing(out):
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name[:40]}.", suffix=".partial", dir=out.absolute().parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_folder(folder: Path, out: Path) -> None:
    """Gives a folder its final path, and the permissions that a new folder has."""
    umask = os.umask(0)  # the only way to read the mask is to set it
    os.umask(umask)
    with writing(out):
        folder.chmod(0o777 & ~umask)
        folder.rename(out)
