"""Pictures in a corpus: the tokenizer knows their symbols, and the model must be able to read them."""

from __future__ import annotations

import msgspec

from nmt.cli.shell.settings import Component
from nmt.data.corpus import Corpus
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models import PictureTransformer


def with_pictures(model: Component, corpus: Corpus, tokenizer: Tokenizer) -> Component:
    """The model with the argument that it needs to read the pictures of a corpus; unchanged if there are none.

    Raises:
        UserError: the model cannot read pictures, or the corpus does not have those that it needs.
    """
    symbols, class_name = corpus.main.symbols, model.target.rpartition(".")[2]
    reads_pictures = class_name == PictureTransformer.__name__
    if symbols and not reads_pictures:
        raise UserError(
            f"model: {class_name} cannot read the pictures of this corpus: choose model=picture_transformer, or "
            "data.picture=false for words alone"
        )
    if reads_pictures and not symbols:
        raise UserError(
            f"model: {class_name} needs a corpus with pictures: choose data=scenes with data.picture=true, or another "
            "model"
        )
    if not symbols:
        return model
    first_patch_id = tokenizer.encode_source(symbols[:1])[0][-1]
    return msgspec.structs.replace(model, arguments={"first_patch_id": first_patch_id, **model.arguments})
