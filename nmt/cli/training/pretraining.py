"""What pre-training (`objective=masked`, `objective=denoising`) does in another way than training on translations."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from nmt.cli.training.settings import TrainSettings
from nmt.data.cleaning import Cleaning
from nmt.data.noise import MaskedPieces, Noise
from nmt.data.tokenizer import Tokenizer
from nmt.models import Seq2Seq
from nmt.run.registry import Description
from nmt.training.masked import MaskedObjective, add_head


def build_noise(settings: TrainSettings, tokenizer: Tokenizer) -> Noise | None:
    """The noise that the objective names; None in training on translations.

    Raises:
        UserError: the objective refuses an argument.
    """
    if settings.objective is None:
        return None
    return settings.objective.build_as(Noise, tokenizer=tokenizer)  # type: ignore[type-abstract]


def build_cleaning(settings: TrainSettings) -> Cleaning:
    """The cleaning of the training split. Pre-training always drops empty lines, in which there is nothing to hide."""
    cleaning = settings.cleaning.build_as(Cleaning)
    return cleaning if settings.objective is None else replace(cleaning, drop_empty=True)


def prepare_model(settings: TrainSettings, noise: Noise | None, model: Seq2Seq) -> Description:
    """Adds to a model what its objective needs. Returns what model.json says of the objective.

    Raises:
        UserError: the objective cannot train such a model.
    """
    if isinstance(noise, MaskedPieces):
        add_head(model)
    return {} if settings.objective is None else {"objective": settings.objective.description()}


def build_objective(settings: TrainSettings, noise: Noise | None, model: Seq2Seq) -> nn.Module | None:
    """The objective of masked pieces; None for the usual loss, with which denoising trains, too."""
    if not isinstance(noise, MaskedPieces):
        return None
    return MaskedObjective(model, label_smoothing=settings.trainer.label_smoothing)
