"""Generates docs/results/attention-zoo.md and attention-zoo.json from run folders, as the last step of scripts/zoo.sh.

    python scripts/zoo_table.py runs/zoo docs/results

The runs are runs/zoo/CORPUS/MECHANISM-seedN. All figures come from the run folders and from runs/zoo/costs.json, the
description of a mechanism from the first line of its experiment, and the prose from attention-zoo.md.j2 beside this
script.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.evaluation.record import Evaluation, read_evaluation
from nmt.files import make_folder, write_json, write_text
from nmt.report.formatting import DASH, format_mean, format_number
from nmt.report.record import MeanScore
from nmt.report.seeds import mean_score
from nmt.run.format import read_versioned
from nmt.run.registry import StoredModel
from results_page import SCRIPTS, describe_programs, render

EXPERIMENTS = SCRIPTS.parent / "conf" / "experiment"
SPLITS = {"grammar": ("test", "test_long", "pronouns"), "multi30k": ("test_2016_flickr",)}
"""The splits of each corpus on which every run must be evaluated."""

Record = dict[str, Any]


def collect(folder: Path) -> Record:
    """The content of attention-zoo.json.

    Raises:
        UserError: there are no finished runs, or one has no experiment.
    """
    mechanisms: dict[str, Record] = {}
    used: list[Path] = []
    for corpus, splits in SPLITS.items():
        scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for path in sorted((folder / corpus).glob("*-seed*/model.json")):
            run, name = path.parent, path.parent.name.split("-seed")[0]
            files = {split: run / "evaluation" / f"{split}.json" for split in splits}
            if not all(file.is_file() for file in files.values()):
                print(f"{run} is left out: it was not evaluated on {', '.join(splits)}", file=sys.stderr)
                continue
            for split, file in files.items():
                for key, value in read_scores(read_evaluation(file), split).items():
                    scores[name][key].append(value)
            if name not in mechanisms:
                model = read_versioned(path, StoredModel)
                mechanisms[name] = {"description": describe(name), "class": model.class_name}
            mechanisms[name].setdefault("parameters", {})[corpus] = read_versioned(path, StoredModel).parameters
            used.append(run)
        for name, values in scores.items():
            mechanisms[name][corpus] = {
                "seeds": max(map(len, values.values())),
                "scores": {key: summarize(value) for key, value in values.items()},
            }
    if not mechanisms:
        raise UserError(f"{folder} has no evaluated run in {' or '.join(SPLITS)}: call scripts/zoo.sh")
    costs = folder / "costs.json"
    return {
        "mechanisms": {name: mechanisms[name] for name in sorted(mechanisms, key=sort_key)},
        "costs": json.loads(costs.read_text(encoding="utf-8")) if costs.is_file() else {},
        "programs": describe_programs(used),
    }


def sort_key(name: str) -> tuple[int, str]:
    """The systems without variation come first, then the variants by name."""
    plain = ("lstm", "bahdanau", "luong", "transformer")
    return (plain.index(name) if name in plain else len(plain), name)


def describe(name: str) -> str:
    """What a mechanism is: the first line of its experiment, after the line that Hydra needs."""
    path = EXPERIMENTS / f"zoo_{name}.yaml"
    if not path.is_file():
        raise UserError(f"{path} is missing, but there are runs of {name}: the folder is for scripts/zoo.sh alone")
    return path.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ").removesuffix(".")


def read_scores(evaluation: Evaluation, split: str) -> dict[str, float]:
    """The figures of one run on one split."""
    scores = {f"{split} bleu": evaluation.metrics.bleu.score}
    if evaluation.alignment is not None:
        scores[f"{split} alignment error"] = 100 * evaluation.alignment.error_rate
    if evaluation.pronouns is not None:
        scores[f"{split} pronouns"] = evaluation.pronouns.all.accuracy
    return scores


def summarize(values: list[float]) -> Record:
    """Mean and sample standard deviation, which a single value has not."""
    score = mean_score(values)
    return {"mean": round(score.mean, 3), "deviation": None if score.deviation is None else round(score.deviation, 3)}


def format_summary(score: Record | None) -> str:
    """A mean with its deviation, such as 95.1 ± 0.4."""
    return DASH if score is None else format_mean(MeanScore(score["mean"], score["deviation"]))


def format_ratio(value: float, reference: float) -> str:
    """A figure divided by the Transformer's: 0.85."""
    return f"{value / reference:.2f}"


def render_page(record: Record) -> str:
    """The content of attention-zoo.md."""
    return render("attention-zoo.md.j2", record, format_summary, format_number, format_ratio)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/zoo_table.py RUNS OUT")
    runs, out = map(Path, sys.argv[1:])
    try:
        record = collect(runs)
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    write_json(out / "attention-zoo.json", record)
    write_text(out / "attention-zoo.md", render_page(record))
    print(f"wrote {out / 'attention-zoo.md'} and attention-zoo.json", file=sys.stderr)


if __name__ == "__main__":
    main()
