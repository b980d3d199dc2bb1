"""The tables of a comparison, the same for HTML, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nmt.evaluation.pronouns import list_counts
from nmt.evaluation.significance import Significance
from nmt.report.formatting import (
    DASH,
    format_difference,
    format_duration,
    format_length_range,
    format_mean,
    format_measure,
    format_number,
    format_p_value,
    format_parameters,
    format_score,
    isolate,
)
from nmt.report.record import Comparison, GroupBleu, System
from nmt.report.scores import SCORES

SIGNIFICANCE_LEVEL = 0.05
"""A p-value below it counts as a significant difference."""


@dataclass(frozen=True)
class Cell:
    """A figure as text; `is_best` if no other system has a better figure, compared as text."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """Named columns; the first cell of a row is its heading, most often the name of a system."""

    columns: list[str]
    rows: list[list[Cell]]

    @property
    def transposed(self) -> Table:
        """The same table with a column for each row."""
        rows = [[Cell(column), *(row[i] for row in self.rows)] for i, column in enumerate(self.columns) if i > 0]
        return Table([self.columns[0], *(row[0].text for row in self.rows)], rows)


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        title: the heading.
        get_value: gets the figure of a system; None if it is missing.
        format: writes the figure as text.
        choose_best: `max` or `min`; None if no figure of this column is better than another.
    """

    title: str
    get_value: Callable[[System], Any]
    format: Callable[[Any], str]
    choose_best: Callable[[list[float]], float] | None = None


def quality_table(comparison: Comparison) -> Table:
    """The scores that at least one system has."""
    columns = [Column(score.title, score.get_value, score.format, score.choose_best) for score in SCORES]
    known = [column for column in columns if any(column.get_value(system) is not None for system in comparison.systems)]
    return _make_table(comparison, known)


def significance_table(comparison: Comparison) -> Table:
    """BLEU with its interval, and the difference from the baseline with its interval and p-value."""
    columns = [
        "System",
        "BLEU (mean ± 95 % interval)",
        f"difference from {isolate(comparison.baseline)}",
        "its 95 % interval",
        "p",
        "verdict",
    ]
    rows = []
    baseline = next(system for system in comparison.systems if system.name == comparison.baseline)
    for system in comparison.systems:
        significance = system.significance
        interval = f"{format_score(significance.mean)} ± {format_score(significance.margin)}"
        row = [f"{format_score(significance.bleu)} ({interval})"]
        if system.name == comparison.baseline:
            row += [DASH, DASH, DASH, "the baseline"]
        else:
            low, high = significance.difference_interval
            row += [
                format_difference(significance.difference),
                f"{format_difference(low)} to {format_difference(high)}",
                format_p_value(significance.p_value),
                describe_verdict(significance, is_fair=not (system.may_improve or baseline.may_improve)),
            ]
        rows.append([Cell(system.name), *map(Cell, row)])
    return Table(columns, rows)


def describe_verdict(significance: Significance, *, is_fair: bool) -> str:
    """Says in words whether a system differs significantly from the baseline.

    Args:
        is_fair: False if more training may change one of the two systems.
    """
    assert significance.p_value is not None, "the baseline is not tested against itself"
    if significance.p_value >= SIGNIFICANCE_LEVEL:
        return "no difference shown"
    verdict = "better" if significance.difference > 0 else "worse"
    return verdict if is_fair else f"{verdict}, perhaps due to training time"


def seed_table(comparison: Comparison) -> Table | None:
    """The mean of each score over the seeds of a system, with its deviation; None if no system has several seeds."""
    if not comparison.has_seeds:
        return None
    groups = comparison.groups
    table = Table(["System", "seeds"], [[Cell(group.name), Cell(str(len(group.systems)))] for group in groups])
    for score in SCORES:
        means = [group.scores.get(score.key) for group in groups]
        known = [each.mean for each in means if each is not None]
        if not known:
            continue
        table.columns.append(score.title)
        best = score.format(score.choose_best(known)) if score.choose_best and len(groups) > 1 else None
        for row, mean in zip(table.rows, means, strict=True):
            is_best = mean is not None and score.format(mean.mean) == best
            row.append(Cell(format_mean(mean, score.format), is_best))
    return table


def alignment_table(comparison: Comparison) -> Table | None:
    """How well attention aligns words; None if no system has been measured against gold links."""

    def figure(name: str, factor: float = 100.0) -> Callable[[System], float | None]:
        return lambda system: None if system.alignment is None else factor * getattr(system.alignment, name)

    def extraction(system: System) -> str | None:
        if system.alignment is None:
            return None
        has_heads = "num_heads" in system.arguments  # the attention of a recurrent decoder has one layer and head
        return system.alignment.extraction.description if has_heads else system.alignment.extraction.rule

    if all(system.alignment is None for system in comparison.systems):
        return None
    return _make_table(
        comparison,
        [
            Column("AER ↓", figure("error_rate"), format_score, min),
            Column("precision ↑", figure("precision"), format_score, max),
            Column("recall ↑", figure("recall"), format_score, max),
            Column("entropy", figure("entropy", 1.0), format_number),
            Column("coverage", figure("coverage"), format_score),
            Column("monotonicity", figure("monotonicity"), format_score),
            Column("end of sentence", figure("eos_weight"), format_score),
            Column("read from", extraction, lambda text: text or DASH),
        ],
    )


def pronoun_table(comparison: Comparison) -> Table | None:
    """How many pronouns have the form of their noun, in percent; None if no system has been measured."""
    counts = [system.pronouns and dict(list_counts(system.pronouns)) for system in comparison.systems]
    measured = next((each for each in counts if each), None)
    if measured is None:
        return None
    rows = []
    for name, count in measured.items():
        values = [each[name].accuracy if each and name in each else None for each in counts]
        best = format_score(max(value for value in values if value is not None))
        figures = [Cell(format_score(value), len(values) > 1 and format_score(value) == best) for value in values]
        rows.append([Cell(name), Cell(f"{count.total:,}"), *figures])
    return Table(["", "number", *(isolate(system.name) for system in comparison.systems)], rows)


def length_table(comparison: Comparison) -> Table:
    """BLEU by the length of the source, with half the width of its 95 % interval; one row per range of lengths."""
    groups = comparison.groups
    rows = []
    for lengths in comparison.bleu_by_length.ranges:
        best = format_score(max(each.bleu for each in lengths.groups))
        figures = [
            Cell(_format_interval(each), len(groups) > 1 and format_score(each.bleu) == best) for each in lengths.groups
        ]
        rows.append([Cell(format_length_range(lengths)), Cell(f"{lengths.sentences:,}"), *figures])
    names = [isolate(group.name) for group in groups]
    return Table([comparison.length_unit, "sentences", *names], rows)


def _format_interval(figure: GroupBleu) -> str:
    return f"{format_score(figure.bleu)} ± {format_score((figure.high - figure.low) / 2)}"


def cost_table(comparison: Comparison) -> Table:
    """Size, training and decoding."""

    def training(name: str) -> Callable[[System], Any]:
        return lambda system: None if system.training is None else getattr(system.training, name)

    def speed(system: System) -> float | None:
        return None if system.decoding is None else system.decoding.sentences_per_second

    return _make_table(
        comparison,
        [
            Column("model", _describe_model, str),
            Column("parameters", lambda system: system.parameters, format_parameters),
            Column("steps", training("steps"), format_number),
            Column("training time", training("seconds"), format_duration),
            Column("training tokens/s", training("tokens_per_second"), format_number, max),
            Column("validation BLEU", training("best_validation_bleu"), format_score, max),
            Column("at step", training("best_validation_step"), format_number),
            Column("selected by", training("selected_by"), format_measure),
            Column("decoded sentences/s", speed, format_number, max),
            Column("on", _describe_device, str),
        ],
    )


def _describe_model(system: System) -> str:
    if system.class_name is None:
        return "another program"
    return system.class_name if system.num_runs == 1 else f"ensemble of {system.num_runs} runs"


def _describe_device(system: System) -> str:
    decoding = system.decoding
    if decoding is None:
        return DASH
    if decoding.device != "cpu":
        return decoding.device
    return f"cpu, {decoding.threads} thread" + ("" if decoding.threads == 1 else "s")


def _make_table(comparison: Comparison, columns: Sequence[Column]) -> Table:
    """Fills a table with one row per system, and marks the best figures of each column."""
    systems = comparison.systems
    rows = [[Cell(system.name)] for system in systems]
    for column in columns:
        values = [column.get_value(system) for system in systems]
        known = [value for value in values if value is not None]
        # Figures are compared as text: 31.24 and 31.18 are both shown as 31.2, and both are marked.
        best = column.format(column.choose_best(known)) if column.choose_best and known and len(systems) > 1 else None
        for row, value in zip(rows, values, strict=True):
            text = column.format(value)
            row.append(Cell(text, is_best=value is not None and text == best))
    return Table(["System", *(column.title for column in columns)], rows)
