"""A run's training history, and the learning curves of several runs over steps and over time."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.files import parse_json, read_text
from nmt.report.chart import Chart, Point, line_chart, thinned

_MOST_POINTS = 200  # on a line: more than these the eye does not tell apart
_QUANTITIES = {"loss", "bleu", "tokens_per_second"}
_LARGEST = 1e30  # of a quantity: no loss, score or speed is, and what is cannot be drawn

Record = dict[str, Any]


@dataclass(frozen=True)
class History:
    """What training wrote down, by ascending step."""

    train: list[Record]
    """step, epoch, seconds, loss, learning_rate, gradient_norm, tokens_per_second"""
    validation: list[Record]
    """step, seconds, loss, bleu; the last may be missing or None"""
    averaged: list[Record]
    """the same, of the mean of the last checkpoints' weights: no point of the curves, but perhaps the best"""

    @property
    def steps(self) -> int | None:
        """The last step that was written down."""
        return max((int(record["step"]) for record in self.train + self.validation), default=None)

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds of training, validation included."""
        return max((float(record["seconds"]) for record in self.train + self.validation + self.averaged), default=None)

    @property
    def tokens_per_second(self) -> float | None:
        """The median, which neither the warming up nor a busy moment of the machine moves."""
        speeds = [float(speed) for record in self.train if (speed := record.get("tokens_per_second")) is not None]
        return statistics.median(speeds) if speeds else None

    @property
    def best_validation(self) -> Record | None:
        """The first record of the highest validation BLEU."""
        scored = [record for record in self.validation + self.averaged if record.get("bleu") is not None]
        return max(scored, key=lambda record: float(record["bleu"]), default=None)


def read_history(path: Path) -> History:
    """Reads a run's history.jsonl.

    A last line that a killed run left half written is passed over. Where a resumed run went back to an earlier
    step, what it repeated replaces what it had written first.

    Raises:
        ValueError: the file is missing or a line of it is damaged.
    """
    lines = read_text(path).split("\n")
    kinds: dict[str, list[Record]] = {"train": [], "validation": [], "averaged": []}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end is nothing, or half a line
        try:
            record = _checked(parse_json(line))
        except (ValueError, KeyError, TypeError, OverflowError):
            raise UserError(f"{path}, line {number}, is damaged: {line[:60]!r}") from None
        kind, step = "averaged" if "averaged" in record else record["kind"], record["step"]
        records = kinds.setdefault(kind, [])
        while records and records[-1]["step"] >= step:
            records.pop()
        records.append(record)
    return History(train=kinds["train"], validation=kinds["validation"], averaged=kinds["averaged"])


def _checked(record: Record) -> Record:
    """A record whose kind is text, whose step counts and whose quantities are numbers; not finite ones become None.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: it is not one.
    """
    if type(record["kind"]) is not str or type(record["step"]) is not int or not 0 <= record["step"] < 2**53:
        raise ValueError
    if type(record["seconds"]) not in (int, float) or not 0 <= record["seconds"] < 2**53:
        raise ValueError
    checked = {**record, "loss": record["loss"]}
    for key in _QUANTITIES & checked.keys():
        value = checked[key]
        if value is not None and type(value) not in (int, float):
            raise ValueError
        # A loss that overflowed is no point of a curve.
        checked[key] = None if value is None or not abs(float(value)) < _LARGEST else value
    return checked


def learning_curves(histories: Mapping[str, History]) -> list[Chart]:
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


def _line(records: list[Record], over: str, key: str) -> list[Point]:
    """(step or minutes, value) of the records that have a value."""
    unit = 60.0 if over == "seconds" else 1.0
    points = [(float(r[over]) / unit, float(r[key])) for r in records if r.get(key) is not None]
    return thinned(points, most=_MOST_POINTS)
