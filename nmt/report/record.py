"""The content of report.json: every figure of a comparison."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nmt.evaluation.languages import Unit
from nmt.evaluation.pronouns import PronounScores
from nmt.evaluation.record import AlignmentQuality, MetricScores
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
    precision: str


class System(msgspec.Struct, kw_only=True):
    """One of the compared systems. Of another program only the translations are known, and what they score.

    Attributes:
        name: in the report; unique.
        path: its run folder, or the file of its translations.
        num_runs: number of runs whose models translated together: 1, or the members of an ensemble; 0 for another
            program.
        class_name: of the model.
        arguments: of the model.
        parameters: number of trained numbers.
        step: the training step of the weights that were evaluated.
        alignment: how well attention aligns words; None if the split has no gold links.
        pronouns: how pronouns were translated, on the split or else on the split "pronouns"; None if not measured.
    """

    name: str
    path: str
    num_runs: int
    class_name: str | None = msgspec.field(name="class")
    arguments: dict[str, Any]
    parameters: int | None
    step: int | None
    metrics: MetricScores
    alignment: AlignmentQuality | None
    pronouns: PronounScores | None
    training: Training | None
    decoding: Decoding | None
    significance: Significance

    @property
    def may_improve(self) -> bool:
        """Whether more training might raise the scores, as far as that is known."""
        return self.training is not None and not self.training.is_complete


class Bootstrap(msgspec.Struct):
    """The settings of the significance test."""

    resamples: int
    seed: int


class MeanScore(msgspec.Struct):
    """The mean of a score over seeds, and its sample standard deviation; None for a single seed."""

    mean: float
    deviation: float | None


class SeedGroup(msgspec.Struct, kw_only=True):
    """Systems that differ in nothing but the seed of their training; most often a single system.

    Attributes:
        name: what the names of its systems have in common.
        systems: their names.
        seeds: their seeds; empty if the seed of a single system is not known.
        scores: the mean of each score that all of them have, by its key in `nmt.report.scores`.
    """

    name: str
    systems: list[str]
    seeds: list[int]
    scores: dict[str, MeanScore]


class GroupBleu(msgspec.Struct):
    """BLEU of one group in one range of lengths, the mean over its seeds; `low` to `high` is its 95 % interval."""

    group: str
    bleu: float
    low: float
    high: float


class LengthRange(msgspec.Struct, kw_only=True):
    """The sentences whose source has a length of `first` to `last`.

    Attributes:
        sentences: their number.
        mean_length: of their sources.
        groups: BLEU of each group of systems.
    """

    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")
    sentences: int
    mean_length: float
    groups: list[GroupBleu]


class BleuByLength(msgspec.Struct):
    """BLEU by source length, over all test splits on which all systems were evaluated; the compared one comes first."""

    splits: dict[str, int]
    """Name of the split → number of sentences."""
    ranges: list[LengthRange]


class SystemTranslation(msgspec.Struct):
    """One system's translation of a sentence, with its sentence chrF."""

    system: str
    text: str
    chrf: float


class ComparedSentence(msgspec.Struct):
    """A sentence with the translations of all systems.

    Attributes:
        index: of the sentence in the split, from 0.
        length: of the source.
    """

    index: int
    length: int
    source: str
    reference: str
    translations: list[SystemTranslation]


class Comparison(Versioned, kw_only=True):
    """Several systems on one split.

    Attributes:
        other_corpus: the name of the corpus that holds the split, if it is not the one of training.
        source: language code of the source, such as "en".
        target: language code of the target.
        sentences: number of sentences in the split.
        references: number of references of each sentence; the first of them is shown.
        length_unit: in which the length of a source sentence is counted.
        baseline: name of the system that the others are tested against.
        groups: the systems, grouped if they differ in the seed only, in the order of the first system of each group.
        notes: differences between the systems that make their figures less comparable than they look.
        samples: the indices of the sentences whose alignment matrices the page shows.
        translations: every sentence of the split.
    """

    split: str
    other_corpus: str | None
    source: str
    target: str
    sentences: int
    references: int
    length_unit: Unit
    baseline: str
    bootstrap: Bootstrap
    systems: list[System]
    groups: list[SeedGroup]
    bleu_by_length: BleuByLength
    notes: list[str]
    samples: list[int]
    translations: list[ComparedSentence]

    @property
    def has_seeds(self) -> bool:
        """Whether several seeds of a system were given."""
        return len(self.groups) < len(self.systems)

    @property
    def styles(self) -> list[int]:
        """The number of each system's line style: that of its group, so that the seeds of a system look alike."""
        return [i for system in self.systems for i, group in enumerate(self.groups) if system.name in group.systems]
