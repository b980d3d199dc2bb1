"""Generates docs/results/attention-zoo.md and attention-zoo.json from run folders, as the last step of scripts/zoo.sh.

    python scripts/zoo_table.py runs/zoo docs/results

The runs are runs/zoo/CORPUS/MECHANISM-seedN. All figures come from the run folders and from runs/zoo/costs.json, the
description of a mechanism from the first line of its experiment, and the prose from attention-zoo.md.j2 beside this
script. Runs that attention-zoo.json holds already, and that the folder lacks, stay in both.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import UserError
from nmt.evaluation.record import read_evaluation
from nmt.files import make_folder, write_json, write_text
from nmt.report.formatting import format_mean, format_number
from nmt.report.seeds import mean_score
from nmt.run.format import read_versioned
from nmt.run.registry import StoredModel
from results_page import SCRIPTS, Record, describe_training, group_by_seed, join_runs, list_programs, read_json, render

EXPERIMENTS = SCRIPTS.parent / "conf" / "experiment"
SPLITS = {"grammar": ("test", "test_long", "pronouns"), "multi30k": ("test_2016_flickr",)}
"""The splits of each corpus on which every run must be evaluated."""


def collect(folder: Path, path: Path) -> Record:
    """The content of attention-zoo.json: the runs in a folder, and those of the record at `path` that it lacks.

    Raises:
        UserError: there are no finished runs, or seeds of a mechanism have other settings.
    """
    runs = join_runs({name: read_run(folder / name, splits) for name, splits in find_runs(folder)}, path)
    if not runs:
        raise UserError(f"{folder} has no evaluated run in {' or '.join(SPLITS)}: call scripts/zoo.sh")
    costs = read_json(folder / "costs.json")
    known = read_json(path).get("costs", {})
    # Speeds of two machines cannot be compared, so costs are not joined: those of more mechanisms stay.
    return {"runs": runs, "costs": max(costs, known, key=len)}


def find_runs(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The runs that are evaluated on all splits of their corpus, such as grammar/luong-seed1, and these splits."""
    for corpus, splits in SPLITS.items():
        for path in sorted((folder / corpus).glob("*-seed*/model.json")):
            run = path.parent
            if all((run / "evaluation" / f"{split}.json").is_file() for split in splits):
                yield f"{corpus}/{run.name}", splits
            else:
                print(f"{run} is left out: it was not evaluated on {', '.join(splits)}", file=sys.stderr)


def read_run(run: Path, splits: tuple[str, ...]) -> Record:
    """What the record holds of a run."""
    scores: dict[str, float] = {}
    for split in splits:
        scores |= read_scores(run / "evaluation", split)
    return {
        "parameters": read_versioned(run / "model.json", StoredModel).parameters,
        "scores": {key: round(score, 4) for key, score in scores.items()},
        **describe_training(run),
    }


def summarize(record: Record) -> dict[str, Record]:
    """The rows of the page: name of a mechanism → its description, and corpus → parameters, seeds and mean scores.

    Raises:
        UserError: a mechanism has no experiment.
    """
    rows: dict[str, Record] = defaultdict(dict)
    for group, runs in group_by_seed(record["runs"]).items():
        corpus, name = group.split("/")
        rows[name][corpus] = {
            "parameters": runs[0]["parameters"],
            "seeds": len(runs),
            "scores": {key: mean_score([run["scores"][key] for run in runs]) for key in runs[0]["scores"]},
        }
    return {name: {"description": describe(name), **rows[name]} for name in sorted(rows, key=sort_key)}


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


def read_scores(folder: Path, split: str) -> dict[str, float]:
    """The figures of one run on one split, from its folder `evaluation`; words in percent of the references'."""
    evaluation = read_evaluation(folder / f"{split}.json")
    words, reference_words = (count_words(folder / f"{split}.{kind}.txt") for kind in ("hyp", "ref"))
    scores = {f"{split} bleu": evaluation.metrics.bleu.score, f"{split} words": 100 * words / reference_words}
    if evaluation.alignment is not None:
        scores[f"{split} alignment error"] = 100 * evaluation.alignment.error_rate
    if evaluation.pronouns is not None:
        scores[f"{split} pronouns"] = evaluation.pronouns.all.accuracy
    return scores


def count_words(path: Path) -> int:
    """The number of words in a file of sentences."""
    return len(path.read_text(encoding="utf-8").split())


def format_ratio(value: float, reference: float) -> str:
    """A figure divided by the Transformer's: 0.85."""
    return f"{value / reference:.2f}"


def render_page(record: Record) -> str:
    """The content of attention-zoo.md."""
    values = {
        "mechanisms": summarize(record),
        "costs": record["costs"],
        "programs": list_programs(record["runs"]),
    }
    return render("attention-zoo.md.j2", values, format_mean, format_number, format_ratio)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/zoo_table.py RUNS OUT")
    runs, out = map(Path, sys.argv[1:])
    try:
        record = collect(runs, out / "attention-zoo.json")
        page = render_page(record)
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    write_json(out / "attention-zoo.json", record)
    write_text(out / "attention-zoo.md", page)
    print(f"wrote {out / 'attention-zoo.md'} and attention-zoo.json", file=sys.stderr)


if __name__ == "__main__":
    main()
