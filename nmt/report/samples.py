"""The sentences whose alignment matrices are drawn in the page."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.errors import UserError
from nmt.evaluation.record import SentenceSample
from nmt.report.figure import Panel, layout_lines
from nmt.report.heat_map import HeatMap, check_weights
from nmt.report.runs import ComparedSystem, EvaluatedRun, select_runs


def common_samples(runs: Sequence[EvaluatedRun]) -> list[list[SentenceSample]]:
    """The samples of the sentences that every run has sampled, in the order of the first run: one sample per run."""
    by_index = [{sample.index: sample for sample in run.evaluation.samples} for run in runs]
    common = [index for index in by_index[0] if all(index in samples for samples in by_index)]
    return [[samples[index] for samples in by_index] for index in common]


def layout_samples(systems: Sequence[ComparedSystem], split: str) -> list[list[HeatMap | None]]:
    """For each sample sentence, the alignment matrix of each system; None for a system without attention.

    Raises:
        UserError: the attention of a sample is damaged.
    """
    runs = select_runs(systems)
    sentences = [_layout_sentence(runs, samples, split) for samples in common_samples(runs)]
    return [[heat_maps.get(system.name) for system in systems] for heat_maps in sentences]


def _layout_sentence(runs: Sequence[EvaluatedRun], samples: Sequence[SentenceSample], split: str) -> dict[str, HeatMap]:
    """Lays out the matrices of one sentence, which stand side by side; the name of the run → its matrix."""
    panels: dict[str, Panel] = {}
    for run, sample in zip(runs, samples, strict=True):
        if not sample.attention:
            continue
        try:
            weights = check_weights(sample.source_tokens, sample.target_tokens, sample.attention)  # (T, S)
        except UserError as error:
            raise UserError(f"{run.path}: sentence {sample.index} of {split}: {error}") from None
        panels[run.name] = Panel(run.name, sample.source_tokens, sample.target_tokens, weights)
    return dict(zip(panels, layout_lines([list(panels.values())])[0], strict=True))
