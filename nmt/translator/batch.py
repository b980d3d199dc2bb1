"""Translates one batch: from source ids to hypotheses, and from hypotheses to text."""

from __future__ import annotations

from collections.abc import Sequence

from nmt.data.batch import pad
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import Search
from nmt.translator.n_best import SourceIds
from nmt.translator.translation import Translation


def translate_batch(
    model: TranslationModel,
    tokenizer: Tokenizer,
    sources: Sequence[SourceIds],
    search: Search,
    n_best: int,
) -> list[list[Translation]]:
    """Translates source ids (without `eos`) of a batch: the n best hypotheses of each sentence.

    Raises:
        UserError: a sentence has no hypothesis, since the model's scores are not finite.
    """
    source, source_mask = pad(sources, tokenizer.pad_id, last=tokenizer.eos_id)  # (B, S)
    mask_ids = [tokenizer.mask_id] if tokenizer.shared and tokenizer.mask_id is not None else []
    n_best_lists = search(
        model,
        source.to(model.device),
        source_mask.to(model.device),
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        banned_ids=[tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id, *mask_ids],
        n_best=n_best,
    )
    if not all(n_best_lists):  # a list is empty if every score is NaN
        raise UserError("no translation was found, since the model's scores are not finite numbers: train it again")
    return [
        [to_translation(tokenizer, ids, hypothesis) for hypothesis in hypotheses]
        for ids, hypotheses in zip(sources, n_best_lists, strict=True)
    ]


def to_translation(tokenizer: Tokenizer, source_ids: SourceIds, hypothesis: Hypothesis) -> Translation:
    """A hypothesis of the search as text."""
    return Translation(
        text=tokenizer.decode_target(hypothesis.tokens),
        score=hypothesis.score,
        log_probability=hypothesis.log_probability,
        source_tokens=tokenizer.source_pieces([*source_ids, tokenizer.eos_id]),
        target_tokens=tokenizer.target_pieces(hypothesis.tokens),
        log_probabilities=list(hypothesis.log_probabilities),
        truncated=hypothesis.truncated,
    )


def label_source(tokenizer: Tokenizer, source_ids: SourceIds, line: str) -> list[str]:
    """The source pieces, with `eos`; an unknown piece is the text of the line that it stands for."""
    return tokenizer.source_pieces([*source_ids, tokenizer.eos_id], text=line)
