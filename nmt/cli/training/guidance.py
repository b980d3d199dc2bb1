"""The word links that guide a head of a run's model, if the settings ask for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from datasets import Dataset

from nmt.cli.shell.settings import naming_group
from nmt.cli.training.settings import TrainSettings
from nmt.data.corpus import Corpus
from nmt.data.links import encode_links
from nmt.data.tokenizer import Tokenizer
from nmt.models import Seq2Seq
from nmt.training.guided_alignment import choose_guided_layer


def make_link_encoder(
    settings: TrainSettings, corpus: Corpus, tokenizer: Tokenizer, model: Seq2Seq
) -> Callable[[Dataset], Dataset] | None:
    """`encode_links` for the training split; None if no head is guided.

    Raises:
        UserError: the model has no such head.
    """
    trainer = settings.trainer
    if trainer.alignment_weight == 0:
        return None
    with naming_group("trainer"):
        choose_guided_layer(model, layer=trainer.alignment_layer, head=trainer.alignment_head)
    return partial(
        encode_links,
        tokenizer=tokenizer,
        split_words=corpus.words,
        complete=trainer.alignment_complete,
        split_name=settings.train_split,
        num_workers=settings.loader.num_workers,
    )
