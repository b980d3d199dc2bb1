"""Translates one batch: from source ids to hypotheses, and from hypotheses to text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nmt.data.batch import pad
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import Search, SearchRequest, StepObserver
from nmt.translator.arguments import LineWarning
from nmt.translator.translation import Translation

SourceIds = list[int]
"""The ids of a source line, without `eos`."""


class Sentence(NamedTuple):
    """A sentence to translate.

    Attributes:
        source: the ids of its source pieces.
        prefix: the ids of the target pieces with which its translation must begin.
        terms: the target terms that its translation must contain.
    """

    source: SourceIds
    prefix: Sequence[int] = ()
    terms: Sequence[str] = ()


def cut_off(sentences: Sequence[list[int]], limit: int, warn: LineWarning | None, *, side: str = "") -> list[int]:
    """Cuts sentences with more than `limit` pieces off, in place; returns their indices.

    Args:
        sentences: ids of each.
        limit: maximum number of pieces.
        warn: called for each of them.
        side: the words before "has" in a warning; empty for a sentence alone.
    """
    long = [index for index, ids in enumerate(sentences) if len(ids) > limit]
    for index in long:
        if warn is not None:
            subject = f"its {side} has " if side else ""
            num_pieces = len(sentences[index])
            warn(index, f"{subject}{num_pieces} pieces, but the model takes at most {limit}: the rest is cut off")
        del sentences[index][limit:]
    return long


def batches_by_length(lengths: Sequence[int], size_for: Callable[[int], int]) -> Iterator[list[int]]:
    """Divides sentences into batches of similar lengths, the longest first, so that little of a batch is padding.

    Args:
        lengths: of each sentence, in pieces; those of length 0 are left out.
        size_for: maximum number of sentences of a batch whose longest one has a given length; counts as at least 1.

    Yields:
        the indices of the sentences of each batch.
    """
    by_length = sorted((index for index, length in enumerate(lengths) if length), key=lambda index: -lengths[index])
    while by_length:
        size = max(1, size_for(lengths[by_length[0]]))
        yield by_length[:size]
        by_length = by_length[size:]


def translate_batch(
    model: TranslationModel,
    tokenizer: Tokenizer,
    sentences: Sequence[Sentence],
    search: Search,
    n_best: int,
    *,
    observer: StepObserver | None = None,
) -> list[list[Translation]]:
    """Translates the sentences of a batch: the n best hypotheses of each.

    Args:
        model: on any device.
        tokenizer: of the model.
        sentences: at least one.
        search: finds the hypotheses.
        n_best: maximum number of hypotheses of each sentence.
        observer: see `SearchRequest`.

    Raises:
        UserError: a sentence has no hypothesis, since the model's scores are not finite.
    """
    sources, prefixes, _ = zip(*sentences, strict=True)
    source, source_mask = pad(sources, tokenizer.pad_id, last=tokenizer.eos_id)  # (B, S)
    request = SearchRequest(
        source=source.to(model.device),
        source_mask=source_mask.to(model.device),
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        banned_ids=list_banned_ids(tokenizer),
        n_best=n_best,
        prefixes=prefixes if any(prefixes) else None,
        observer=observer,
        decode=tokenizer.decode_target,
    )
    n_best_lists = search(model, request)
    if not all(n_best_lists):  # a list is empty if every score is NaN
        raise UserError("no translation was found, since the model's scores are not finite numbers: train it again")
    return [
        [to_translation(tokenizer, ids, hypothesis) for hypothesis in hypotheses]
        for ids, hypotheses in zip(sources, n_best_lists, strict=True)
    ]


def list_banned_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids of the target pieces that no translation contains."""
    mask_ids = [tokenizer.mask_id] if tokenizer.shared and tokenizer.mask_id is not None else []
    return [tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id, *mask_ids]


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
