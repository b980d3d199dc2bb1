"""The result of a validation, and which one is the best: by BLEU, by chrF or by the loss."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from nmt.training.progress import duration

Measure = Literal["bleu", "chrf", "loss"]
"""The figure of a validation that selects the best weights."""

MEASURES: dict[Measure, str] = {"loss": "loss", "bleu": "BLEU", "chrf": "chrF"}
"""How messages call each measure."""

MIN_SCORE = 1.0
"""BLEU and chrF below it, in points, count as equal: they come from a few words that match by chance, or are 0 at every
validation. The loss, which improves from the first step on, decides between them."""

Rank = tuple[float, float]
"""Orders validations: the higher the better."""


class Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The result of a validation.

    Attributes:
        step: update after which it took place.
        num_averaged: number of checkpoints whose mean weights were validated; 1 = the model's own weights.
        num_pairs: number of sentence pairs.
        loss: negative log-likelihood per target token, in nats, without label smoothing.
        bleu, chrf: from 0 to 100; None if the model is pre-trained and does not translate.
        attention_entropy, attention_eos_weight, alignment_error: the figures of the attention, see `AttentionFigures`;
            None for a model without attention, or without gold links.
    """

    step: int
    num_averaged: int
    num_pairs: int
    loss: float
    bleu: float | None = None
    chrf: float | None = None
    attention_entropy: float | None = None
    attention_eos_weight: float | None = None
    alignment_error: float | None = None

    def rank(self, measure: Measure) -> Rank:
        """The measure, and after it the loss, which breaks ties."""
        if measure == "loss":
            return -self.loss, 0.0
        score = self.bleu if measure == "bleu" else self.chrf
        assert score is not None, "a model that does not translate is selected by its loss"
        return score if score >= MIN_SCORE else 0.0, -self.loss

    def describe(self, measure: Measure) -> str:
        """The measure in words, such as "BLEU 31.20"."""
        return f"loss {self.loss:.3f}" if measure == "loss" else f"{MEASURES[measure]} {getattr(self, measure):.2f}"

    def record(self, seconds: float, *, selected_by: Measure, is_best: bool) -> dict[str, Any]:
        """The record for the history, `seconds` after the run started."""
        record: dict[str, Any] = {
            "kind": "validation",
            "step": self.step,
            "seconds": seconds,
            "loss": self.loss,
            "bleu": self.bleu,
            "chrf": self.chrf,
            "pairs": self.num_pairs,
            "selected_by": selected_by,
            "best": is_best,
            "attention_entropy": self.attention_entropy,
            "attention_eos_weight": self.attention_eos_weight,
            "alignment_error": self.alignment_error,
            "averaged": None if self.num_averaged == 1 else self.num_averaged,
        }
        return {name: value for name, value in record.items() if value is not None}

    def line(self, seconds: float, *, is_best: bool) -> str:
        """One line for the terminal and the log."""
        weights = f"step {self.step}" if self.num_averaged == 1 else f"mean of the last {self.num_averaged} checkpoints"
        figures = ", ".join(self.describe(measure) for measure in MEASURES if getattr(self, measure) is not None)
        return f"{weights}, {duration(seconds)}: validation {figures}{'  (best so far)' if is_best else ''}"
