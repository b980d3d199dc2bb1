"""The scores of a system that the report compares, from the most to the least important."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nmt.evaluation.pronouns import PronounScores
from nmt.evaluation.record import AlignmentQuality, MetricScores
from nmt.report.formatting import format_number, format_score


class Scored(Protocol):
    """What has scores: an evaluated run, and a system of the report."""

    @property
    def metrics(self) -> MetricScores: ...
    @property
    def alignment(self) -> AlignmentQuality | None: ...
    @property
    def pronouns(self) -> PronounScores | None: ...


@dataclass(frozen=True)
class Score:
    """One score of a system.

    Attributes:
        key: its name in report.json.
        title: its name in a table, with an arrow to where it is better.
        get_value: gets it; None if the system has none.
        choose_best: `max` or `min`; None if no value is better than another.
        format: writes it as text.
    """

    key: str
    title: str
    get_value: Callable[[Scored], float | None]
    choose_best: Callable[[list[float]], float] | None
    format: Callable[[float | None], str] = format_score


def _metric(key: str) -> Callable[[Scored], float | None]:
    """Gets the score of a metric that some systems have."""

    def get_value(system: Scored) -> float | None:
        metric = system.metrics.known().get(key)
        return None if metric is None else metric.score

    return get_value


def _error_rate(system: Scored) -> float | None:
    return None if system.alignment is None else 100 * system.alignment.error_rate


def _entropy(system: Scored) -> float | None:
    return None if system.alignment is None else system.alignment.entropy


def _pronouns(system: Scored) -> float | None:
    return None if system.pronouns is None else system.pronouns.all.accuracy


SCORES = [
    Score("bleu", "BLEU ↑", lambda system: system.metrics.bleu.score, max),
    Score("chrf", "chrF ↑", lambda system: system.metrics.chrf.score, max),
    Score("ter", "TER ↓", lambda system: system.metrics.ter.score, min),
    Score("bleu_lowercase_tokenized", "BLEU lc ↑", lambda system: system.metrics.bleu_lowercase_tokenized.score, max),
    Score("bleu_lowercase_moses", "BLEU lc Moses ↑", _metric("bleu_lowercase_moses"), max),
    Score("comet", "COMET ↑", _metric("comet"), max),
    Score("alignment_error_rate", "AER ↓", _error_rate, min),
    Score("attention_entropy", "entropy", _entropy, None, format_number),
    Score("pronoun_accuracy", "pronouns ↑", _pronouns, max),
]
