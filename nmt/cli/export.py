"""`nmt export`: writes a trained system for another program, which then has to translate as ours does."""

from __future__ import annotations

from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.checks import check_sizes
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import CorpusChanges, asked_pair, load_corpus
from nmt.errors import UserError
from nmt.export.argos import ArgosFormat
from nmt.export.conversion import ExportRecord, Format, check_out, export_system
from nmt.export.ctranslate2 import CTranslate2Format
from nmt.export.huggingface import HuggingFaceFormat
from nmt.export.onnx import OnnxFormat
from nmt.export.system import System
from nmt.run import RunFolder
from nmt.threads import check_threads, limit_threads

PROGRAM = "nmt export"

FORMATS: dict[str, type[Format]] = {
    each.name: each for each in (CTranslate2Format, HuggingFaceFormat, ArgosFormat, OnnxFormat)
}
"""The values of `format=`."""


class ExportSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/export.yaml, which describes each setting."""

    run: Path
    format: str
    out: Path
    data: Component | CorpusChanges
    split: str
    sentences: int
    threads: str

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UserError(f"format={self.format} is unknown: use one of {', '.join(FORMATS)}")
        check_sizes(sentences=self.sentences)
        check_threads(self.threads)


def run(config: DictConfig) -> None:
    """Exports a run, and prints how the other program's translations agree with ours."""
    settings = to_settings(config, ExportSettings)
    folder = RunFolder.open(settings.run)
    check_out(settings.out)
    exporter = FORMATS[settings.format]()
    system = System.load(folder)
    exporter.check(system)  # before the corpus is read
    check_direction(system, settings.data)
    split = load_corpus(folder, settings.data).main.split(settings.split)
    lines = list(split[: settings.sentences]["source"])
    with limit_threads(settings.threads, system.model.device) as system.translator.before_batch:
        record = export_system(exporter, system, lines, settings.out)
    print_record(record)
    print_message(PROGRAM, f"wrote {settings.out}")


def check_direction(system: System, data: Component | CorpusChanges) -> None:
    """Raises UserError if the corpus is in another direction than that of the export, which is the run's own."""
    source, target = asked_pair(system.run, data)
    if (source, target) != (system.source, system.target):
        raise UserError(
            f"data.source={source} data.target={target}: run={system.run.path} is exported from {system.source} to "
            f"{system.target}; leave both out, or name data.source={system.source} data.target={system.target}"
        )


def print_record(record: ExportRecord) -> None:
    """Prints how both programs agree, one line for each comparison."""
    verification = record.verification
    for comparison in verification.comparisons:
        name = "greedy search" if comparison.beam_size == 1 else f"beam of {comparison.beam_size}"
        reasons = ", ".join(f"{reason} {count}" for reason, count in comparison.different.items())
        print(
            f"{name:<20}{comparison.same:5,} of {verification.lines:,} translations are the same"
            + (f"; why others differ: {reasons}" if reasons else "")
        )
    print(
        f"{'log-probabilities':<20}{verification.largest_difference:5.1e} nats is the largest difference, of "
        f"{verification.pieces:,} pieces"
    )
    approximated = [] if FORMATS[record.format].shares_length_penalty else verification.comparisons[1:]
    for comparison in approximated:
        print(
            f"{'length penalty':<20}{comparison.exponent:5.3f} there is closest to search.length_penalty="
            f"{comparison.length_penalty:g}"
        )
