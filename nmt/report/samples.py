"""The sentences whose alignment matrices are drawn in the page."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.errors import UserError
from nmt.evaluation.record import SentenceSample
from nmt.report.heat_map import HeatMap, layout_heat_map
from nmt.report.runs import EvaluatedRun


def common_samples(runs: Sequence[EvaluatedRun]) -> list[list[SentenceSample]]:
    """The samples of the sentences that every run has sampled, in the order of the first run: one sample per run."""
    by_index = [{sample.index: sample for sample in run.evaluation.samples} for run in runs]
    common = [index for index in by_index[0] if all(index in samples for samples in by_index)]
    return [[samples[index] for samples in by_index] for index in common]


def layout_heat_maps(runs: Sequence[EvaluatedRun], split: str) -> list[list[HeatMap | None]]:
    """For each sample sentence, the alignment matrix of each system; None for a system without attention."""
    return [
        [_layout_sample(run, sample, split) for run, sample in zip(runs, samples, strict=True)]
        for samples in common_samples(runs)
    ]


def _layout_sample(run: EvaluatedRun, sample: SentenceSample, split: str) -> HeatMap | None:
    """Lays out one alignment matrix; None without attention. Raises UserError if it is damaged, and names the run."""
    if not sample.attention:
        return None
    try:
        return layout_heat_map(sample.source_tokens, sample.target_tokens, sample.attention)
    except UserError as error:
        raise UserError(f"{run.folder}: sentence {sample.index} of {split}: {error}") from None
