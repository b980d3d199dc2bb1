"""Word links for guided alignment: from links between words to cells of a batch's attention matrices.

    alignment "0-0 1-2"  →  spans of characters, once per split  →  cells (target piece, source piece), for each batch

A span counts characters as the pieces of a sentence spell them. All segmentations of a sentence spell the same
characters, so the spans also hold when segmentations are sampled.

Shapes: B sentence pairs, S source positions, T target positions, N links.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray

from nmt.data.batch import Batch
from nmt.data.cache import dataset_fingerprint
from nmt.data.corpus import quiet
from nmt.data.encoding import IdColumn, count_workers
from nmt.data.pharaoh import check_links, parse_links
from nmt.data.tokenizer import Ids, Tokenizer
from nmt.data.words import Span, Splitter, assign_pieces
from nmt.errors import UserError

VERSION = 3
"""The version of `encode_links`; it is part of the cache key, so increase it with every change."""

END = (-1, -1)
"""The span that stands for the end of the source."""

Indices = NDArray[np.int64]


def encode_links(
    dataset: datasets.Dataset,
    tokenizer: Tokenizer,
    split_words: Splitter,
    *,
    complete: bool,
    split_name: str,
    num_workers: int | None,
) -> datasets.Dataset:
    """Adds the column `link_spans` (int32): four numbers per link, the spans of its source and its target word.

    Sure and possible links count alike. Links of a word without pieces, such as a control character, are left out.

    Args:
        dataset: with the columns of `encode_corpus` and the column "alignment" of `Corpus.split`.
        split_words: how the alignment counts words.
        complete: whether the links are complete. If they are, a target word without links translates no source word, so
            it is linked to the end of the source. Otherwise nothing is known about it, and it gets no link. A pair
            without any links gets none in either case.
        split_name: the name of the split, for error messages.
        num_workers: as for `encode_corpus`.

    Raises:
        UserError: there is no alignment, a line of it is wrong, or no pair has any link.
    """
    if "alignment" not in dataset.column_names:
        raise UserError(
            f"{split_name} has no word links, which guided alignment needs: put them beside its text, one line per "
            f"pair in Pharaoh format, such as {split_name}.en-de.align; trainer.alignment_weight=0 trains without"
        )
    features = datasets.Features({**dataset.features, "link_spans": datasets.Sequence(datasets.Value("int32"))})
    key = f"{dataset_fingerprint(dataset)} {tokenizer.fingerprint} links {VERSION} {complete}"
    with quiet():
        encoded = dataset.map(
            _encode_batch,
            fn_kwargs={
                "tokenizer": tokenizer,
                "split_words": split_words,
                "complete": complete,
                "split_name": split_name,
                "lengths": tokenizer.piece_lengths(),
            },
            batched=True,
            with_indices=True,
            features=features,
            num_proc=count_workers(dataset, num_workers),
            new_fingerprint=hashlib.sha256(key.encode()).hexdigest()[:32],
        )
    if not IdColumn(encoded, "link_spans").lengths().any():
        raise UserError(f"the alignment of {split_name} has no links: guided alignment needs some")
    return encoded


def _encode_batch(
    batch: dict[str, list[Any]],
    indices: list[int],
    *,
    tokenizer: Tokenizer,
    split_words: Splitter,
    complete: bool,
    split_name: str,
    lengths: tuple[Indices, Indices],
) -> dict[str, list[list[int]]]:
    columns = [batch[name] for name in ("alignment", "source", "source_ids", "target", "target_ids")]
    link_spans = []
    columns.append(batch.get("tag", [None] * len(indices)))
    for index, alignment, source, source_ids, target, target_ids, tag in zip(indices, *columns, strict=True):
        location = f"the alignment of {split_name}, pair {index + 1}"
        links = parse_links(alignment, location=location)
        find_sources = partial(tokenizer.source_spans, tag=tag)
        sources = _find_words(source, source_ids, find_sources, split_words, lengths[0])
        targets = _find_words(target, target_ids, tokenizer.target_spans, split_words, lengths[1])
        check_links(links, (source, target), split=split_words, location=location)
        spans = [(sources[source_word], targets[target_word]) for source_word, target_word in sorted(links.possible)]
        if complete and links.possible:
            linked = {target_word for _, target_word in links.possible}
            spans += [(END, span) for target_word, span in enumerate(targets) if target_word not in linked]
        link_spans.append([number for pair in spans if None not in pair for span in pair for number in span or ()])
    return {"link_spans": link_spans}


def _find_words(
    text: str,
    ids: Sequence[int],
    find_pieces: Callable[[str], list[Span]],
    split_words: Splitter,
    piece_lengths: Indices,
) -> list[Span | None]:
    """The span of each word in the characters that the pieces `ids` of a text spell; None for a word without pieces."""
    text = text.strip(" ")  # as `encode_corpus` does
    ends = [0, *accumulate(piece_lengths[list(ids)].tolist())]  # (pieces + 1,)
    piece_spans = find_pieces(text)
    assert len(piece_spans) == len(ids)
    groups = assign_pieces(piece_spans, split_words(text))
    return [(ends[group[0]], ends[group[-1] + 1]) if group else None for group in groups]


class LinkColumn:
    """The word links of a split, which `add_to` adds to its batches.

    Args:
        dataset: with the column of `encode_links`.
        tokenizer: the tokenizer that encoded it.
    """

    def __init__(self, dataset: datasets.Dataset, tokenizer: Tokenizer) -> None:
        self._spans = IdColumn(dataset, "link_spans")
        self._source_lengths, self._target_lengths = tokenizer.piece_lengths()

    def add_to(self, batch: Batch, indices: Indices, sources: Sequence[Ids], targets: Sequence[Ids]) -> Batch:
        """The batch with the links of its pairs, as `Batch` describes them.

        Args:
            batch: made from `sources` and `targets`.
            indices: (B,) the rows of the pairs.
            sources, targets: the piece ids of the B pairs, in any segmentation. Links of pieces that were cut off at
                the end are left out.
        """
        # 1. All links of the batch, and the pieces of their words.
        spans = self._spans[indices]  # B × (4 · links of the pair,)
        pair = np.repeat(np.arange(len(spans)), [len(numbers) // 4 for numbers in spans])  # (N,)
        source_starts, source_ends, target_starts, target_ends = np.concatenate(spans).reshape(-1, 4).T  # 4 × (N,)
        source, num_source = _find_pieces(sources, self._source_lengths, pair, source_starts, source_ends)
        is_end = source_starts == END[0]  # (N,) these links lead to the last source position, `eos`
        source[is_end], num_source[is_end] = batch.source_mask.sum(1).numpy()[pair[is_end]] - 1, 1
        target, num_target = _find_pieces(targets, self._target_lengths, pair, target_starts, target_ends)

        # 2. A link between words is a rectangle of cells: its target pieces × its source pieces. Number the cells of
        #    each rectangle row by row. A link of words that were cut off has none.
        sizes = num_source * num_target  # (N,)
        link = np.repeat(np.arange(len(sizes)), sizes)  # (cells,) the link of each cell
        number = np.arange(len(link)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # (cells,)

        # 3. Find the cells' indices in the flattened (B, T, S) matrices. Where rectangles overlap, a cell counts once.
        num_rows, num_columns = batch.target_input.size(1), batch.source.size(1)  # T, S
        row = pair[link] * num_rows + target[link] + number // num_source[link]
        cells = np.unique(row * num_columns + source[link] + number % num_source[link])

        # 4. The cells of a target piece divide its probability equally.
        _, piece, counts = np.unique(cells // num_columns, return_inverse=True, return_counts=True)
        shares = (1 / counts[piece]).astype(np.float32)

        tensors = torch.from_numpy(cells), torch.from_numpy(shares)
        if batch.source.is_pinned():
            tensors = tensors[0].pin_memory(), tensors[1].pin_memory()
        return replace(batch, link_cells=tensors[0], link_shares=tensors[1])


def _find_pieces(
    sentences: Sequence[Ids], piece_lengths: Indices, pair: Indices, starts: NDArray[np.int32], ends: NDArray[np.int32]
) -> tuple[Indices, Indices]:
    """The index of the first piece of each of N words, and the number of its pieces; 0 if they were cut off.

    Args:
        sentences: the ids of B sentences.
        piece_lengths: (vocabulary,) the number of characters that each piece spells.
        pair: (N,) the index of each word's sentence.
        starts, ends: (N,) each word's span in its sentence.
    """
    # The sentences are joined, so that one search finds the pieces of all words.
    num_pieces = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))  # (B,)
    sentence_ends = np.cumsum(num_pieces)  # (B,) in pieces
    sentence_starts = sentence_ends - num_pieces  # (B,)
    ids = np.concatenate(sentences).astype(np.int64)  # (all pieces,)
    piece_ends = np.cumsum(piece_lengths[ids])  # (all pieces,) in characters
    offsets = np.append(0, piece_ends)[sentence_starts][pair]  # (N,) the characters before each word's sentence
    first = np.searchsorted(piece_ends, starts + offsets, side="right")  # (N,)
    stop = np.searchsorted(piece_ends, ends + offsets, side="left") + 1  # (N,) one after the last piece
    stop = np.minimum(stop, sentence_ends[pair])  # (N,) the pieces after this were cut off
    return first - sentence_starts[pair], np.maximum(stop - first, 0)
