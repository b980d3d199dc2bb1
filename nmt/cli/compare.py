"""`nmt compare`: trained systems side by side."""

from __future__ import annotations

from pathlib import Path

import msgspec
import rich.box
import rich.table
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from nmt.cli.evaluate import evaluate_run
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import CorpusChanges, SearchChanges, load_metrics
from nmt.errors import UserError
from nmt.evaluation.record import read_evaluation
from nmt.files import reading
from nmt.report.comparison import compare, summarize
from nmt.report.tables import Table, quality_table
from nmt.run import RunFolder


class CompareSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/compare.yaml, which describes each setting."""

    runs: list[Path] | str
    split: str
    out: Path
    bleu_tokenizer: str | None
    data: Component | CorpusChanges
    search: Component | SearchChanges
    device: str
    batch_tokens: int | None

    def __post_init__(self) -> None:
        if not isinstance(self.runs, list) or not self.runs:
            raise UserError(f"runs={self.runs} must be a list of run folders, such as runs=[runs/a,runs/b]")


def run(config: DictConfig) -> None:
    """Evaluates the runs that have not been evaluated on the split, writes the report, and prints the scores."""
    settings = to_settings(config, CompareSettings)
    folders = [RunFolder.open(path) for path in settings.runs]
    # All systems are scored with the same tokenizer: the one that was asked for, or else the baseline's.
    metrics = load_metrics(folders[0], settings.bleu_tokenizer)
    for folder in folders:
        if not is_evaluated(folder, split=settings.split, bleu_tokenizer=metrics.bleu_tokenizer):
            print_message("nmt compare", f"evaluating {folder.path} on {settings.split}")
            evaluate_run(
                folder,
                split=settings.split,
                bleu_tokenizer=metrics.bleu_tokenizer,
                data=settings.data,
                search=settings.search,
                device=settings.device,
                batch_tokens=settings.batch_tokens,
            )
    report = compare([folder.path for folder in folders], split=settings.split, out=settings.out)
    print_table(quality_table(report))
    print(summarize(report))
    print_message("nmt compare", f"wrote {settings.out / 'report.html'}, report.md and report.json")


def is_evaluated(folder: RunFolder, *, split: str, bleu_tokenizer: str) -> bool:
    """Whether a run has been evaluated on a split with this tokenizer for BLEU.

    Raises:
        UserError: the evaluation is damaged.
    """
    path = folder.path / "evaluation" / f"{split}.json"
    with reading(f"split={split}"):  # a split may be no file name, such as one that is too long
        return path.is_file() and read_evaluation(path).bleu_tokenizer == bleu_tokenizer


def print_table(table: Table) -> None:
    """Prints a table to standard output; on a terminal the best value of each column is bold."""
    printed = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(table.columns):
        printed.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in table.rows:
        printed.add_row(*(Text(cell.text, style="bold" if cell.is_best else "") for cell in row))
    Console(highlight=False).print(printed)
