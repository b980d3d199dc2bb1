"""Generates docs/results/pretraining.md from run folders, as the last step of scripts/pretraining.sh.

    python scripts/pretraining_table.py runs/pretraining docs/results

The runs are runs/pretraining/START-seedN and, of translation, runs/pretraining/PAIRS/START-seedN. All figures come from
the run folders, and the prose from pretraining.md.j2 beside this script.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from nmt.errors import UserError
from nmt.evaluation.record import read_evaluation
from nmt.files import make_folder, write_text
from nmt.report.formatting import DASH
from nmt.report.seeds import mean_score
from nmt.run.history import read_history
from results_page import describe_programs, format_points, render

STARTS = {
    "none": "no pre-training",
    "masked": "masked pieces (encoder)",
    "denoising": "denoising (encoder and decoder)",
}
"""The kinds of pre-training in the order of the table, and what it calls them."""

SPLIT = "test_2016_flickr"


def collect_scores(folder: Path) -> dict[int, dict[str, list[float]]]:
    """BLEU of all evaluated runs: number of pairs → start → a figure for each seed.

    Raises:
        UserError: there are none.
    """
    scores: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob(f"*/*-seed*/evaluation/{SPLIT}.json")):
        run = path.parent.parent
        if run.parent.name.isdecimal():
            scores[int(run.parent.name)][run.name.split("-seed")[0]].append(read_evaluation(path).metrics.bleu.score)
    if not scores:
        raise UserError(f"{folder} has no evaluated run: call scripts/pretraining.sh")
    return dict(sorted(scores.items()))


def collect_losses(folder: Path) -> dict[str, list[float]]:
    """The lowest validation loss of each pre-training: start → a figure for each seed."""
    losses: dict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.glob("*-seed*/history.jsonl")):
        best = read_history(path).best_validation
        if best is not None and best.loss is not None:
            losses[path.parent.name.split("-seed")[0]].append(best.loss)
    return losses


def format_scores(values: list[float] | None, decimals: int = 1) -> str:
    """A mean with its deviation over the seeds, such as 25.1 ± 0.4."""
    return format_points(mean_score(values), decimals) if values else DASH


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/pretraining_table.py RUNS OUT")
    runs, out = map(Path, sys.argv[1:])
    try:
        scores = collect_scores(runs)
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    values = {
        "scores": scores,
        "losses": collect_losses(runs),
        "starts": {start: text for start, text in STARTS.items() if any(start in row for row in scores.values())},
        "programs": describe_programs(runs.glob("*/*-seed*")),
    }
    write_text(out / "pretraining.md", render("pretraining.md.j2", values, format_scores))
    print(f"wrote {out / 'pretraining.md'}", file=sys.stderr)


if __name__ == "__main__":
    main()
