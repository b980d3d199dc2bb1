"""SentencePiece models that another program has trained: which ones can be used, and the pieces that they lack."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.data.tokenizer.description import ModelType
from nmt.data.tokenizer.model_file import BPE, UNIGRAM, insert_control_pieces, read_model_type, read_special_names
from nmt.data.tokenizer.sentencepiece_model import load_processor, special_ids
from nmt.errors import UserError

MODEL_TYPES: dict[int, ModelType] = {UNIGRAM: "unigram", BPE: "bpe"}
"""The types of models that can be used, by their numbers in a serialized model."""


def usable_type(model: bytes) -> ModelType:
    """The type of a model that another program has trained.

    Raises:
        UserError: the bytes are not a SentencePiece model, or it is of another type than "unigram" and "bpe".
    """
    load_processor(model)
    model_type = MODEL_TYPES.get(read_model_type(model))
    if model_type is None:
        raise UserError("its pieces are words or characters: only unigram and BPE models can be used")
    return model_type


def add_special_pieces(models: Sequence[bytes]) -> list[bytes]:
    """The model of both sides, or the models of the two sides, with the special pieces that each one lacks.

    The new pieces follow all others of the smaller model, and get the same ids in the larger one, where the ids of all
    further pieces grow. A model with SentencePiece's own defaults lacks <pad>.
    """
    processors = list(map(load_processor, models))
    if len(set(map(special_ids, processors))) > 1:
        return list(models)  # the tokenizer refuses them, and names the ids that they have
    index = min(processor.get_piece_size() for processor in processors)
    completed = []
    for model, processor in zip(models, processors, strict=True):
        names = zip(read_special_names(model), special_ids(processor), strict=True)
        completed.append(insert_control_pieces(model, [name for name, id in names if id < 0], index=index))
    return completed
