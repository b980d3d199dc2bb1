"""Adds attention weights to translations, by one pass of teacher forcing over the pieces that the search found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from nmt.data.batch import pad
from nmt.data.tokenizer import Tokenizer
from nmt.models.attention import Kind
from nmt.models.seq2seq import TranslationModel
from nmt.translator.attention import Attention
from nmt.translator.batch import SourceIds
from nmt.translator.translation import Translation

MAX_ATTENTION_CELLS = 2**18
"""Maximum size of the attention matrices of one pass for each layer and head, in sentences × rows × columns. A sentence
that is larger by itself gets a pass of its own."""


def attend_all(
    model: TranslationModel,
    tokenizer: Tokenizer,
    sources: Sequence[SourceIds],
    lists: Mapping[int, Sequence[Translation]],
    kinds: Sequence[Kind],
) -> dict[int, list[Translation]]:
    """Applies `with_attention` to lists of translations, each under the index of its line in `sources`."""
    translations = [translation for each in lists.values() for translation in each]
    own_sources = [sources[index] for index, each in lists.items() for _ in each]
    targets = [tokenizer.target_ids(translation.target_tokens) for translation in translations]  # with `eos`
    completed = iter(with_attention(model, tokenizer, own_sources, targets, translations, kinds))
    return {index: list(islice(completed, len(each))) for index, each in lists.items()}


def with_attention(
    model: TranslationModel,
    tokenizer: Tokenizer,
    sources: Sequence[SourceIds],
    targets: Sequence[Sequence[int]],
    translations: Sequence[Translation],
    kinds: Sequence[Kind],
) -> list[Translation]:
    """The translations with the attention weights with which the model predicts their pieces.

    Args:
        model: computes the weights.
        tokenizer: of the model.
        sources: the source ids of each translation, without `eos`.
        targets: the target ids of each translation, with `eos`.
        translations: their pieces become the labels.
        kinds: the kinds of attention; those that the model lacks are left out.
    """
    if not kinds:
        return list(translations)
    completed = []
    for part in _split_by_cells(sources, targets):
        source, source_mask = pad(sources[part], tokenizer.pad_id, last=tokenizer.eos_id)  # (B, S)
        inputs = [ids[:-1] for ids in targets[part]]
        target_input, _ = pad(inputs, tokenizer.pad_id, first=tokenizer.bos_id)  # (B, T)
        on_device = (tensor.to(model.device) for tensor in (source, source_mask, target_input))
        tensors = model.attention(*on_device, kinds=kinds)  # (B, L, H, rows, columns) each
        weights = {kind: tensor.float().cpu().numpy() for kind, tensor in tensors.items()}  # numpy has no bfloat16
        for row, translation in enumerate(translations[part]):
            # The decoder attends from the pieces that it predicts to those that it has read.
            read = [tokenizer.target_pieces([tokenizer.bos_id])[0], *translation.target_tokens[:-1]]
            labels: dict[Kind, tuple[list[str], list[str]]] = {
                "cross": (translation.target_tokens, translation.source_tokens),
                "encoder": (translation.source_tokens, translation.source_tokens),
                "decoder": (translation.target_tokens, read),
            }
            attention = {}
            for kind, (rows, columns) in labels.items():
                if kind in weights:
                    matrices = weights[kind][row, :, :, : len(rows), : len(columns)]  # (L, H, R, C) without padding
                    layers, heads = (tuple(range(size)) for size in matrices.shape[:2])
                    attention[kind] = Attention(kind, matrices, rows, columns, layers, heads)
            completed.append(replace(translation, attention=attention))
    return completed


def _split_by_cells(sources: Sequence[SourceIds], targets: Sequence[Sequence[int]]) -> Iterator[slice]:
    """Cuts a batch into parts of at most MAX_ATTENTION_CELLS cells, or of one sentence."""
    start = longest = 0
    for index, ids in enumerate(zip(sources, targets, strict=True)):
        longest = max(longest, *(len(side) + 1 for side in ids))
        if index > start and (index + 1 - start) * longest**2 > MAX_ATTENTION_CELLS:
            yield slice(start, index)
            start, longest = index, max(len(side) + 1 for side in ids)
    yield slice(start, len(sources))
