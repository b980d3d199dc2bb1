"""Reads history.jsonl. Each line is a record: the training loss since the last one, a validation, or the end."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from nmt.errors import UserError
from nmt.files import parse_json, read_bytes
from nmt.run.format import MAX_NUMBER, Count

MAX_QUANTITY = 1e30
"""A loss, a score or a speed of this size or more has overflowed; it counts as missing, like NaN."""

MAX_FINAL_RATE = 0.1
"""A learning rate of at most this fraction of the highest one has decayed: more steps would change little."""

MAX_SHOWN_CHARACTERS = 60
"""Maximum length of a damaged line in an error message."""

Seconds = Annotated[float, msgspec.Meta(ge=0, lt=MAX_NUMBER)]


class HistoryRecord(msgspec.Struct, kw_only=True):
    """One line of history.jsonl, without the fields that only people read.

    Attributes:
        kind: "train", "validation", or "end".
        step: the number of updates so far.
        seconds: of training so far, validation included.
        epoch: the number of complete epochs so far; None in a record of a validation.
        loss: in nats per target token; None if it is not finite, and in the record of the end.
        bleu: of the validation split; None in a record of training.
        chrf: likewise.
        attention_entropy: of the cross-attention on validation pairs: mean of a target word's weights, in nats; None if
            the model has no attention, and in other records than those of validations.
        attention_eos_weight: likewise, the mean weight of the end of the source, 0 to 1.
        alignment_error: likewise, the alignment error rate, 0 to 1; None also without gold links.
        selected_by: "bleu", "chrf" or "loss": which figure decides what validation is the best.
        best: whether this validation was the best so far, so that its weights were kept.
        learning_rate: of the last update; None in other records than those of training.
        tokens_per_second: target tokens since the last record of training; None in a record of a validation.
        averaged: how many checkpoints were averaged for this validation; None if it is of the current weights.
        reason: why training ended, such as "max_steps=2000"; None in other records.
    """

    kind: str
    step: Count
    seconds: Seconds
    epoch: Count | None = None
    loss: float | None = None
    bleu: float | None = None
    chrf: float | None = None
    attention_entropy: float | None = None
    attention_eos_weight: float | None = None
    alignment_error: float | None = None
    selected_by: Literal["bleu", "chrf", "loss"] | None = None
    best: bool = False
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    averaged: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        quantities = ("attention_entropy", "attention_eos_weight", "alignment_error")
        for name in ("loss", "bleu", "chrf", "learning_rate", "tokens_per_second", *quantities):
            value = getattr(self, name)
            if value is not None and not abs(value) < MAX_QUANTITY:
                setattr(self, name, None)


@dataclass(frozen=True)
class RunHistory:
    """The records of a run, by ascending step.

    Attributes:
        train: records of the training loss.
        validation: validations of the current weights.
        averaged: validations of the mean of the last checkpoints. They are not on the learning curve, but one of them
            may be the best.
        end: the last end of training; a resumed run may have continued after it. None if there was none.
    """

    train: list[HistoryRecord]
    validation: list[HistoryRecord]
    averaged: list[HistoryRecord]
    end: HistoryRecord | None

    @property
    def steps(self) -> int | None:
        """The last recorded step."""
        return max((record.step for record in self.train + self.validation), default=None)

    @property
    def epochs(self) -> int | None:
        """The last recorded number of complete epochs."""
        records = self.train + ([self.end] if self.end is not None else [])
        return max((record.epoch for record in records if record.epoch is not None), default=None)

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds of training, validation included."""
        return max((record.seconds for record in self.train + self.validation + self.averaged), default=None)

    @property
    def tokens_per_second(self) -> float | None:
        """The median, which neither the first, slow updates nor a busy moment of the machine changes."""
        speeds = [record.tokens_per_second for record in self.train if record.tokens_per_second is not None]
        return statistics.median(speeds) if speeds else None

    @property
    def best_validation(self) -> HistoryRecord | None:
        """The validation whose weights were kept; None without validation."""
        best = [record for record in self.validation + self.averaged if record.best]
        return max(best, key=lambda record: (record.step, record.averaged is not None), default=None)

    @property
    def has_ended(self) -> bool:
        """Whether the run came to its end: it is not training, and was neither killed nor interrupted."""
        return self.end is not None and self.end.step == self.steps

    @property
    def stopped_by_time(self) -> bool:
        """Whether max_minutes ended the run, so that its steps depend on the machine and on what else it did."""
        return self.has_ended and self.end is not None and (self.end.reason or "").startswith("max_minutes")

    @property
    def was_improving(self) -> bool:
        """Whether more steps would probably have helped: the last validation was the best, and the rate was still high.

        Only validations of the current weights count: the mean of the last checkpoints, which always comes last, is not
        on the learning curve. A rate that has decayed to almost nothing ends the learning by design.
        """
        rates = [record.learning_rate for record in self.train if record.learning_rate is not None]
        is_best = bool(self.validation) and self.validation[-1].best
        return is_best and not (rates and rates[-1] <= MAX_FINAL_RATE * max(rates))


NO_HISTORY = RunHistory(train=[], validation=[], averaged=[], end=None)
"""The history of an ensemble, which is not trained itself."""


def read_history(path: Path) -> RunHistory:
    """Reads a run's history.jsonl.

    If training was resumed from an earlier step, the records that it repeated replace the first ones.

    Raises:
        UserError: the file is missing, or a line is damaged.
    """
    by_kind: dict[str, list[HistoryRecord]] = {"train": [], "validation": [], "averaged": [], "end": []}
    for number, line in enumerate(read_lines(path), start=1):
        try:
            record = msgspec.convert(parse_json(line), HistoryRecord)
        # UnicodeEncodeError: JSON may contain half a surrogate pair, which is no character.
        except (UserError, msgspec.ValidationError, UnicodeEncodeError, RecursionError, OverflowError):
            shown = repr(line[:MAX_SHOWN_CHARACTERS])
            raise UserError(f"{path}, line {number}, is damaged: {shown}") from None
        records = by_kind.setdefault(record.kind if record.averaged is None else "averaged", [])
        while records and records[-1].step >= record.step:
            records.pop()
        records.append(record)
    return RunHistory(
        train=by_kind["train"],
        validation=by_kind["validation"],
        averaged=by_kind["averaged"],
        end=by_kind["end"][-1] if by_kind["end"] else None,
    )


def read_lines(path: Path) -> list[str]:
    """Returns the complete lines of history.jsonl, without an incomplete last line, which a killed process may leave.

    Bytes that are not UTF-8, which a crash of the machine may leave, become U+FFFD: a run can be resumed nevertheless.

    Raises:
        UserError: the file is missing, or cannot be read.
    """
    return read_bytes(path).decode("utf-8", errors="replace").split("\n")[:-1]
