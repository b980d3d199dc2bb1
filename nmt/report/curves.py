"""A run's training history, and the learning curves of several runs over steps and over time."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.report.chart import Chart, Point, line_chart, thinned

_MOST_POINTS = 200  # on a line: more than these the eye does not tell apart

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
        speeds = [float(record["tokens_per_second"]) for record in self.train if "tokens_per_second" in record]
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
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: is {path.parent} a whole run folder?") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    kinds: dict[str, list[Record]] = {"train": [], "validation": [], "averaged": []}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end is nothing, or half a line
        try:
            record = json.loads(line)
            kind, step = "averaged" if "averaged" in record else record["kind"], record["step"]
            record["seconds"], record["loss"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}, is damaged: {line[:60]!r}") from None
        records = kinds.setdefault(kind, [])
        while records and records[-1]["step"] >= step:
            records.pop()
        records.append(record)
    return History(train=kinds["train"], validation=kinds["validation"], averaged=kinds["averaged"])


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
