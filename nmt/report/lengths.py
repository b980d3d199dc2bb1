"""BLEU by the length of the source, as in Figure 2 of Bahdanau et al. (2015): does it fall on long sentences?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nmt.evaluation import Metrics
from nmt.evaluation.bleu import SentenceCounts, corpus_bleu
from nmt.evaluation.languages import Unit, sentence_length
from nmt.evaluation.significance import bootstrap_intervals
from nmt.report.chart import Chart, layout_chart
from nmt.report.record import BleuByLength, Comparison, GroupBleu, LengthRange, SeedGroup
from nmt.report.runs import ComparedSystem

RANGE_WIDTH: dict[Unit, int] = {"words": 5, "characters": 10}
"""Width of a range of lengths; ranges with few sentences are joined."""

MIN_SENTENCES = 20
"""Minimum number of sentences in a range; BLEU of fewer says next to nothing."""


def bleu_by_length(
    splits: Mapping[str, Sequence[ComparedSystem]], groups: Sequence[SeedGroup], *, unit: Unit, metrics: Metrics
) -> BleuByLength:
    """BLEU of each group of systems in each range of source lengths, with its confidence interval.

    Args:
        splits: name of the split → the runs, in the same order for every split. The sentences of all splits are taken
            together.
        groups: of the runs.
        unit: of the lengths.
        metrics: of the target language.
    """
    first_runs = [runs[0] for runs in splits.values()]
    lengths = np.array([sentence_length(source, unit) for run in first_runs for source in run.sources])  # (N,)
    parts: dict[str, list[SentenceCounts]] = {}
    for runs in splits.values():
        for run in runs:
            parts.setdefault(run.name, []).append(metrics.count_sentences(run.hypotheses, *run.all_references))
    counts = {name: np.concatenate(blocks) for name, blocks in parts.items()}  # each (N, 10)
    ranges = []
    for first, last in choose_ranges(lengths.tolist(), RANGE_WIDTH[unit]):
        members = (np.maximum(lengths, 1) >= first) & (lengths <= last)  # (N,)
        by_group = {group.name: [counts[name][members] for name in group.systems] for group in groups}
        intervals = bootstrap_intervals(by_group)
        ranges.append(
            LengthRange(
                first=first,
                last=last,
                sentences=int(members.sum()),
                mean_length=float(lengths[members].mean()),
                groups=[
                    GroupBleu(name, float(np.mean([corpus_bleu(rows) for rows in seeds])), *intervals[name])
                    for name, seeds in by_group.items()
                ],
            )
        )
    return BleuByLength({name: len(runs[0].sources) for name, runs in splits.items()}, ranges)


def choose_ranges(lengths: Sequence[int], width: int) -> list[tuple[int, int]]:
    """Ranges (first, last) of `width` lengths, joined until each has at least MIN_SENTENCES sentences, if possible.

    An empty line, of length 0, counts with the shortest.
    """
    ranges: list[tuple[int, int]] = []
    first, count = 1, 0
    for last in range(width, max(lengths) + width, width):
        count += sum(last - width < max(length, 1) <= last for length in lengths)
        if count >= MIN_SENTENCES:
            ranges.append((first, last))
            first, count = last + 1, 0
    if count or not ranges:  # the longest sentences are too few for a range of their own
        longest = max(*lengths, 1)
        ranges[-1:] = [(ranges[-1][0] if ranges else 1, longest)]
    return ranges


def layout_length_chart(comparison: Comparison) -> Chart:
    """BLEU by source length as a chart: a line and a band for each group, a point for each range."""
    ranges = comparison.bleu_by_length.ranges
    positions = range(len(comparison.groups))
    return layout_chart(
        title="BLEU by source length",
        x_label=f"{comparison.length_unit} in the source sentence",
        names=[group.name for group in comparison.groups],
        lines=[[(each.mean_length, each.groups[i].bleu) for each in ranges] for i in positions],
        bands=[[(each.mean_length, each.groups[i].low, each.groups[i].high) for each in ranges] for i in positions],
        from_zero=True,
    )
