"""The learning curves of several runs, over steps and over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nmt.report.chart import Chart, Point, layout_chart, thin_out
from nmt.run.history import HistoryRecord, RunHistory

ATTENTION_QUANTITIES = [
    ("Alignment error rate", "validation", "alignment_error"),
    ("Entropy of attention, in nats", "validation", "attention_entropy"),
    ("Attention to the end of the source", "validation", "attention_eos_weight"),
]
"""The title, the kind of record and the field of each curve of the cross-attention."""

MAX_POINTS = 200
"""Maximum number of points of a line; the eye cannot tell more apart."""


def learning_curves(histories: Mapping[str, RunHistory], *, styles: Sequence[int] = ()) -> list[Chart]:
    """Training loss, validation loss and validation BLEU of all runs (name → history): over steps, then over minutes.

    Validation chrF comes after them if it selected the weights of a run, and after the steps come the figures of the
    attention. A quantity that no run recorded has no chart. `styles` are the numbers of the line styles of the runs; 0,
    1, 2, … if it is empty.
    """
    quantities = [
        ("Training loss", "train", "loss"),
        ("Validation loss", "validation", "loss"),
        ("Validation BLEU", "validation", "bleu"),
    ]
    if any(record.selected_by == "chrf" for history in histories.values() for record in history.validation):
        quantities.append(("Validation chrF", "validation", "chrf"))
    charts = []
    for x_key, x_label in (("step", "training steps"), ("seconds", "minutes of training")):
        for title, kind, y_key in quantities + (ATTENTION_QUANTITIES if x_key == "step" else []):
            lines = [_extract_points(getattr(history, kind), x_key, y_key) for history in histories.values()]
            if any(lines):
                charts.append(
                    layout_chart(
                        title=title,
                        x_label=x_label,
                        names=list(histories),
                        lines=lines,
                        from_zero=y_key != "loss",
                        styles=styles,
                    )
                )
    return charts


def _extract_points(records: list[HistoryRecord], x_key: str, y_key: str) -> list[Point]:
    """The points (step or minutes, value) of the records that have a value."""
    unit = 60.0 if x_key == "seconds" else 1.0
    points = [
        (getattr(record, x_key) / unit, getattr(record, y_key))
        for record in records
        if getattr(record, y_key) is not None
    ]
    return thin_out(points, max_points=MAX_POINTS)
