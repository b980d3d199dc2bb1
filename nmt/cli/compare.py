"""`nmt compare`: every system side by side."""

from __future__ import annotations

from pathlib import Path

import rich.box
import rich.table
from omegaconf import DictConfig, ListConfig
from rich.console import Console
from rich.text import Text

from nmt.cli.evaluate import evaluate_run
from nmt.cli.shell.errors import say
from nmt.errors import UserError
from nmt.files import reading
from nmt.report.comparison import compare, summary
from nmt.report.tables import Table, quality_table
from nmt.run import RunFolder


def run(config: DictConfig) -> None:
    """Compares as `config` (conf/compare.yaml) says, and prints the table of scores."""
    if not isinstance(config.runs, ListConfig):
        raise UserError(f"runs={config.runs} must be a list of run folders, such as runs=[runs/a,runs/b]")
    folders = [RunFolder.open(str(path)) for path in config.runs]
    for folder in folders:
        with reading(f"split={config.split}"):
            is_evaluated = (folder.path / "evaluation" / f"{config.split}.json").is_file()
        if not is_evaluated:
            say("nmt compare", f"evaluating {folder.path} on {config.split}")
            evaluate_run(folder, config)
    out = Path(str(config.out))
    report = compare([folder.path for folder in folders], split=config.split, out=out)
    print_table(quality_table(report))
    print(summary(report))
    say("nmt compare", f"wrote {out / 'report.html'}, report.md and report.json")


def print_table(table: Table) -> None:
    """Writes the table to standard output, each column's best in bold on a terminal."""
    shown = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if place else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell.text, style="bold" if cell.best else "") for cell in row))
    Console(highlight=False).print(shown)
