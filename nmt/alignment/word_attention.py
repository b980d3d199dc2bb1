"""Cross-attention between the words of given sentence pairs: one pass of teacher forcing per batch.

Words are counted in the lines themselves, so the indices of links hold for the text that the user has, whatever the
tokenizer changes in it.

Shapes: B pairs of a batch, L layers, H heads, T target pieces with `eos`, S source pieces with `eos`; I target words, J
source words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmt.alignment.extraction import Extraction, Rows
from nmt.data.batch import make_batch
from nmt.data.words import NO_TEXT, Span, Splitter, assign_pieces
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.translator import LineWarning, Translator, sanitize
from nmt.translator.attending import MAX_ATTENTION_CELLS
from nmt.translator.attention import membership
from nmt.translator.batch import batches_by_length

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class WordAttention:
    """The cross-attention of one sentence pair, and which pieces make up which words.

    `Attention.words` serves readers: it groups pieces by the text that they spell. Links need what it cannot know: the
    words of the line itself, which the tokenizer may have changed, and other rows than those of a word's own pieces.

    Attributes:
        layers: the L numbers of the layers, from 0.
        weights: (L, H, T, S); row t predicts target piece t, and the last row `eos`. The last column is `eos`, too.
        source_words, target_words: the J and I words.
        source_pieces, target_pieces: the indices of the pieces of each word; seldom none.
    """

    layers: tuple[int, ...]
    weights: Floats
    source_words: list[str]
    target_words: list[str]
    source_pieces: list[list[int]]
    target_pieces: list[list[int]]

    def between_words(self, rows: Rows) -> Floats:
        """The attention (L, H, I, J + 1) of target words to source words and, in the last column, to `eos` and a tag.

        The columns of a source word's pieces are added; the column of a piece that spells parts of several words is
        divided equally among them. The rows that represent a target word are averaged. All rows sum to one, except
        those of words without pieces, which are zero.

        Args:
            rows: which rows represent a target word.
        """
        num_rows, num_columns = self.weights.shape[-2:]
        if rows == "first":
            chosen = [pieces[:1] for pieces in self.target_pieces]
        elif rows == "shifted":  # the last row, of `eos`, follows that of the last piece
            chosen = [[piece + 1 for piece in pieces] for pieces in self.target_pieces]
        else:
            chosen = self.target_pieces
        row_members = membership(chosen, num_rows)  # (I, T)
        row_members /= np.maximum(row_members.sum(1, keepdims=True), 1)
        others = set(range(num_columns)).difference(*self.source_pieces)  # `eos`, and a tag if there is one
        column_members = membership([*self.source_pieces, sorted(others)], num_columns)  # (J + 1, S)
        column_members /= np.maximum(column_members.sum(0, keepdims=True), 1)
        return (row_members @ self.weights @ column_members.T).astype(np.float32)  # (L, H, I, J + 1)

    def select(self, extraction: Extraction) -> Floats:
        """The weights (I, J + 1) from which links are extracted, with `eos` in the last column.

        Raises:
            UserError: the model has no such layer or head.
        """
        words = self.between_words(extraction.rows)  # (L, H, I, J + 1)
        return select_head(words, self.layers, extraction.layer, extraction.head)


def select_head(weights: Floats, layers: Sequence[int], layer: int | None, head: int | None) -> Floats:
    """One matrix (I, J) of all (L, H, I, J), or the mean of several.

    Args:
        weights: the weights of these `layers`.
        layers: the numbers of the L layers.
        layer: None: the mean over layers and heads.
        head: None: the mean over the heads of the layer.

    Raises:
        UserError: there is no such layer or head.
    """
    if layer is None:
        return weights.mean((0, 1))
    if layer not in layers:
        raise UserError(f"layer={layer} does not exist: the last layer is {layers[-1]}")
    heads = weights[layers.index(layer)]  # (H, I, J)
    if head is None:
        return heads.mean(0)
    if not 0 <= head < len(heads):
        raise UserError(f"head={head} does not exist: the last head is {len(heads) - 1}")
    return heads[head]


@dataclass(frozen=True)
class Side:
    """One line of a pair: its piece ids without `eos`, its words, and the indices of the pieces of each word."""

    ids: list[int]
    words: list[str]
    pieces: list[list[int]]


def attend_words(
    translator: Translator,
    pairs: Sequence[tuple[str, str]],
    *,
    split: Splitter,
    layer: int | None,
    warn: LineWarning | None,
) -> list[WordAttention]:
    """The attention of each pair, in their order, computed in batches of similar lengths.

    Args:
        translator: has a model with attention.
        pairs: lines and their translations. A line that is too long for the model is cut off, and its last words are
            left out.
        split: how words are counted.
        layer: compute only this layer; None: all of them.
        warn: called for each line that is cut off, with the index of its pair.

    Raises:
        UserError: the model has no attention, or no such layer.
    """
    sources = _prepare([source for source, _ in pairs], translator, split, side="source", warn=warn)
    targets = _prepare([target for _, target in pairs], translator, split, side="target", warn=warn)
    attention: dict[int, WordAttention] = {}
    lengths = [max(len(source.ids), len(target.ids)) + 1 for source, target in zip(sources, targets, strict=True)]
    cells = MAX_ATTENTION_CELLS
    for indices in batches_by_length(
        lengths, lambda longest: min(translator.batch_tokens // longest, cells // longest**2)
    ):
        translator.before_batch()
        batch_sources, batch_targets = ([side[index].ids for index in indices] for side in (sources, targets))
        weights = _attend_batch(translator, batch_sources, batch_targets, layer)  # (B, L, H, T, S)
        for row, index in enumerate(indices):
            source, target = sources[index], targets[index]
            attention[index] = WordAttention(
                layers=tuple(range(weights.shape[1])) if layer is None else (layer,),
                weights=weights[row, :, :, : len(target.ids) + 1, : len(source.ids) + 1].copy(),  # frees the batch
                source_words=source.words,
                target_words=target.words,
                source_pieces=source.pieces,
                target_pieces=target.pieces,
            )
    return [attention[index] for index in range(len(pairs))]


def _prepare(
    lines: Sequence[str],
    translator: Translator,
    split: Splitter,
    *,
    side: Literal["source", "target"],
    warn: LineWarning | None,
) -> list[Side]:
    """Encodes the lines of one side, and finds the pieces of each word."""
    tokenizer = translator.tokenizer
    encode, find_spans = {
        "source": (tokenizer.encode_source, tokenizer.source_spans),
        "target": (tokenizer.encode_target, tokenizer.target_spans),
    }[side]
    clean = [sanitize(line) for line in lines]
    limit = translator.max_length - 1  # one position is left for `eos`
    prepared = []
    for index, (line, text, ids) in enumerate(zip(lines, clean, encode(clean), strict=True)):
        is_cut_off = len(ids) > limit
        if is_cut_off and warn is not None:
            warn(index, f"its {side} has {len(ids)} pieces, but the model takes at most {limit}: the rest is cut off")
        # `sanitize` removed the spaces (and NULs) before the text; the spans of words and pieces count them.
        indent = len(line) - len(line.lstrip(" \0"))
        spans: list[Span] = [
            span if span == NO_TEXT else (span[0] + indent, span[1] + indent) for span in find_spans(text)[:limit]
        ]
        words = split(line)
        if is_cut_off:
            words = [(start, end) for start, end in words if start < spans[-1][1]]
        prepared.append(
            Side(
                ids=ids[:limit],
                words=[line[start:end] for start, end in words],
                pieces=assign_pieces(spans, words),
            )
        )
    return prepared


def _attend_batch(
    translator: Translator, sources: Sequence[list[int]], targets: Sequence[list[int]], layer: int | None
) -> Floats:
    """The cross-attention (B, L, H, T, S) of B pairs of piece ids without `eos`; `layer` as for `attend_words`."""
    model, tokenizer = translator.model, translator.tokenizer
    batch = make_batch(sources, targets, pad_id=tokenizer.pad_id, bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id).to(
        model.device
    )
    num_layers, _ = attention_shape(model)
    inputs = (batch.source, batch.source_mask, batch.target_input)
    weights = model.attention(*inputs, kinds=["cross"], layer=layer).get("cross")
    if weights is None:
        raise UserError(f"layer={layer} does not exist: the last layer is {num_layers - 1}")
    return weights.float().cpu().numpy()


def attention_shape(model: TranslationModel) -> tuple[int, int]:
    """The number of layers and heads from whose cross-attention links can be read.

    Raises:
        UserError: the model has no attention.
    """
    shape = model.cross_attention_shape()
    if shape is None:
        raise UserError(f"{type(model).__name__} has no attention that could align: choose another model")
    return shape
