"""The figures about attention that a run's validations record: they show when a system learns to align."""

from __future__ import annotations

from collections.abc import Callable

from nmt.alignment.extraction import Extraction
from nmt.cli.training.preparation import PreparedRun
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.validation import spread_evenly
from nmt.data.gold_links import read_gold
from nmt.evaluation.alignment import measure_attention
from nmt.models import Seq2Seq
from nmt.training.guided_alignment import choose_guided_layer
from nmt.training.settings import TrainerSettings
from nmt.training.validation import AttentionFigures
from nmt.translator import Translator

MAX_PAIRS = 200
"""Maximum number of validation pairs whose attention is measured. Their references are forced and nothing is
translated, so the measurement takes a small part of a validation."""


def make_attention_measure(
    settings: TrainSettings, prepared: PreparedRun, *, before_batch: Callable[[], None]
) -> Callable[[Seq2Seq], AttentionFigures]:
    """Makes a function that measures the cross-attention of a model on up to MAX_PAIRS pairs of the validation split.

    The model is forced to write the references. Each target word is linked to the source word with the highest weight,
    in the mean of all layers and heads or, if a head is guided by word links, in this head alone.
    """
    assert prepared.validation_split is not None and settings.validation_split is not None
    split = spread_evenly(prepared.validation_split, MAX_PAIRS)
    lines = list(zip(split["source"], split["target"], strict=True))
    gold = read_gold(split, settings.validation_split)

    def measure(model: Seq2Seq) -> AttentionFigures:
        if model.cross_attention_shape() is None:
            return AttentionFigures()
        translator = Translator(model, prepared.tokenizer, prepared.searcher, batch_tokens=None)
        translator.before_batch = before_batch
        extraction = make_extraction(settings.trainer, model)
        counts, statistics = measure_attention(translator, lines, gold, extraction, split=prepared.corpus.words)
        error = counts.error_rate if counts.sure else None
        return AttentionFigures(statistics.entropy, statistics.eos_weight, error)

    return measure


def make_extraction(settings: TrainerSettings, model: Seq2Seq) -> Extraction:
    """How validations read links: from the guided head, or without one from the mean of all heads."""
    layer = head = None
    if settings.alignment_weight > 0:
        head = settings.alignment_head
        layer = choose_guided_layer(model, layer=settings.alignment_layer, head=head)
    return Extraction(layer=layer, head=head, rows="all", method="argmax")
