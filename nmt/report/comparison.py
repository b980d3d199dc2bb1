"""Compares several runs, and writes a page (report.html), Markdown text (report.md) and data (report.json).

Everything is read from the run folders: no model is loaded, and nothing is translated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.record import SentenceSample
from nmt.evaluation.significance import NUM_RESAMPLES, SEED, Significance, paired_bootstrap
from nmt.files import make_folder, reading, write_json, write_text
from nmt.report.chart import Chart, layout_chart
from nmt.report.curves import learning_curves
from nmt.report.formatting import (
    format_difference,
    format_length_range,
    format_p_value,
    format_score,
    isolate,
    show_control_characters,
)
from nmt.report.heat_map import HeatMap, layout_heat_map
from nmt.report.notes import note_differences
from nmt.report.record import (
    Bootstrap,
    ComparedSentence,
    Comparison,
    Decoding,
    System,
    SystemTranslation,
    Training,
)
from nmt.report.rendering import render
from nmt.report.runs import METRIC_KEYS, EvaluatedRun, read_runs
from nmt.report.tables import GLOSSARY, cost_table, length_table, quality_table, significance_table

MAX_BLEU_DEVIATION = 0.05
"""How far the BLEU that an evaluation states may be from the BLEU of its hypotheses, in points."""


def compare(folders: Sequence[Path], *, split: str, out: Path) -> Comparison:
    """Compares evaluated runs and writes report.html, report.md and report.json into the folder `out`.

    Args:
        folders: run folders, each with an evaluation of `split`, in the order of the report. The first one is the
            baseline that the others are tested against.
        split: the split to compare on.
        out: a folder, created if necessary; an older report in it is replaced.

    Returns:
        The content of report.json.

    Raises:
        UserError: a run is missing, incomplete, listed twice, not evaluated on `split` or evaluated on other references
            than the first; or `out` is a file.
    """
    check_report_folder(out)
    runs = read_runs(folders, split=split)
    comparison = compare_runs(runs, split=split)
    contents: dict[str, Any] = {
        "comparison": comparison,
        "summary": summarize(comparison),
        "quality": quality_table(comparison),
        "significance": significance_table(comparison),
        "lengths": length_table(comparison),
        "cost": cost_table(comparison),
        "glossary": GLOSSARY,
        "signatures": _group_signatures(comparison),
    }
    page = render(
        "comparison.html.j2",
        **contents,
        length_chart=_layout_length_chart(comparison),
        curves=learning_curves({run.name: run.history for run in runs}),
        heat_maps=_layout_heat_maps(runs, split),
    )
    make_folder(out)
    write_text(out / "report.html", page)
    write_text(out / "report.md", render("comparison.md.j2", **contents))
    write_json(out / "report.json", msgspec.to_builtins(comparison))
    return comparison


def check_report_folder(out: Path) -> None:
    """Raises UserError if `out` exists and is not a folder, or cannot be a path."""
    with reading(f"out={out}"):
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file: out= names the folder for the report")


def compare_runs(runs: Sequence[EvaluatedRun], *, split: str) -> Comparison:
    """Every figure of the comparison; the attention weights stay in the run folders.

    Raises:
        UserError: the BLEU that an evaluation states is not the BLEU of the hypotheses beside it, or its tokenizer
            cannot be used here.
    """
    baseline, first = runs[0].name, runs[0].evaluation
    try:
        metrics = Metrics(language=first.target, bleu_tokenizer=first.bleu_tokenizer)
    except UserError as error:
        raise UserError(f"{runs[0].folder}: {error}") from None
    hypotheses = {run.name: run.hypotheses for run in runs}
    significance = paired_bootstrap(hypotheses, runs[0].references, baseline=baseline, metrics=metrics)
    for run in runs:
        stated, computed = run.evaluation.metrics.bleu.score, significance[run.name].bleu
        if abs(stated - computed) > MAX_BLEU_DEVIATION:
            raise UserError(
                f"{run.folder}: evaluation/{split}.json says BLEU {stated:.2f}, but {split}.hyp.txt scores "
                f"{computed:.2f}: call `nmt evaluate run={run.folder} split={split}` again"
            )
    systems = [_describe_system(run, significance[run.name]) for run in runs]
    return Comparison(
        split=split,
        source=first.source,
        target=first.target,
        sentences=first.sentences,
        length_unit=first.length_unit,
        baseline=baseline,
        bootstrap=Bootstrap(resamples=NUM_RESAMPLES, seed=SEED),
        systems=systems,
        notes=note_differences(systems),
        samples=_compared_sentences(runs),
    )


def summarize(comparison: Comparison) -> str:
    """The result in one sentence."""
    best = max(comparison.systems, key=lambda system: system.metrics.bleu.score)
    name, baseline = isolate(best.name), isolate(comparison.baseline)
    bleu = format_score(best.metrics.bleu.score)
    if len(comparison.systems) == 1:
        return f"{name} reaches BLEU {bleu}."
    if best.name == comparison.baseline:
        return f"{name} has the highest BLEU, {bleu}: no system is above the baseline."
    difference = format_difference(best.significance.difference)
    p_value = format_p_value(best.significance.p_value)
    p_text = f"p\N{NO-BREAK SPACE}{p_value}" if p_value.startswith("<") else f"p = {p_value}"
    compared = (best, next(system for system in comparison.systems if system.name == comparison.baseline))
    is_fair = all(system.training.is_complete for system in compared)
    doubt = "" if is_fair else "; part of the difference may be due to training time"
    return f"{name} has the highest BLEU, {bleu}: {difference} against the baseline {baseline} ({p_text}{doubt})."


def _describe_system(run: EvaluatedRun, significance: Significance) -> System:
    """Collects the figures of one system."""
    evaluation, history = run.evaluation, run.history
    best = history.best_validation
    return System(
        name=run.name,
        run=show_control_characters(str(run.folder)),
        class_name=run.model.class_name,
        arguments=run.model.arguments,
        parameters=run.model.parameters,
        step=evaluation.step,
        metrics=evaluation.metrics,
        bleu_by_length=evaluation.bleu_by_length,
        training=Training(
            steps=history.steps,
            seconds=history.seconds,
            tokens_per_second=history.tokens_per_second,
            best_validation_bleu=best.bleu if best else None,
            best_validation_step=best.step if best else None,
            selected_by=best.selected_by if best else None,
            has_ended=history.has_ended,
            stopped_by_time=history.stopped_by_time,
            was_improving=history.was_improving,
        ),
        decoding=Decoding(
            search=evaluation.search,
            seconds=evaluation.seconds,
            sentences_per_second=evaluation.sentences_per_second,
            device=evaluation.device,
            threads=evaluation.threads,
        ),
        significance=significance,
    )


def _group_signatures(comparison: Comparison) -> list[tuple[str, list[str], str]]:
    """The signatures of each metric, as (metric, names of the systems with this signature, signature).

    The list of names is empty if all systems have the same signature.
    """
    rows = []
    for key in METRIC_KEYS:
        metrics = {system.name: getattr(system.metrics, key) for system in comparison.systems}
        by_signature: dict[str, list[str]] = {}
        for name, metric in metrics.items():
            by_signature.setdefault(metric.signature, []).append(name)
        title = next(iter(metrics.values())).name
        rows += [(title, names if len(by_signature) > 1 else [], text) for text, names in by_signature.items()]
    return rows


def _common_samples(runs: Sequence[EvaluatedRun]) -> list[list[SentenceSample]]:
    """The samples of the sentences that every run has sampled, in the order of the first run: one sample per run."""
    by_index = [{sample.index: sample for sample in run.evaluation.samples} for run in runs]
    common = [index for index in by_index[0] if all(index in samples for samples in by_index)]
    return [[samples[index] for samples in by_index] for index in common]


def _compared_sentences(runs: Sequence[EvaluatedRun]) -> list[ComparedSentence]:
    """The sentences that every run has sampled, each with the translations of all runs."""
    return [
        ComparedSentence(
            index=samples[0].index,
            source=samples[0].source,
            reference=samples[0].reference,
            translations=[
                SystemTranslation(system=run.name, text=sample.hypothesis, score=sample.score)
                for run, sample in zip(runs, samples, strict=True)
            ],
        )
        for samples in _common_samples(runs)
    ]


def _layout_heat_maps(runs: Sequence[EvaluatedRun], split: str) -> list[list[HeatMap | None]]:
    """For each sample sentence, the alignment matrix of each system; None for a system without attention."""
    return [
        [_layout_sample(run, sample, split) for run, sample in zip(runs, samples, strict=True)]
        for samples in _common_samples(runs)
    ]


def _layout_sample(run: EvaluatedRun, sample: SentenceSample, split: str) -> HeatMap | None:
    """Lays out one alignment matrix; None without attention. Raises UserError if it is damaged, and names the run."""
    if not sample.attention:
        return None
    try:
        return layout_heat_map(sample.source_tokens, sample.target_tokens, sample.attention)
    except UserError as error:
        raise UserError(f"{run.folder}: sentence {sample.index} of {split}: {error}") from None


def _layout_length_chart(comparison: Comparison) -> Chart:
    """Lays out the BLEU of all systems by source length. The categories are the length buckets of the first system."""
    buckets = comparison.systems[0].bleu_by_length
    positions = {bucket["from"]: float(position) for position, bucket in enumerate(buckets)}
    return layout_chart(
        title="BLEU by source length",
        x_label=f"{comparison.length_unit} in the source sentence",
        names=[system.name for system in comparison.systems],
        lines=[
            [
                (positions[bucket["from"]], bucket["bleu"])
                for bucket in system.bleu_by_length
                if bucket["from"] in positions
            ]
            for system in comparison.systems
        ],
        from_zero=True,
        x_names=[format_length_range(bucket) for bucket in buckets],
    )
