"""The content of report.json: every figure of a comparison."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nmt.evaluation.languages import Unit
from nmt.evaluation.metrics import LengthBucket
from nmt.evaluation.record import MetricScores
from nmt.evaluation.significance import Significance
from nmt.run.format import Versioned
from nmt.run.registry import TypedDescription


class Training(msgspec.Struct, kw_only=True):
    """What the training of a system took, and the validation of its best weights; None where nothing is recorded.

    Attributes:
        selected_by: "bleu", "chrf" or "loss": the figure that decided which weights are the best.
        has_ended: it was neither interrupted nor killed, and is not running any more.
        stopped_by_time: max_minutes ended it, so the number of steps depends on the machine.
        was_improving: its last validation was the best, and the learning rate was still high.
    """

    steps: int | None
    seconds: float | None
    tokens_per_second: float | None
    best_validation_bleu: float | None
    best_validation_step: int | None
    selected_by: Literal["bleu", "chrf", "loss"] | None
    has_ended: bool
    stopped_by_time: bool
    was_improving: bool

    @property
    def is_complete(self) -> bool:
        """Whether more training time would probably change nothing."""
        return self.has_ended and not self.stopped_by_time and not self.was_improving


class Decoding(msgspec.Struct, kw_only=True):
    """How, and how fast, a system translated the split."""

    search: TypedDescription
    seconds: float
    sentences_per_second: float
    device: str
    threads: int


class System(msgspec.Struct, kw_only=True):
    """One of the compared systems.

    Attributes:
        name: in the report; unique.
        run: its run folder.
        class_name: of the model.
        arguments: of the model.
        parameters: number of trained numbers.
        step: the training step of the weights that were evaluated.
    """

    name: str
    run: str
    class_name: str = msgspec.field(name="class")
    arguments: dict[str, Any]
    parameters: int
    step: int
    metrics: MetricScores
    bleu_by_length: list[LengthBucket]
    training: Training
    decoding: Decoding
    significance: Significance


class Bootstrap(msgspec.Struct):
    """The settings of the significance test."""

    resamples: int
    seed: int


class SystemTranslation(msgspec.Struct):
    """One system's translation of a sample sentence; `score` is the one that its search ranked by."""

    system: str
    text: str
    score: float


class ComparedSentence(msgspec.Struct):
    """A sample sentence with the translations of all systems; `index` is its index in the split."""

    index: int
    source: str
    reference: str
    translations: list[SystemTranslation]


class Comparison(Versioned, kw_only=True):
    """Several systems on one split.

    Attributes:
        source: language code of the source, such as "en".
        target: language code of the target.
        sentences: number of sentences in the split.
        length_unit: in which the length of a source sentence is counted.
        baseline: name of the system that the others are tested against.
        notes: differences between the systems that make their figures less comparable than they look.
    """

    split: str
    source: str
    target: str
    sentences: int
    length_unit: Unit
    baseline: str
    bootstrap: Bootstrap
    systems: list[System]
    notes: list[str]
    samples: list[ComparedSentence]
