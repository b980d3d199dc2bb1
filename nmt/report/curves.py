"""The learning curves of several runs, over steps and over time."""

from __future__ import annotations

from collections.abc import Mapping

from nmt.report.chart import Chart, Point, line_chart, thinned
from nmt.run.history import HistoryRecord, RunHistory

_MOST_POINTS = 200  # on a line: more than these the eye does not tell apart


def learning_curves(histories: Mapping[str, RunHistory]) -> list[Chart]:
    """Training loss, validation loss and validation BLEU of all runs (name → history): over steps, then over minutes.

    A quantity that no run wrote down has no chart.
    """
    charts = []
    for over, axis in (("step", "training steps"), ("seconds", "minutes of training")):
        for title, kind, key in (
            ("Training loss", "train", "loss"),
            ("Validation loss", "validation", "loss"),
            ("Validation BLEU", "validation", "bleu"),
        ):
            lines = [_line(getattr(history, kind), over, key) for history in histories.values()]
            if any(lines):
                charts.append(
                    line_chart(title=title, x_label=axis, names=list(histories), lines=lines, from_zero=key == "bleu")
                )
    return charts


def _line(records: list[HistoryRecord], over: str, key: str) -> list[Point]:
    """(step or minutes, value) of the records that have a value."""
    unit = 60.0 if over == "seconds" else 1.0
    points = [(getattr(r, over) / unit, getattr(r, key)) for r in records if getattr(r, key) is not None]
    return thinned(points, most=_MOST_POINTS)
