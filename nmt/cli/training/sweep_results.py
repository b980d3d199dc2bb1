"""The results of several trainings: a table of the runs of `-m`, and the score that a sweeper improves."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

from omegaconf import DictConfig

from nmt.cli.compare import print_table
from nmt.cli.shell.configuration import plain_values
from nmt.cli.shell.settings import expand_home
from nmt.cli.shell.sweep import SweepRun
from nmt.errors import UserError
from nmt.report.formatting import DASH
from nmt.report.tables import Cell, Table
from nmt.run import RunFolder
from nmt.run.history import HistoryRecord, read_history

FIGURES = {"BLEU": ("bleu", ".2f"), "chrF": ("chrf", ".2f"), "loss": ("loss", ".4f"), "step": ("step", "d")}
"""Column → field of the best validation, and its format."""


def score(config: DictConfig) -> float | None:
    """The measure that selected a run's best weights, `trainer.select`; the loss is negated, so that higher is better.

    None for a run without validation.
    """
    best = _best_validation(config)
    return None if best is None else _score(best)


def check_score(config: DictConfig) -> None:
    """Raises UserError if a run will have no score."""
    if config.validation_split is None:
        raise UserError("hydra/sweeper chooses by validation, but validation_split=null has none: name a split")


def print_results(runs: Sequence[tuple[SweepRun, DictConfig]]) -> None:
    """Prints a table of runs to standard output, best first: the values in which they differ, and their validation.

    Of several processes of torchrun, only the first prints it.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    validations = [_best_validation(config) for _, config in runs]
    keys = list(dict.fromkeys(key for run, _ in runs for key in run.swept))
    order = sorted(range(len(runs)), key=lambda index: _rank(validations[index]), reverse=True)
    rows = []
    for index in order:
        (run, config), best = runs[index], validations[index]
        values = [run.swept.get(key, DASH) for key in keys]
        figures = [_format(best, *figure) for figure in FIGURES.values()]
        rows.append([Cell(text) for text in (*values, *figures, str(plain_values(config)["run"]))])
    print_table(Table([*keys, *FIGURES, "run"], rows))


def _best_validation(config: DictConfig) -> HistoryRecord | None:
    """The validation whose weights a run has kept; None if there is none, or the run has failed."""
    folder = RunFolder(expand_home(str(plain_values(config)["run"])))
    try:
        return read_history(folder.history).best_validation
    except UserError:  # there is no history, or it is damaged
        return None


def _score(best: HistoryRecord) -> float:
    """The measure that selected the weights, the higher the better."""
    value = None if best.selected_by is None else getattr(best, best.selected_by)
    if value is None:
        return -math.inf
    return -float(value) if best.selected_by == "loss" else float(value)


def _rank(best: HistoryRecord | None) -> tuple[float, float]:
    """Orders runs: the score, and after it the loss, which breaks ties; runs without validation come last."""
    if best is None:
        return -math.inf, -math.inf
    return _score(best), -math.inf if best.loss is None else -best.loss


def _format(best: HistoryRecord | None, field: str, form: str) -> str:
    value = None if best is None else getattr(best, field)
    return DASH if value is None else f"{value:{form}}"
