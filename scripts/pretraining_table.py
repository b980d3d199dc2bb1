"""Generates docs/results/pretraining.md and pretraining.json from run folders, as the last step of pretraining.sh.

    python scripts/pretraining_table.py runs/pretraining docs/results

The runs are runs/pretraining/START-seedN and, of translation, runs/pretraining/PAIRS/START-seedN. All figures come from
the run folders, and the prose from pretraining.md.j2 beside this script. Runs that pretraining.json holds already, and
that the folder lacks, stay in both.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from nmt.errors import UserError
from nmt.evaluation.record import read_evaluation
from nmt.files import make_folder, write_json, write_text
from nmt.report.record import MeanScore
from nmt.report.seeds import mean_score
from nmt.run.history import read_history
from results_page import Record, describe_training, format_points, group_by_seed, join_runs, list_programs, render

STARTS = {
    "none": "no pre-training",
    "masked": "masked pieces (encoder)",
    "denoising": "denoising (encoder and decoder)",
}
"""The kinds of pre-training in the order of the table, and what it calls them."""

SPLIT = "test_2016_flickr"


def collect(folder: Path, path: Path) -> dict[str, Record]:
    """The runs in a folder, and those of the record at `path` that it lacks, by name such as 1000/masked-seed1.

    Of a translation system the record holds BLEU, of a pre-training the lowest validation loss.

    Raises:
        UserError: no translation system was evaluated, or seeds have other settings.
    """
    found: dict[str, Record] = {}
    for evaluation in folder.glob(f"*/*-seed*/evaluation/{SPLIT}.json"):
        run = evaluation.parents[1]
        bleu = read_evaluation(evaluation).metrics.bleu.score
        found[f"{run.parent.name}/{run.name}"] = {"bleu": round(bleu, 4), **describe_training(run)}
    for history in folder.glob("*-seed*/history.jsonl"):
        run, best = history.parent, read_history(history).best_validation
        if best is not None and best.loss is not None and not run.name.startswith("none-"):
            found[run.name] = {"loss": round(best.loss, 4), **describe_training(run)}
    runs = join_runs(found, path)
    if not any("bleu" in run for run in runs.values()):
        raise UserError(f"{folder} has no evaluated run: call scripts/pretraining.sh")
    return runs


def render_page(runs: dict[str, Record]) -> str:
    """The content of pretraining.md."""
    scores: dict[int, dict[str, MeanScore]] = defaultdict(dict)  # number of pairs → start → BLEU
    losses: dict[str, MeanScore] = {}
    groups = group_by_seed(runs)
    for name, seeds in groups.items():
        pairs, _, start = name.rpartition("/")
        if pairs:
            scores[int(pairs)][start] = mean_score([run["bleu"] for run in seeds])
        else:
            losses[start] = mean_score([run["loss"] for run in seeds])
    values = {
        "scores": dict(sorted(scores.items())),
        "losses": losses,
        "starts": {start: text for start, text in STARTS.items() if any(start in row for row in scores.values())},
        "num_seeds": max(map(len, groups.values())),
        "programs": list_programs(runs),
    }
    return render("pretraining.md.j2", values, format_points)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/pretraining_table.py RUNS OUT")
    folder, out = map(Path, sys.argv[1:])
    try:
        runs = collect(folder, out / "pretraining.json")
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    write_json(out / "pretraining.json", {"runs": runs})
    write_text(out / "pretraining.md", render_page(runs))
    print(f"wrote {out / 'pretraining.md'} and pretraining.json", file=sys.stderr)


if __name__ == "__main__":
    main()
