"""`nmt align`: links the words of sentence pairs, line by line.

Each pair of input lines gives exactly one output line, in order, whatever it contains. Warnings about single lines are
printed to standard error. Memory holds only the pairs of one batch.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.alignment.aligner import Aligner, WordAlignment
from nmt.alignment.choice import find_choice
from nmt.alignment.extraction import METHODS, ROWS, Extraction, Method
from nmt.checks import check_sizes
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.line_streams import (
    json_line,
    open_file,
    open_output,
    read_pairs,
    refuse_other_formats,
    write_lines,
)
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import CorpusChanges, load_corpus
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.model_hash import hash_model
from nmt.run.registry import language_pair
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translator

PROGRAM = "nmt align"

MEAN = "mean"
"""Instead of a number: the mean over all layers and heads, or over the heads of a layer."""

METHOD_OF_TWO_RUNS: Method = "grow-diag-final-and"
"""How two runs are combined: the best method on the built-in corpus (docs/results/alignment.md). The choice on
validation data is not used, because it is the best method for a single run."""


class AlignSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/align.yaml, which describes each setting."""

    run: Path
    source: str
    target: str
    reverse: Path | None
    output: Path | None
    format: str
    method: str | None
    threshold: float | None
    layer: int | str | None
    head: int | str | None
    rows: str | None
    batch_size: int
    data: Component | CorpusChanges
    device: str
    threads: str

    def __post_init__(self) -> None:
        for key, value, choices in (
            ("format", self.format, ("pharaoh", "jsonl")),
            ("method", self.method, (*METHODS, None)),
            ("rows", self.rows, (*ROWS, None)),
        ):
            if value not in choices:
                names = ", ".join(name for name in choices if name is not None)
                raise UserError(f"{key}={value} is unknown: use one of {names}")
        for key, number in (("layer", self.layer), ("head", self.head)):
            if number not in (None, MEAN) and not (isinstance(number, int) and number >= 0):
                raise UserError(f"{key}={number} must be a whole number from 0, or {MEAN}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise UserError(f"threshold={self.threshold:g} must be a weight from 0 to 1")
        if self.head is not None and self.layer is None:
            raise UserError(f"head={self.head} needs a layer: add layer=")
        check_sizes(batch_size=self.batch_size)
        check_threads(self.threads)

    @property
    def leaves_choice(self) -> bool:
        """Whether these settings leave a part of the extraction to the choice on validation data."""
        return self.layer is None or self.rows is None or self.method is None

    def extraction(self, chosen: Extraction | None) -> Extraction:
        """The extraction that these settings ask for.

        Args:
            chosen: on validation data, for what the settings leave open; None if they leave nothing open.
        """
        values = {} if chosen is None else msgspec.structs.asdict(chosen)
        if self.layer is not None:
            values["layer"] = None if self.layer == MEAN else self.layer
            values["head"] = None if self.head == MEAN else self.head
        if self.rows is not None:
            values["rows"] = self.rows
        if self.method is not None:
            values |= {"method": self.method, "threshold": self.threshold}
        elif self.threshold is not None:
            raise UserError(f"threshold={self.threshold} needs method=threshold")
        elif self.reverse is not None:
            values |= {"method": METHOD_OF_TWO_RUNS, "threshold": None}
        return Extraction(**values)


def run(config: DictConfig) -> None:
    """Prints the links of each pair."""
    settings = to_settings(config, AlignSettings)
    folder = RunFolder.open(settings.run)
    reverse_folder = None if settings.reverse is None else RunFolder.open(settings.reverse, key="reverse")
    if reverse_folder is not None:
        check_direction(folder, reverse_folder)
    warnings = LineWarnings(PROGRAM)
    with open_file(settings.source, key="source") as source, open_file(settings.target, key="target") as target:
        for file, key, path in ((source, "source", settings.source), (target, "target", settings.target)):
            refuse_other_formats(file, f"{key}={path}")
        if settings.output is not None:
            prepare_output_file(settings.output, key="output")
        aligner = load_aligner(folder, settings, reverse_folder)
        sides = (LineWarnings(PROGRAM, text="source, "), LineWarnings(PROGRAM, text="target, "))
        pairs = read_pairs(source, target, sides, names=(settings.source, settings.target))
        with limit_threads(settings.threads, aligner.translator.model.device) as aligner.translator.before_batch:
            alignments = aligner.stream(pairs, batch_size=settings.batch_size, warn=warnings.add_cut_off)
            format_line = format_json if settings.format == "jsonl" else format_pharaoh
            name = "standard output" if settings.output is None else f"output={settings.output}"
            with open_output(settings.output) as output:
                write_lines(map(format_line, alignments), output, name=name)
    warnings.print_totals()


def check_direction(run: RunFolder, reverse: RunFolder) -> None:
    """Raises UserError unless `reverse` translates between the languages of `run` in the other direction."""
    pair, other = (language_pair(each.description("corpus")) for each in (run, reverse))
    if other != pair[::-1]:
        raise UserError(
            f"reverse={reverse.path} translates from {other[0]} to {other[1]}, and run={run.path} from {pair[0]} to "
            f"{pair[1]}: name a run from {pair[1]} to {pair[0]}"
        )


def load_aligner(folder: RunFolder, settings: AlignSettings, reverse: RunFolder | None) -> Aligner:
    """Loads the models, and finds out how links are read; see `find_choice` for what the settings leave open."""
    translator = Translator.load(folder, device=settings.device)
    chosen = None
    if settings.leaves_choice:
        chosen = find_choice(
            folder,
            translator,
            lambda: load_corpus(folder, settings.data),
            model_hash=hash_model(folder),
            remark=partial(print_message, PROGRAM),
        ).extraction
    backward = None
    if reverse is not None:
        backward = Aligner.load(reverse, device=settings.device, remark=partial(print_message, PROGRAM))
    return Aligner(translator, settings.extraction(chosen), reverse=backward)


def format_pharaoh(alignment: WordAlignment) -> str:
    """The links of a pair, such as "0-0 1-2"."""
    return alignment.pharaoh


def format_json(alignment: WordAlignment) -> str:
    """Words, links and soft weights of a pair as a JSON object."""
    return json_line(alignment.to_json())
