"""Generates docs/results/ablation.md from run folders, as the last step of scripts/ablation.sh.

    python scripts/ablation_table.py runs/ablation docs/results

The runs are runs/ablation/SYSTEM/IDEA-seedN; those of the idea "recipe" have no change. What an idea changes is read
from the configurations of the runs, and the prose comes from ablation.md.j2 beside this script.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import jinja2
import yaml

from nmt.errors import UserError
from nmt.files import make_folder, write_text
from nmt.report.formatting import format_mean
from nmt.report.record import MeanScore
from nmt.report.seeds import IGNORED_SETTINGS, mean_score
from nmt.run.environment import read_environments
from nmt.run.history import read_history

SCRIPTS = Path(__file__).parent
RECIPE = "recipe"
"""The idea that changes nothing."""


@dataclass(frozen=True)
class Row:
    """An idea in the table.

    Attributes:
        changes: the settings in which it differs from the recipe, such as "trainer.simcut=3".
        bleu: the best BLEU on val, over the seeds.
        chrf: of the same validations.
        gain: BLEU minus that of the recipe.
        epochs: of each training.
    """

    changes: list[str]
    bleu: MeanScore
    chrf: MeanScore
    gain: float
    epochs: int


def collect(folder: Path) -> dict[str, list[Row]]:
    """The ideas of each system, the best one first.

    Raises:
        UserError: there is no run, a run is not complete, or the recipe itself is missing.
    """
    systems: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*/*-seed*/config.yaml")):
        systems[path.parents[1].name][path.parent.name.rsplit("-seed", 1)[0]].append(path.parent)
    if not systems:
        raise UserError(f"{folder} has no runs: call scripts/ablation.sh")
    for system, ideas in systems.items():
        if RECIPE not in ideas:
            raise UserError(f"{folder / system} has no run of the recipe itself: add {system}/{RECIPE} to IDEAS")
    return {system: make_rows(ideas) for system, ideas in sorted(systems.items(), reverse=True)}


def make_rows(ideas: dict[str, list[Path]]) -> list[Row]:
    """The rows of a system, from the run folders of each idea."""
    base = flatten_config(ideas[RECIPE][0])
    scores = {idea: [best_scores(run) for run in runs] for idea, runs in ideas.items()}
    base_bleu = fmean(bleu for bleu, _, _ in scores[RECIPE])
    rows = []
    for idea, runs in ideas.items():
        config = flatten_config(runs[0])
        bleu = mean_score([bleu for bleu, _, _ in scores[idea]])
        rows.append(
            Row(
                changes=[f"{key}={config[key]}" for key in config if config[key] != base.get(key)],
                bleu=bleu,
                chrf=mean_score([chrf for _, chrf, _ in scores[idea]]),
                gain=bleu.mean - base_bleu,
                epochs=scores[idea][0][2],
            )
        )
    return sorted(rows, key=lambda row: -row.gain)


def best_scores(run: Path) -> tuple[float, float, int]:
    """BLEU and chrF of the best validation of a run, and its number of epochs.

    Raises:
        UserError: the run has not ended.
    """
    history = read_history(run / "history.jsonl")
    best = history.best_validation
    if history.end is None or best is None or best.bleu is None or best.chrf is None:
        raise UserError(f"{run} is not complete: call scripts/ablation.sh again")
    return best.bleu, best.chrf, history.epochs or 0


def flatten_config(run: Path) -> dict[str, str]:
    """The settings of a run that change its result, by their full names such as "trainer.simcut"."""

    def walk(value: object, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, child in value.items():
                yield from walk(child, f"{name}.{key}" if name else key)
        else:
            yield name, str(value)

    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    return dict(walk({key: value for key, value in config.items() if key not in IGNORED_SETTINGS}, ""))


def describe_programs(folder: Path) -> list[str]:
    """The programs and machines that trained the runs."""
    environments = [each for path in folder.glob("*/*-seed*") for each in read_environments(path)]
    return sorted({f"{each.program}, torch {each.torch}; {each.device}" for each in environments})


def format_points(score: MeanScore) -> str:
    """A mean with its deviation, such as 41.02 ± 0.31."""
    return format_mean(score, lambda value: "–" if value is None else f"{value:.2f}")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/ablation_table.py RUNS OUT")
    runs, out = map(Path, sys.argv[1:])
    try:
        systems = collect(runs)
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SCRIPTS),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(format_points=format_points)
    page = environment.get_template("ablation.md.j2").render(systems=systems, programs=describe_programs(runs))
    write_text(out / "ablation.md", page)
    print(f"wrote {out / 'ablation.md'}", file=sys.stderr)


if __name__ == "__main__":
    main()
