"""Generates docs/results/ablation.md from run folders, as the last step of scripts/ablation.sh.

    python scripts/ablation_table.py runs/ablation docs/results

The runs are runs/ablation/SYSTEM/METHOD-seedN; those of the method "recipe" have no change. What a method changes is
read from the configurations of the runs, and the prose comes from ablation.md.j2 beside this script.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from nmt.errors import UserError
from nmt.files import make_folder, write_text
from nmt.report.record import MeanScore
from nmt.report.seeds import mean_score
from nmt.run.history import read_history
from results_page import describe_programs, format_points, read_settings, render

RECIPE = "recipe"
"""The method that changes nothing."""


@dataclass(frozen=True)
class Row:
    """A method in the table.

    Attributes:
        changes: the settings in which it differs from the recipe, such as "trainer.simcut=3".
        bleu: the best BLEU on val, over the seeds.
        chrf: of the same validations.
        gain: BLEU minus that of the recipe.
        time: of the whole training, divided by the recipe's.
    """

    changes: list[str]
    bleu: MeanScore
    chrf: MeanScore
    gain: float
    time: float


def collect(folder: Path) -> dict[str, list[Row]]:
    """The methods of each system, the best one first.

    Raises:
        UserError: there is no run, a run is not complete, or runs cannot be compared.
    """
    systems: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*/*-seed*/config.yaml")):
        systems[path.parents[1].name][path.parent.name.rsplit("-seed", 1)[0]].append(path.parent)
    if not systems:
        raise UserError(f"{folder} has no runs: call scripts/ablation.sh")
    for system, methods in systems.items():
        if RECIPE not in methods:
            raise UserError(f"{folder / system} has no run of the recipe itself: add {system}/{RECIPE} to METHODS")
    return {system: make_rows(methods) for system, methods in sorted(systems.items(), reverse=True)}


def make_rows(methods: dict[str, list[Path]]) -> list[Row]:
    """The rows of a system, from the run folders of each method.

    Raises:
        UserError: the seeds of a method have different settings, or it was trained for longer than the recipe.
    """
    base = common_settings(methods[RECIPE])
    recipe = [read_result(run) for run in methods[RECIPE]]
    rows = []
    for runs in methods.values():
        settings, results = common_settings(runs), [read_result(run) for run in runs]
        changed = [key for key in settings if settings[key] != base.get(key)]
        if "trainer.max_epochs" in changed:
            raise UserError(
                f"{runs[0]} has another trainer.max_epochs than the recipe: use a folder of its own as RUNS"
            )
        bleu = mean_score([result.bleu for result in results])
        rows.append(
            Row(
                changes=[f"{key}={settings[key]}" for key in changed],
                bleu=bleu,
                chrf=mean_score([result.chrf for result in results]),
                gain=bleu.mean - fmean(result.bleu for result in recipe),
                time=fmean(result.seconds for result in results) / fmean(result.seconds for result in recipe),
            )
        )
    return sorted(rows, key=lambda row: -row.gain)


class Result(NamedTuple):
    """The best validation of a run, and how long its training took."""

    bleu: float
    chrf: float
    seconds: float


def read_result(run: Path) -> Result:
    """The result of a run.

    Raises:
        UserError: the run has not ended.
    """
    history = read_history(run / "history.jsonl")
    best = history.best_validation
    if not history.has_ended or best is None or best.bleu is None or best.chrf is None:
        raise UserError(f"{run} is not complete: call scripts/ablation.sh again")
    return Result(best.bleu, best.chrf, history.seconds or 0.0)


def common_settings(runs: Sequence[Path]) -> dict[str, str]:
    """The settings that all seeds of a method have in common, and that may change the result.

    Raises:
        UserError: they differ.
    """
    first, *others = map(read_settings, runs)
    if any(other != first for other in others):
        raise UserError(f"{', '.join(map(str, runs))} differ in more than their seeds: remove those that are old")
    return first


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/ablation_table.py RUNS OUT")
    runs, out = map(Path, sys.argv[1:])
    try:
        systems = collect(runs)
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    values = {"systems": systems, "programs": describe_programs(runs.glob("*/*-seed*"))}
    write_text(out / "ablation.md", render("ablation.md.j2", values, format_points))
    print(f"wrote {out / 'ablation.md'}", file=sys.stderr)


if __name__ == "__main__":
    main()
