"""The tables of a comparison, the same for HTML and Markdown, and a glossary of their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class ScoreColumn:
    """A column with one of the scores of an evaluation; `key` is its name in `MetricScores`."""

    title: str
    key: str
    choose_best: Callable[[list[float]], float]


SCORE_COLUMNS = [
    ScoreColumn("BLEU ↑", "bleu", max),
    ScoreColumn("chrF ↑", "chrf", max),
    ScoreColumn("TER ↓", "ter", min),
    ScoreColumn("BLEU ↑ (lower-cased, tokenised)", "bleu_lowercase_tokenized", max),
]
"""The scores of a system, from the most to the least important."""


def quality_table(comparison: Comparison) -> Table:
    """BLEU, chrF, TER and lower-cased BLEU."""

    def score(key: str) -> Callable[[System], float]:
        return lambda system: float(getattr(system.metrics, key).score)

    return _make_table(
        comparison,
        [Column(column.title, score(column.key), format_score, column.choose_best) for column in SCORE_COLUMNS],
    )


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
                describe_verdict(significance, is_fair=system.training.is_complete and baseline.training.is_complete),
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
    for column in SCORE_COLUMNS:
        table.columns.append(column.title)
        scores = [group.scores[column.key] for group in groups]
        best = format_score(column.choose_best([score.mean for score in scores]))
        for row, score in zip(table.rows, scores, strict=True):
            is_best = len(groups) > 1 and format_score(score.mean) == best
            row.append(Cell(format_mean(score), is_best))
    return table


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
    return _make_table(
        comparison,
        [
            Column("model", lambda system: system.class_name, str),
            Column("parameters", lambda system: system.parameters, format_parameters),
            Column("steps", lambda system: system.training.steps, format_number),
            Column("training time", lambda system: system.training.seconds, format_duration),
            Column("training tokens/s", lambda system: system.training.tokens_per_second, format_number, max),
            Column("validation BLEU", lambda system: system.training.best_validation_bleu, format_score, max),
            Column("at step", lambda system: system.training.best_validation_step, format_number),
            Column("selected by", lambda system: system.training.selected_by, format_measure),
            Column("decoded sentences/s", lambda system: system.decoding.sentences_per_second, format_number, max),
            Column("on", _describe_device, str),
        ],
    )


def _describe_device(system: System) -> str:
    decoding = system.decoding
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


GLOSSARY = [
    (
        "BLEU",
        "how many of the translation's words, and sequences of two, three and four words, also occur in the reference; "
        "0 to 100. Translations that are too short lose points. In languages that are written without spaces, the "
        "tokenizer of the signature (`tok`) decides what counts as a word; with `char` it is a character. Compare it "
        "only on the same test set and with the same signature.",
    ),
    (
        "chrF",
        "the same idea with characters instead of words, so that a word with a wrong ending still counts in part; "
        "0 to 100.",
    ),
    (
        "TER",
        "how many words would have to be changed, inserted, deleted or moved to turn the translation into the "
        "reference, per 100 words of the reference; lower is better, and it can exceed 100. A Chinese character counts "
        "as a word; where neither spaces nor such characters separate words, as in Thai, it says little.",
    ),
    (
        "BLEU (lower-cased, tokenised)",
        "the figure in older papers on Multi30k, which ignores capital letters. Compare it only with figures of this "
        "kind; it is close to the output of multi-bleu.perl for text tokenised with Moses, but not equal to it.",
    ),
    (
        "95 % interval",
        "if a thousand new test sets are drawn from the sentences of this one, the BLEU of 95 % of them lies in this "
        "interval. It is written as their mean ± half its width. A smaller test set makes it wider.",
    ),
    (
        "p",
        "how often chance alone would make a difference at least this large between two equally good systems; below "
        "0.05 the difference is called significant. It does not say how much the difference matters, and it does not "
        "cover the luck of the seed that a system was trained with.",
    ),
    (
        "± over seeds",
        "the sample standard deviation of a score among runs that differ in nothing but the seed: how much the luck of "
        "training moves it. A difference between two systems of about this size may be luck. It is no confidence "
        "interval, and two or three seeds only give a rough idea of it.",
    ),
    (
        "sentence chrF",
        "chrF of a single sentence. It is a rough guide to the sentences that are worth reading, not a verdict: a good "
        "translation in other words than the reference has a low one.",
    ),
    (
        "BLEU by source length",
        "a system without attention must compress the whole sentence into one vector, which hurts longer sentences; "
        "with attention BLEU should fall less. The figure behind ± is half the width of the 95 % interval.",
    ),
    (
        "parameters",
        "how many numbers training had to find; a model with more of them can represent more, and needs more time and "
        "data.",
    ),
    (
        "training tokens/s",
        "target tokens per second of training, the median; depends on the machine and the batches.",
    ),
    (
        "validation BLEU",
        "the BLEU, on sentences that are used neither for training nor for testing, of the weights that are tested. "
        "They were selected as the best of the training by their BLEU, chrF or loss on these sentences.",
    ),
    (
        "decoded sentences/s",
        "how fast the split was translated; depends on the machine, the batches and the beam.",
    ),
]
"""The name of each figure, with an explanation for a student."""
