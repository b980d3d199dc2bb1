"""Generates docs/results/multi30k.md and multi30k.json from run folders, as the last step of scripts/reproduce.sh.

    python scripts/multi30k_table.py runs/multi30k docs/results val test_2016_flickr test_2017_flickr

The runs are all folders in the first folder that were evaluated on all these splits. Those that differ in nothing but
the seed are one system. Ensembles have a table of their own. All figures come from the run folders, and the prose
around them from multi30k.md.j2 beside this script. The table of the README is printed, and belongs there word for word.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec

from nmt.errors import UserError
from nmt.files import make_folder, write_json, write_text
from nmt.report.formatting import format_duration, format_number, format_parameters
from nmt.report.record import MeanScore
from nmt.report.runs import METRIC_KEYS, EvaluatedRun, read_runs
from nmt.report.seeds import SEED_SUFFIX, find_seed, group_seeds, mean_score
from nmt.run import RunFolder
from nmt.run.ensemble import EnsembleFolder, StoredEnsemble
from nmt.run.environment import read_environments
from nmt.run.folder import ENSEMBLE_FILE
from nmt.run.format import read_versioned
from nmt.run.model_hash import hash_model
from results_page import SCRIPTS, format_points, render

RECIPES = SCRIPTS.parent / "conf" / "experiment"
ORDER = ("lstm", "bahdanau", "luong", "transformer", "transformer_rdrop")
"""The systems that have a recipe, in the order of the tables; others follow by name."""

Record = dict[str, Any]


def collect(folder: Path, splits: list[str]) -> Record:
    """The content of multi30k.json.

    Raises:
        UserError: no run was evaluated on all splits, or runs cannot be compared.
    """
    # 1. Find the runs, and group them by system.
    folders = sorted(path.parent for file in ("model.json", ENSEMBLE_FILE) for path in folder.glob(f"*/{file}"))
    evaluated = [run for run in folders if all((run / "evaluation" / f"{split}.json").is_file() for split in splits)]
    for run in sorted(set(folders) - set(evaluated)):
        print(f"{run} is left out: it was not evaluated on {', '.join(splits)}", file=sys.stderr)
    runs = {split: {run.name: run for run in read_runs(evaluated, split=split)} for split in splits}
    ensembles = [name for name, run in runs[splits[0]].items() if run.num_runs > 1]
    groups = group_seeds([run for name, run in runs[splits[0]].items() if name not in ensembles])
    names = [SEED_SUFFIX.sub("", group.name) for group in groups]
    for i, name in enumerate(names):
        if name in names[:i]:
            other = groups[i].systems[0]
            raise UserError(
                f"{folder}: {other} has other settings than the other seeds of {name}: give it another name"
            )

    # 2. Collect the figures.
    everything = [run for split in splits for run in runs[split].values()]
    metrics = [key for key in METRIC_KEYS if all(getattr(run.metrics, key) is not None for run in everything)]
    systems: list[Record] = []
    for name, group in zip(names, groups, strict=True):
        members = [{split: runs[split][run] for split in splits} for run in group.systems]
        model = members[0][splits[0]].model
        systems.append(
            {
                "system": name,
                "recipe": f"multi30k_{name}" if (RECIPES / f"multi30k_{name}.yaml").is_file() else None,
                "class": model.class_name,
                "parameters": model.parameters,
                "scores": {
                    split: {key: average(key, [member[split] for member in members]) for key in metrics}
                    for split in splits
                },
                "runs": [describe_run(member, metrics) for member in members],
            }
        )
    order = {name: index for index, name in enumerate(ORDER)}
    systems.sort(key=lambda system: (order.get(system["system"], len(ORDER)), system["system"]))
    first = everything[0].evaluation
    return {
        "source": first.source,
        "target": first.target,
        "sentences": {split: next(iter(runs[split].values())).evaluation.sentences for split in splits},
        "signatures": {key: find_signature(key, everything) for key in metrics},
        "systems": systems,
        "ensembles": [describe_ensemble({split: runs[split][name] for split in splits}, metrics) for name in ensembles],
    }


def describe_run(evaluated: dict[str, EvaluatedRun], metrics: list[str]) -> Record:
    """The figures of one run, from its evaluation on each split.

    Raises:
        UserError: see `check_translations`.
    """
    check_translations(evaluated)
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
        "scores": round_scores(evaluated, metrics),
        "decoded_sentences_per_second": {
            split: round(each.evaluation.sentences_per_second, 1) for split, each in evaluated.items()
        },
        "decoded_on": f"{run.evaluation.device}, threads: {run.evaluation.threads}",
        "environments": msgspec.to_builtins(read_environments(run.path)),
    }


def describe_ensemble(evaluated: dict[str, EvaluatedRun], metrics: list[str]) -> Record:
    """The figures of an ensemble, from its evaluation on each split.

    Raises:
        UserError: see `check_translations`.
    """
    check_translations(evaluated)
    run = next(iter(evaluated.values()))
    return {
        "ensemble": run.name,
        "members": [member.name for member in find_members(run)],
        "parameters": run.model.parameters,
        "scores": round_scores(evaluated, metrics),
    }


def check_translations(evaluated: dict[str, EvaluatedRun]) -> None:
    """Refuses the evaluations of a run, one for each split, that do not belong together.

    Raises:
        UserError: the splits were translated by different weights or searches, or by others than those in the folder.
    """
    run = next(iter(evaluated.values()))
    translated_by = [(each.evaluation.model_hash, each.evaluation.search) for each in evaluated.values()]
    if any(each != translated_by[0] for each in translated_by):
        raise UserError(f"{run.path} has changed between its evaluations: evaluate it on {', '.join(evaluated)} again")
    members = find_members(run)
    if any(not member.best.is_file() for member in members):
        return  # the folder was copied without weights
    folder = members[0] if run.num_runs == 1 else EnsembleFolder(members, run.path)
    if hash_model(folder) != run.evaluation.model_hash:
        raise UserError(f"{run.path} has changed since its evaluations: evaluate it on {', '.join(evaluated)} again")


def find_members(run: EvaluatedRun) -> list[RunFolder]:
    """The run folder, or those of an ensemble's members, which need not exist."""
    if run.num_runs == 1:
        return [RunFolder(run.path)]
    return [RunFolder(run.path / member) for member in read_versioned(run.path / ENSEMBLE_FILE, StoredEnsemble).runs]


def round_scores(evaluated: dict[str, EvaluatedRun], metrics: list[str]) -> Record:
    """The metrics of each split, with 4 decimals."""
    return {
        split: {key: round(getattr(each.metrics, key).score, 4) for key in metrics} for split, each in evaluated.items()
    }


def average(metric: str, runs: list[EvaluatedRun]) -> Record:
    """The mean and the deviation of a metric over the seeds of a system."""
    score = mean_score([getattr(run.metrics, metric).score for run in runs])
    return {"mean": round(score.mean, 4), "deviation": None if score.deviation is None else round(score.deviation, 4)}


def find_signature(metric: str, runs: list[EvaluatedRun]) -> Record:
    """The name and the signature of a metric.

    Raises:
        UserError: it differs between evaluations.
    """
    found = [getattr(run.metrics, metric) for run in runs]
    signatures = sorted({each.signature for each in found})
    if len(signatures) > 1:
        raise UserError(f"{metric} was computed in different ways: {', '.join(signatures)}; evaluate again")
    return {"name": found[0].name, "signature": signatures[0]}


def format_stored(score: Record, decimals: int = 2) -> str:
    """A mean of the record with its deviation, such as 41.02 ± 0.31."""
    return format_points(MeanScore(score["mean"], score["deviation"]), decimals)


def render_page(record: Record) -> str:
    """The content of multi30k.md."""
    return render("multi30k.md.j2", record, format_stored, format_duration, format_number, format_parameters)


def render_readme_table(record: Record) -> str:
    """The table of the README: BLEU of each system."""
    splits = list(record["sentences"])
    lines = ["| BLEU | " + " | ".join(splits) + " | seeds |", "| --- |" + " ---: |" * (len(splits) + 1)]
    for system in record["systems"]:
        scores = [format_stored(system["scores"][split]["bleu"], decimals=1) for split in splits]
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
