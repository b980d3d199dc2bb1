"""`nmt compare`: trained systems side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import rich.box
import rich.cells
import rich.table
from omegaconf import DictConfig
from rich.text import Text

from nmt.cli.shell.errors import print_message
from nmt.cli.shell.planned_evaluation import EvaluationRequest, PlannedEvaluation, plan_evaluation
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import CorpusChanges, SearchChanges, load_metrics
from nmt.console import ResultConsole
from nmt.errors import UserError
from nmt.evaluation.sentence_file import read_sentences
from nmt.files import reading
from nmt.report.comparison import check_report_folder, compare, summarize
from nmt.report.names import check_given_names, name_systems
from nmt.report.tables import Table, quality_table, seed_table
from nmt.run import RunFolder, open_run
from nmt.threads import check_threads

PROGRAM = "nmt compare"


class CompareSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/compare.yaml, which describes each setting."""

    runs: list[Path] | str
    names: list[str] | None
    split: str
    out: Path
    bleu_tokenizer: str | None
    references: list[Path]
    data: Component | CorpusChanges
    search: Component | SearchChanges
    device: str
    threads: str
    batch_tokens: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.runs, list) or not self.runs:
            raise UserError(f"runs={self.runs} must be a list of run folders, such as runs=[runs/a,runs/b]")
        if self.names is not None:
            check_given_names(self.names, len(self.runs))
        check_threads(self.threads)


def run(config: DictConfig) -> None:
    """Evaluates the runs whose stored evaluation is missing or outdated, writes the report, and prints the scores."""
    settings = to_settings(config, CompareSettings)
    # An address of the hub becomes the folder with that run; a file with translations stays what it is.
    systems = [path if is_translations(path) else open_run(path, key="runs") for path in map(Path, settings.runs)]
    folders = [system for system in systems if isinstance(system, RunFolder)]
    if not folders:
        raise UserError("runs names files of translations only: add a run, whose sentences they translate")
    check_report_folder(settings.out)
    paths = [system.path if isinstance(system, RunFolder) else system for system in systems]
    name_systems(paths)  # refuses a run that is listed twice
    # All systems are scored with the same tokenizer: the one that was asked for, or else that of the first run.
    tokenizer = load_metrics(folders[0], settings.bleu_tokenizer).bleu_tokenizer
    request = EvaluationRequest(
        split=settings.split,
        bleu_tokenizer=tokenizer,
        references=settings.references,
        data=settings.data,
        search=settings.search,
        may_lack_text=True,
    )
    # First find out what there is to do, so that a mistake ends the command before the first run is evaluated.
    plans = [plan_evaluation(folder, request) for folder in folders]
    for plan in plans[1:]:
        check_same_text(plans[0], plan)
    for system in systems:
        if isinstance(system, Path):
            read_sentences(system, num_sentences=plans[0].num_sentences, split=settings.split)
    for plan in plans:
        complete(plan, settings)
    report = compare(
        paths,
        names=settings.names,
        split=settings.split,
        out=settings.out,
        direction="-".join(plans[0].language_pair),
    )
    print_table(quality_table(report))
    if (seeds := seed_table(report)) is not None:
        print_table(seeds.transposed)  # many columns, but few systems
    print(summarize(report))
    for note in report.notes:
        print_message(PROGRAM, note)
    print_message(PROGRAM, f"wrote {settings.out / 'report.html'}, report.md and report.json")


def is_translations(path: Path) -> bool:
    """Whether a path of `runs` is a file with the translations of another program, not a run folder."""
    with reading(f"runs={path}"):  # a path may be too long, or have other characters than a path can have
        return path.is_file()


def complete(plan: PlannedEvaluation, settings: CompareSettings) -> None:
    """Evaluates a run, unless its stored evaluation still holds, and prints what is noteworthy about it."""
    if plan.stored is not None:
        plan.print_cut_lines(PROGRAM)
        for reason in plan.reasons:
            print_message(PROGRAM, f"{plan.run.path}: {reason}")
        return
    if plan.reasons:
        plan.print_reasons(PROGRAM)
    else:
        print_message(PROGRAM, f"evaluating {plan.run.path} on {settings.split}")
    plan.carry_out(PROGRAM, device=settings.device, threads=settings.threads, batch_tokens=settings.batch_tokens)


def check_same_text(first: PlannedEvaluation, other: PlannedEvaluation) -> None:
    """Raises UserError unless two evaluations are about the same languages and the same sentences."""
    for side, a, b in zip(("source", "target"), first.language_pair, other.language_pair, strict=True):
        if a != b:
            raise UserError(
                f"{first.run.path} and {other.run.path} have different {side} languages, {a} and {b}: "
                "compare runs of one direction"
            )
    if first.text_hash != other.text_hash:
        raise UserError(
            f"{first.run.path} and {other.run.path} have different text for {first.split}: "
            "select one corpus for all runs, such as data.path=my-text"
        )


def print_table(table: Table) -> None:
    """Prints a table and an empty line to standard output; on a terminal the best value of each column is bold.

    Where the terminal is too narrow, headings are broken between words; lines may still be longer than the terminal.
    """
    console = ResultConsole()
    headings = table.columns
    if _width(headings, table) > console.width:
        headings = [heading.replace(" ", "\n") for heading in headings]
    printed = rich.table.Table(box=rich.box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for index, heading in enumerate(headings):
        printed.add_column(Text(heading), justify="right" if index else "left", no_wrap=True)
    for row in table.rows:
        printed.add_row(*(Text(cell.text, style="bold" if cell.is_best else "") for cell in row))
    console.width = max(_width(headings, table), console.width)
    console.print(printed)
    console.print()


def _width(headings: Sequence[str], table: Table) -> int:
    """The width of a table in characters, with two spaces between its columns."""
    columns = [[*heading.split("\n"), *(row[i].text for row in table.rows)] for i, heading in enumerate(headings)]
    return sum(max(map(rich.cells.cell_len, lines)) + 2 for lines in columns)
