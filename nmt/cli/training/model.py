"""The model of a training run, and what the run folder stores about it."""

from __future__ import annotations

import msgspec
import torch

from nmt import models
from nmt.cli.shell.settings import Component
from nmt.cli.training.descriptions import describe
from nmt.cli.training.initial_run import load_initial_weights
from nmt.cli.training.pictures import with_pictures
from nmt.cli.training.pretraining import prepare_model
from nmt.cli.training.settings import TrainSettings
from nmt.data.corpus import Corpus
from nmt.data.noise import Noise
from nmt.data.tokenizer import Tokenizer
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import Description
from nmt.training.distributed import Processes


def with_vocabulary(model: Component, tokenizer: Tokenizer) -> Component:
    """The model with the arguments that only the tokenizer knows."""
    vocabulary = {
        "source_vocab_size": tokenizer.source_size,
        "target_vocab_size": tokenizer.target_size,
        "shared_vocab": tokenizer.shared,
    }
    return msgspec.structs.replace(model, arguments={**vocabulary, **model.arguments})


def build_model(
    settings: TrainSettings,
    corpus: Corpus,
    tokenizer: Tokenizer,
    noise: Noise | None,
    device: torch.device,
    processes: Processes,
) -> tuple[Seq2Seq, Description]:
    """The model with its first weights, random or those of `init`, and its description for the run folder.

    A resumed run gets its weights later, from its checkpoint. If it ended before the first one, it starts again with
    the weights of `init`.

    Raises:
        UserError: a setting is wrong, or the weights of `init` do not fit or are not those with which the run started.
    """
    component = with_pictures(with_vocabulary(settings.model, tokenizer), corpus, tokenizer)
    description = describe(component, models)
    torch.manual_seed(settings.seed)
    model = component.build_as(Seq2Seq).to(device)  # type: ignore[type-abstract]
    description |= prepare_model(settings, noise, model)
    description["parameters"] = model.num_parameters()
    if settings.init is not None and not processes.broadcast(RunFolder(settings.run).last.is_file()):
        if processes.is_main:
            description["init"] = load_initial_weights(settings, model)
        processes.broadcast_weights(model)
    return model, description
