"""Several runs side by side, as a page to read (report.html), to paste (report.md) and to compute with (report.json).

Everything is read from the run folders: no model is loaded and nothing is translated again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.evaluation.significance import NUM_RESAMPLES, SEED, paired_bootstrap
from nmt.files import make_folder, write_json, write_text
from nmt.report.alignment import HeatMap, heat_map
from nmt.report.chart import Chart, line_chart
from nmt.report.curves import learning_curves
from nmt.report.page import points, probability, render, search, signed, words
from nmt.report.runs import METRIC_KEYS, EvaluatedRun, read_runs
from nmt.report.tables import MEANINGS, Report, cost_table, length_table, quality_table, significance_table
from nmt.run.format import FORMAT


def compare(runs: Sequence[Path], *, split: str, out: Path, baseline: str | None = None) -> Report:
    """Compares evaluated runs and writes report.html, report.md and report.json into the folder `out`.

    Args:
        runs: run folders, each with an evaluation of `split`; the order of the report.
        split: the split to compare on.
        out: a folder, made if need be; an older report in it is replaced.
        baseline: the run that the others are tested against, by its folder or its name in the report;
            the first where None.

    Returns:
        the value of report.json: see `build_report`.

    Raises:
        ValueError: a run is missing, incomplete, listed twice, not evaluated on `split` or evaluated on other
            references than the first; `baseline` is none of the runs; `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: out= names the folder for the report")
    evaluated = read_runs(runs, split=split)
    report = build_report(evaluated, split=split, baseline=_baseline(evaluated, baseline))
    contents: dict[str, Any] = {
        "report": report,
        "summary": summary(report),
        "quality": quality_table(report),
        "significance": significance_table(report),
        "lengths": length_table(report),
        "cost": cost_table(report),
        "meanings": MEANINGS,
        "signatures": _signatures(report),
    }
    page = render(
        "comparison.html.j2",
        **contents,
        length_chart=_length_chart(report),
        curves=learning_curves({run.name: run.history for run in evaluated}),
        matrices=_matrices(evaluated, report),
    )
    make_folder(out)
    write_text(out / "report.html", page)
    write_text(out / "report.md", render("comparison.md.j2", **contents))
    write_json(out / "report.json", report)
    return report


def build_report(runs: Sequence[EvaluatedRun], *, split: str, baseline: str) -> Report:
    """Every figure of the comparison as plain JSON values; the attention weights stay in the run folders.

    Raises:
        ValueError: the BLEU that a run's evaluation states is not the BLEU of the hypotheses beside it.
    """
    tested = paired_bootstrap({run.name: run.hypotheses for run in runs}, runs[0].references, baseline=baseline)
    systems = []
    for run in runs:
        stated, found = run.evaluation["metrics"]["bleu"]["score"], tested[run.name].bleu
        if abs(stated - found) > 0.05:
            raise UserError(
                f"{run.folder}: evaluation/{split}.json says BLEU {stated:.2f}, but {split}.hyp.txt scores "
                f"{found:.2f}: call `nmt evaluate run={run.folder} split={split}` again"
            )
        systems.append({**_system(run), "significance": dataclasses.asdict(tested[run.name])})
    first = runs[0].evaluation
    return {
        "format": FORMAT,
        "split": split,
        "source": first["source"],
        "target": first["target"],
        "sentences": first["sentences"],
        "baseline": baseline,
        "bootstrap": {"resamples": NUM_RESAMPLES, "seed": SEED},
        "systems": systems,
        "notes": _notes(systems),
        "samples": _samples(runs),
    }


def summary(report: Report) -> str:
    """The outcome in a sentence."""
    best = max(report["systems"], key=lambda system: float(system["metrics"]["bleu"]["score"]))
    bleu = f"{best['name']} has the highest BLEU, {points(best['metrics']['bleu']['score'])}"
    if len(report["systems"]) == 1:
        return f"{best['name']} reaches BLEU {points(best['metrics']['bleu']['score'])}."
    if best["name"] == report["baseline"]:
        return f"{bleu}: no system is above the baseline."
    figures = best["significance"]
    p_value = probability(figures["p_value"])
    chance = f"p\N{NO-BREAK SPACE}{p_value}" if p_value.startswith("<") else f"p = {p_value}"
    return f"{bleu}: {signed(figures['difference'])} against the baseline {report['baseline']} ({chance})."


def _baseline(runs: Sequence[EvaluatedRun], wanted: str | None) -> str:
    """The name of the run that is meant."""
    if wanted is None:
        return runs[0].name
    for run in runs:
        if wanted == run.name or Path(wanted).resolve() == run.folder.resolve():
            return run.name
    raise UserError(f"baseline={wanted} is none of the compared runs: choose {', '.join(run.name for run in runs)}")


def _system(run: EvaluatedRun) -> dict[str, Any]:
    best = run.history.best_validation
    decoding = ("search", "seconds", "sentences_per_second", "device", "threads")
    return {
        "name": run.name,
        "run": str(run.folder),
        "class": run.model["class"],
        "arguments": run.model["arguments"],
        "parameters": run.model["parameters"],
        "step": run.evaluation["step"],
        "metrics": run.evaluation["metrics"],
        "bleu_by_length": run.evaluation["bleu_by_length"],
        "training": {
            "steps": run.history.steps,
            "seconds": run.history.seconds,
            "tokens_per_second": run.history.tokens_per_second,
            "best_validation_bleu": best.bleu if best else None,
            "best_validation_step": best.step if best else None,
        },
        "decoding": {key: run.evaluation[key] for key in decoding},
    }


def _notes(systems: Sequence[dict[str, Any]]) -> list[str]:
    """What makes figures of these systems less comparable than they look."""

    def differ(value: Any) -> bool:
        return len({json.dumps(value(system), sort_keys=True) for system in systems}) > 1

    notes = []
    if differ(lambda s: [s["metrics"][key]["signature"] for key in METRIC_KEYS]):
        notes.append(
            "The systems were scored with different signatures (see below): evaluate them again before comparing."
        )
    if differ(lambda s: s["decoding"]["search"]):
        searches = "; ".join(f"{s['name']}: {search(s['decoding']['search'])}" for s in systems)
        notes.append(f"The systems were decoded with different searches, which a difference may be due to. {searches}.")
    if differ(lambda s: [s["decoding"]["device"], s["decoding"]["threads"]]):
        notes.append("The systems were decoded on different devices: their decoding speeds do not compare.")
    return notes


def _signatures(report: Report) -> list[tuple[str, list[str], str]]:
    """(metric, the systems scored so or none where all are, signature)."""
    rows = []
    for key in METRIC_KEYS:
        metrics = {system["name"]: system["metrics"][key] for system in report["systems"]}
        by_signature: dict[str, list[str]] = {}
        for name, metric in metrics.items():
            by_signature.setdefault(metric["signature"], []).append(name)
        title = next(iter(metrics.values()))["name"]
        rows += [(title, names if len(by_signature) > 1 else [], text) for text, names in by_signature.items()]
    return rows


def _common_samples(runs: Sequence[EvaluatedRun]) -> list[dict[str, dict[str, Any]]]:
    """The sentences that every run has among its samples, in the first run's order: run name → its sample."""
    by_index = [{sample["index"]: sample for sample in run.evaluation["samples"]} for run in runs]
    common = [index for index in by_index[0] if all(index in samples for samples in by_index)]
    names = [run.name for run in runs]
    return [dict(zip(names, [samples[index] for samples in by_index], strict=True)) for index in common]


def _samples(runs: Sequence[EvaluatedRun]) -> list[dict[str, Any]]:
    samples = []
    for by_run in _common_samples(runs):
        first = by_run[runs[0].name]
        translations = [
            {"system": name, "text": sample["hypothesis"], "score": sample["score"]} for name, sample in by_run.items()
        ]
        shared = {key: first[key] for key in ("index", "source", "reference")}
        samples.append({**shared, "translations": translations})
    return samples


def _matrices(runs: Sequence[EvaluatedRun], report: Report) -> list[list[HeatMap | None]]:
    """Each sample's alignment matrices in the order of the systems; None for a system without attention."""
    matrices = []
    for sample, by_run in zip(report["samples"], _common_samples(runs), strict=True):
        row: list[HeatMap | None] = []
        for run in runs:
            own = by_run[run.name]
            try:
                row.append(own["attention"] and heat_map(own["source_tokens"], own["target_tokens"], own["attention"]))
            except ValueError as error:
                raise UserError(f"{run.folder}: sentence {sample['index']} of {report['split']}: {error}") from None
        matrices.append(row)
    return matrices


def _length_chart(report: Report) -> Chart:
    buckets = report["systems"][0]["bleu_by_length"]
    places = {bucket["from"]: float(place) for place, bucket in enumerate(buckets)}
    return line_chart(
        title="BLEU by source length",
        x_label="words in the source sentence",
        names=[system["name"] for system in report["systems"]],
        lines=[
            [
                (places[bucket["from"]], bucket["bleu"])
                for bucket in system["bleu_by_length"]
                if bucket["from"] in places
            ]
            for system in report["systems"]
        ],
        from_zero=True,
        x_names=[words(bucket) for bucket in buckets],
    )
