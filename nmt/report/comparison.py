"""Compares several runs, and writes a page (report.html), Markdown text (report.md) and data (report.json).

Everything is read from the run folders: no model is loaded, and nothing is translated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.record import Evaluation
from nmt.evaluation.significance import NUM_RESAMPLES, SEED, Significance, paired_bootstrap
from nmt.files import make_folder, reading, write_json, write_text
from nmt.report.curves import learning_curves
from nmt.report.formatting import (
    format_difference,
    format_mean,
    format_p_value,
    format_score,
    isolate,
    show_control_characters,
)
from nmt.report.glossary import GLOSSARY
from nmt.report.lengths import bleu_by_length, layout_length_chart
from nmt.report.names import name_systems
from nmt.report.notes import note_differences
from nmt.report.record import Bootstrap, Comparison, Decoding, System, Training
from nmt.report.rendering import render
from nmt.report.runs import METRIC_KEYS, ComparedSystem, EvaluatedRun, read_further_splits, read_systems, select_runs
from nmt.report.samples import common_samples, layout_samples
from nmt.report.seeds import group_seeds
from nmt.report.sentences import compare_sentences, layout_sentences, pack_attention
from nmt.report.tables import (
    alignment_table,
    cost_table,
    length_table,
    pronoun_table,
    quality_table,
    seed_table,
    significance_table,
)
from nmt.run.history import NO_HISTORY

MAX_BLEU_DEVIATION = 0.05
"""How far the BLEU that an evaluation states may be from the BLEU of its hypotheses, in points."""


def compare(
    paths: Sequence[Path],
    *,
    split: str,
    out: Path,
    names: Sequence[str] | None = None,
    direction: str | None = None,
) -> Comparison:
    """Compares systems and writes report.html, report.md and report.json into the folder `out`.

    Args:
        paths: run folders, each with an evaluation of `split`, and files with the translations of other programs, in
            the order of the report. The first one is the baseline that the others are tested against.
        split: the split to compare on.
        out: a folder, created if necessary; an older report in it is replaced.
        names: of the systems; None: the ends of their paths, see `name_systems`.
        direction: of the evaluations, see `read_systems`.

    Returns:
        The content of report.json.

    Raises:
        UserError: a run is missing, incomplete, listed twice, not evaluated on `split` or evaluated on other references
            than the first; or `out` is a file.
    """
    check_report_folder(out)
    systems = read_systems(paths, names=names or name_systems(paths), split=split, direction=direction)
    comparison = compare_systems(systems, split=split)
    contents: dict[str, Any] = {
        "comparison": comparison,
        "summary": summarize(comparison),
        "quality": quality_table(comparison),
        "seeds": seed_table(comparison),
        "alignment": alignment_table(comparison),
        "pronouns": pronoun_table(comparison),
        "significance": significance_table(comparison),
        "lengths": length_table(comparison),
        "cost": cost_table(comparison),
        "glossary": GLOSSARY,
        "signatures": _group_signatures(comparison),
    }
    page = render(
        "comparison.html.j2",
        **contents,
        styles=comparison.styles,
        length_chart=layout_length_chart(comparison),
        curves=learning_curves(
            {system.name: system.history if isinstance(system, EvaluatedRun) else NO_HISTORY for system in systems},
            styles=comparison.styles,
        ),
        heat_maps=layout_samples(systems, split),
        rows=layout_sentences(comparison),
        packed_attention=pack_attention(systems),
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


def compare_systems(systems: Sequence[ComparedSystem], *, split: str) -> Comparison:
    """Every figure of the comparison; the attention weights stay in the run folders.

    Raises:
        UserError: the BLEU that an evaluation states is not the BLEU of the hypotheses beside it, or its tokenizer
            cannot be used here.
    """
    # 1. Score all systems again, on the same resampled test sets.
    systems, pronoun_remarks = _leave_out_other_pronouns(systems)
    runs = select_runs(systems)
    baseline, task = systems[0].name, runs[0].evaluation
    try:
        metrics = Metrics(language=task.target, bleu_tokenizer=task.bleu_tokenizer)
    except UserError as error:
        raise UserError(f"{runs[0].path}: {error}") from None
    hypotheses = {system.name: system.hypotheses for system in systems}
    significance = paired_bootstrap(hypotheses, *runs[0].all_references, baseline=baseline, metrics=metrics)

    # 2. Check that each evaluation belongs to its translations.
    for run in runs:
        stated, computed = run.evaluation.metrics.bleu.score, significance[run.name].bleu
        if abs(stated - computed) > MAX_BLEU_DEVIATION:
            raise UserError(
                f"{run.path}: evaluation/{split}.json says BLEU {stated:.2f}, but {split}.hyp.txt scores "
                f"{computed:.2f}: call `nmt evaluate run={run.path} split={split}` again"
            )

    # 3. Collect the figures.
    described = [_describe_system(system, significance[system.name]) for system in systems]
    groups = group_seeds(systems)
    further_splits, remarks = read_further_splits(systems, split)
    splits: dict[str, Sequence[ComparedSystem]] = {split: systems, **further_splits}
    return Comparison(
        split=split,
        other_corpus=task.other_corpus,
        source=task.source,
        target=task.target,
        sentences=task.sentences,
        references=len(runs[0].all_references),
        length_unit=task.length_unit,
        baseline=baseline,
        bootstrap=Bootstrap(resamples=NUM_RESAMPLES, seed=SEED),
        systems=described,
        groups=groups,
        bleu_by_length=bleu_by_length(splits, groups, unit=task.length_unit, metrics=metrics),
        notes=[*note_differences(described), *pronoun_remarks, *remarks],
        samples=[samples[0].index for samples in common_samples(runs)],
        translations=compare_sentences(systems, unit=task.length_unit, metrics=metrics),
    )


def _leave_out_other_pronouns(systems: Sequence[ComparedSystem]) -> tuple[list[ComparedSystem], list[str]]:
    """The systems without the pronouns of other sentences than those of the first run that has any.

    Returns:
        The systems, and a remark for each of which the pronouns are left out.
    """
    first: Evaluation | None = None
    kept: list[ComparedSystem] = []
    remarks = []
    for system in systems:
        if isinstance(system, EvaluatedRun) and (own := system.pronoun_evaluation) is not None:
            first = first or own
            if own.text_hash != first.text_hash:
                system = replace(system, pronoun_evaluation=None)
                remarks.append(f"The pronouns of {system.name} are left out: they are those of other sentences.")
        kept.append(system)
    return kept, remarks


def summarize(comparison: Comparison) -> str:
    """The result in one sentence."""
    if comparison.has_seeds:
        return _summarize_groups(comparison)
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
    is_doubtful = any(system.may_improve for system in compared)
    doubt = "; part of the difference may be due to training time" if is_doubtful else ""
    return f"{name} has the highest BLEU, {bleu}: {difference} against the baseline {baseline} ({p_text}{doubt})."


def _summarize_groups(comparison: Comparison) -> str:
    """The result in one sentence, by the means over seeds."""
    best = max(comparison.groups, key=lambda group: group.scores["bleu"].mean)
    seeds = f"over {len(best.systems)} seeds" if len(best.systems) > 1 else "with one seed"
    bleu = format_mean(best.scores["bleu"])
    if len(comparison.groups) == 1:
        return f"{isolate(best.name)} reaches a mean BLEU of {bleu} {seeds}."
    result = f"{isolate(best.name)} has the highest mean BLEU, {bleu} {seeds}"
    baseline = next(group for group in comparison.groups if comparison.baseline in group.systems)
    if best is baseline:
        return f"{result}: no mean is above that of the baseline."
    difference = format_difference(best.scores["bleu"].mean - baseline.scores["bleu"].mean)
    return f"{result}: {difference} against the mean of the baseline {isolate(baseline.name)}."


def _describe_system(system: ComparedSystem, significance: Significance) -> System:
    """Collects the figures of one system."""
    run = system if isinstance(system, EvaluatedRun) else None
    return System(
        name=system.name,
        path=show_control_characters(str(system.path)),
        num_runs=0 if run is None else run.num_runs,
        class_name=None if run is None else run.model.class_name,
        arguments={} if run is None else run.model.arguments,
        parameters=None if run is None else run.model.parameters,
        step=None if run is None else run.evaluation.step,
        metrics=system.metrics,
        alignment=system.alignment,
        pronouns=system.pronouns,
        training=None if run is None else _describe_training(run),
        decoding=None if run is None else _describe_decoding(run.evaluation),
        significance=significance,
    )


def _describe_training(run: EvaluatedRun) -> Training:
    """Collects the figures of the training of one run."""
    history, best = run.history, run.history.best_validation
    return Training(
        steps=history.steps,
        seconds=history.seconds,
        tokens_per_second=history.tokens_per_second,
        best_validation_bleu=best.bleu if best else None,
        best_validation_step=best.step if best else None,
        selected_by=best.selected_by if best else None,
        has_ended=history.has_ended or run.num_runs > 1,
        stopped_by_time=history.stopped_by_time,
        was_improving=history.was_improving,
    )


def _describe_decoding(evaluation: Evaluation) -> Decoding:
    """Collects how one run translated the split."""
    return Decoding(
        search=evaluation.search,
        seconds=evaluation.seconds,
        sentences_per_second=evaluation.sentences_per_second,
        device=evaluation.device,
        threads=evaluation.threads,
        precision=evaluation.precision,
    )


def _group_signatures(comparison: Comparison) -> list[tuple[str, list[str], str]]:
    """The signatures of each metric, as (metric, names of the systems with this signature, signature).

    The list of names is empty if all systems have the same signature.
    """
    rows = []
    for key in METRIC_KEYS:
        by_signature: dict[tuple[str, str], list[str]] = {}
        for system in comparison.systems:
            if (metric := system.metrics.known().get(key)) is not None:
                by_signature.setdefault((metric.name, metric.signature), []).append(system.name)
        rows += [(title, names if len(by_signature) > 1 else [], text) for (title, text), names in by_signature.items()]
    return rows
