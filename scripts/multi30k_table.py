"""Generates docs/results/multi30k.md and multi30k.json from run folders, as the last step of scripts/reproduce.sh.

    python scripts/multi30k_table.py runs/multi30k docs/results val test_2016_flickr test_2017_flickr

The runs are all folders in the first folder that were evaluated on all these splits. Those that differ in nothing but
the seed are one system. All figures come from the run folders, and the prose around them from multi30k.md.j2 beside
this script. The table of the README is printed, and belongs there word for word.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from nmt.errors import UserError
from nmt.files import make_folder, write_json, write_text
from nmt.report.formatting import DASH, format_duration, format_mean, format_number, format_parameters
from nmt.report.record import MeanScore
from nmt.report.runs import METRIC_KEYS, EvaluatedRun, read_runs
from nmt.report.seeds import SEED_SUFFIX, find_seed, group_seeds
from nmt.run.environment import read_environments

SCRIPTS = Path(__file__).parent
RECIPES = SCRIPTS.parent / "conf" / "experiment"
ORDER = ("lstm", "bahdanau", "luong", "transformer")
"""The systems that have a recipe, in the order of the tables; others follow by name."""

Record = dict[str, Any]


def collect(folder: Path, splits: list[str]) -> Record:
    """The content of multi30k.json.

    Raises:
        UserError: no run was evaluated on all splits, or runs cannot be compared.
    """
    # 1. Find the runs, and group them by system.
    folders = sorted(path.parent for path in folder.glob("*/model.json"))
    evaluated = [run for run in folders if all((run / "evaluation" / f"{split}.json").is_file() for split in splits)]
    for run in sorted(set(folders) - set(evaluated)):
        print(f"{run} is left out: it was not evaluated on {', '.join(splits)}", file=sys.stderr)
    runs = {split: {run.name: run for run in read_runs(evaluated, split=split)} for split in splits}
    groups = {split: group_seeds(list(runs[split].values())) for split in splits}
    names = {group.systems[0]: SEED_SUFFIX.sub("", group.name) for group in groups[splits[0]]}
    for i, (run, name) in enumerate(names.items()):
        if name in list(names.values())[:i]:
            raise UserError(f"{folder}: {run} has other settings than the other seeds of {name}: give it another name")

    # 2. Collect the figures.
    systems = []
    for group in groups[splits[0]]:
        name, members = (
            names[group.systems[0]],
            [{split: runs[split][run] for split in splits} for run in group.systems],
        )
        means = {split: next(each for each in groups[split] if each.systems == group.systems) for split in splits}
        model = members[0][splits[0]].model
        systems.append(
            {
                "system": name,
                "recipe": f"multi30k_{name}" if (RECIPES / f"multi30k_{name}.yaml").is_file() else None,
                "class": model.class_name,
                "parameters": model.parameters,
                "scores": {split: round_means(means[split].scores) for split in splits},
                "runs": [describe_run(run) for run in members],
            }
        )
    places = {name: place for place, name in enumerate(ORDER)}
    systems.sort(key=lambda system: (places.get(system["system"], len(ORDER)), system["system"]))
    first = {split: next(iter(runs[split].values())).evaluation for split in splits}
    return {
        "source": first[splits[0]].source,
        "target": first[splits[0]].target,
        "sentences": {split: first[split].sentences for split in splits},
        "signatures": {key: find_signature(key, runs) for key in METRIC_KEYS},
        "systems": systems,
    }


def describe_run(evaluated: dict[str, EvaluatedRun]) -> Record:
    """The figures of one run, from its evaluation on each split."""
    run = next(iter(evaluated.values()))
    history = run.history
    return {
        "run": run.name,
        "seed": find_seed(run.config),
        "best_step": run.evaluation.step,
        "steps": history.steps,
        "epochs": history.epochs,
        "training_seconds": round(history.seconds or 0),
        "target_tokens_per_second": round(history.tokens_per_second or 0),
        "ended_by": history.end.reason if history.end else None,
        "scores": {
            split: {key: round(getattr(each.metrics, key).score, 4) for key in METRIC_KEYS}
            for split, each in evaluated.items()
        },
        "decoded_sentences_per_second": {
            split: round(each.evaluation.sentences_per_second, 1) for split, each in evaluated.items()
        },
        "decoded_on": f"{run.evaluation.device}, threads: {run.evaluation.threads}",
        "environments": msgspec.to_builtins(read_environments(run.folder)),
    }


def round_means(scores: dict[str, MeanScore]) -> Record:
    """The mean and the deviation of each metric."""
    return {
        key: {
            "mean": round(scores[key].mean, 4),
            "deviation": None if scores[key].deviation is None else round(scores[key].deviation, 4),
        }
        for key in METRIC_KEYS
    }


def find_signature(metric: str, runs: dict[str, dict[str, EvaluatedRun]]) -> Record:
    """The name and the signature of a metric.

    Raises:
        UserError: it differs between evaluations.
    """
    signatures = {getattr(run.metrics, metric).signature for split in runs.values() for run in split.values()}
    if len(signatures) > 1:
        raise UserError(f"{metric} was computed in different ways: {', '.join(sorted(signatures))}; evaluate again")
    run = next(iter(next(iter(runs.values())).values()))
    return {"name": getattr(run.metrics, metric).name, "signature": signatures.pop()}


def format_points(score: Record, decimals: int = 2) -> str:
    """A mean with its deviation, such as 41.02 ± 0.31."""
    mean = MeanScore(score["mean"], score["deviation"])
    return format_mean(mean, lambda value: DASH if value is None else f"{value:.{decimals}f}")


def render_page(record: Record) -> str:
    """The content of multi30k.md."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SCRIPTS),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (format_points, format_duration, format_number, format_parameters):
        environment.filters[function.__name__] = function
    return environment.get_template("multi30k.md.j2").render(record)


def render_readme_table(record: Record) -> str:
    """The table of the README: BLEU of each system."""
    splits = list(record["sentences"])
    lines = ["| BLEU | " + " | ".join(splits) + " | seeds |", "| --- |" + " ---: |" * (len(splits) + 1)]
    for system in record["systems"]:
        scores = [format_points(system["scores"][split]["bleu"], decimals=1) for split in splits]
        lines.append(f"| `{system['system']}` | {' | '.join(scores)} | {len(system['runs'])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) < 4:
        sys.exit("usage: python scripts/multi30k_table.py RUNS OUT SPLIT…")
    runs, out, splits = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    try:
        record = collect(runs, splits)
        make_folder(out)
    except UserError as error:
        sys.exit(str(error))
    write_json(out / "multi30k.json", record)
    write_text(out / "multi30k.md", render_page(record))
    print(render_readme_table(record), end="")
    print(f"wrote {out / 'multi30k.md'} and multi30k.json; the table above belongs into the README", file=sys.stderr)


if __name__ == "__main__":
    main()
