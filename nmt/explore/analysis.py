"""Everything that a page shows about one translation: pieces, words, log-probabilities, attention, gold links.

Shapes: L layers, H heads, R rows (what attends), C columns (what is attended to), T target pieces, S source pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from nmt.data.pharaoh import GoldLinks
from nmt.data.words import Splitter, find_text_words, group_pieces, separate_words
from nmt.errors import UserError
from nmt.explore.gold import find_gold_links
from nmt.explore.pictures import Picture, find_picture
from nmt.explore.systems import System
from nmt.models.attention import Kind
from nmt.translator import Attention, Translation
from nmt.translator.arguments import Kinds, Prefix
from nmt.translator.attention import DECIMALS


@dataclass(frozen=True)
class Word:
    """A word, and the pieces that spell it.

    Attributes:
        text: the word; a special piece, such as "</s>", is a word of its own.
        pieces: the indices of its pieces in their list. A piece may spell parts of several words.
    """

    text: str
    pieces: list[int]


@dataclass(frozen=True)
class AttentionView:
    """The attention weights of one kind, of every layer and head, between pieces.

    Attributes:
        kind: "cross" (target to source), "encoder" (source to itself) or "decoder" (target to itself).
        layers: the numbers of the L layers, from 0.
        heads: the numbers of the H heads, from 0.
        rows: the R pieces that attend. Of the kinds cross and decoder: the target pieces as they are predicted, "</s>"
            last.
        columns: the C pieces that are attended to. Of the kind decoder: the target pieces that have been read, "<s>"
            first.
        row_words: the words that the rows spell.
        column_words: the words that the columns spell.
        weights: [L][H][R][C], rounded to DECIMALS; each row sums to 1. Between words, columns are added and rows are
            averaged, see `Attention.words`.
    """

    kind: Kind
    layers: list[int]
    heads: list[int]
    rows: list[str]
    columns: list[str]
    row_words: list[Word]
    column_words: list[Word]
    weights: list[list[list[list[float]]]]


@dataclass(frozen=True)
class Analysis:
    """One translation by one system, its own or a given one.

    Attributes:
        system: the name of the system.
        source: the source line.
        text: the translation.
        score: the search ranks by it; higher is better.
        log_probability: log p(target | source), in nats.
        milliseconds: how long the search took; None for a given translation.
        source_pieces: the S pieces of the source, "</s>" last.
        target_pieces: the T pieces of the translation, "</s>" last.
        source_words: the words that the source pieces spell.
        target_words: the words that the target pieces spell.
        log_probabilities: of each target piece, T of them, "</s>" included. Their sum is `log_probability`, up to
            rounding.
        attention: the attention of each kind that the system has and that was asked for.
        gold: the word links that are known to be right, each an index into `source_words` and one into `target_words`;
            None if they are not known.
        picture: the picture in the source; None if it has none.
        truncated: the length limit of the search has cut the translation off.
        source_truncated: the source was too long for the model; its end was not translated.
        heads_off: the names of the heads that are switched off, such as "encoder.0.3".
    """

    system: str
    source: str
    text: str
    score: float
    log_probability: float
    milliseconds: float | None
    source_pieces: list[str]
    target_pieces: list[str]
    source_words: list[Word]
    target_words: list[Word]
    log_probabilities: list[float]
    attention: dict[Kind, AttentionView]
    gold: list[tuple[int, int]] | None
    picture: Picture | None
    truncated: bool
    source_truncated: bool
    heads_off: list[str]


def analyse(
    system: System,
    source: str,
    target: str | Sequence[str] | None = None,
    *,
    prefix: Prefix | None = None,
    kinds: Kinds = "all",
    heads_off: Sequence[str] = (),
) -> Analysis:
    """Analyses the translation of a source line that the system finds, or a given one.

    Args:
        system: translates.
        source: the line.
        target: a translation to analyse instead of the system's own: text, or a list of pieces.
        prefix: what the system's own translation must begin with, see `Translator.translate`.
        kinds: the kinds of attention to return.
        heads_off: names of heads to switch off.

    Raises:
        UserError: the source or the target has no words; the target has an unknown piece or more pieces than the model
            takes; both a target and a prefix are given; or the system has no such head.
    """
    if target is not None and prefix:
        raise UserError("name a target or a prefix, not both: a given target is not continued")
    translator = system.translator(heads_off)
    if target is not None:
        translation, milliseconds = translator.force_decode(source, target, attention=kinds), None
    else:
        start = perf_counter()
        found = translator.translate(source, attention=(), prefix=prefix)
        milliseconds = 1000 * (perf_counter() - start)
        if not found.source_tokens:
            raise UserError("the source has no words")
        forced = translator.force_decode(source, found.target_tokens, attention=kinds)
        translation = replace(
            forced, score=found.score, log_probability=found.log_probability, truncated=found.truncated
        )
    return describe_translation(
        system.name,
        source,
        translation,
        gold=find_gold_links(system.grammar, source, translation.text),
        milliseconds=milliseconds,
        heads_off=heads_off,
    )


def describe_translation(
    system: str,
    source: str,
    translation: Translation,
    *,
    gold: GoldLinks | None,
    split: Splitter = separate_words,
    milliseconds: float | None = None,
    heads_off: Sequence[str] = (),
) -> Analysis:
    """The analysis of a translation that `Translator.force_decode` has scored.

    Args:
        system: name of the system.
        source: the source line.
        translation: with log-probabilities, and with the attention that is wanted.
        gold: the word links that are known to be right, between words as `split` counts them; None if unknown.
        split: how words are counted.
        milliseconds: how long the search took; None for a given translation.
        heads_off: the heads that were switched off.
    """
    return Analysis(
        system=system,
        source=source,
        text=translation.text,
        score=translation.score,
        log_probability=translation.log_probability,
        milliseconds=milliseconds,
        source_pieces=translation.source_tokens,
        target_pieces=translation.target_tokens,
        source_words=group_words(translation.source_tokens, split),
        target_words=group_words(translation.target_tokens, split),
        log_probabilities=translation.log_probabilities,
        attention={kind: view_attention(weights, split) for kind, weights in translation.attention.items()},
        gold=None if gold is None else index_links(gold, translation, split),
        picture=find_picture(translation.source_tokens),
        truncated=translation.truncated,
        source_truncated=translation.source_truncated,
        heads_off=list(heads_off),
    )


def group_words(pieces: Sequence[str], split: Splitter) -> list[Word]:
    """The words that pieces spell, in order."""
    return [Word(text, indices) for text, indices in group_pieces(pieces, split)]


def view_attention(attention: Attention, split: Splitter) -> AttentionView:
    """Attention between pieces, of every layer and head, as lists of numbers."""
    assert attention.layers is not None and attention.heads is not None, "a mean has no numbers of layers and heads"
    return AttentionView(
        kind=attention.kind,
        layers=list(attention.layers),
        heads=list(attention.heads),
        rows=attention.rows,
        columns=attention.columns,
        row_words=group_words(attention.rows, split),
        column_words=group_words(attention.columns, split),
        weights=np.round(attention.weights.astype(np.float64), DECIMALS).tolist(),
    )


def index_links(gold: GoldLinks, translation: Translation, split: Splitter) -> list[tuple[int, int]]:
    """Word links, which count no special pieces, as indices into the lists of `group_words`, which contain them."""
    sources, targets = (
        [index for index, _ in find_text_words(pieces, split)]
        for pieces in (translation.source_tokens, translation.target_tokens)
    )
    # The model may have cut off the end of the source, and the search that of the target.
    return [
        (sources[source], targets[target])
        for source, target in sorted(gold.possible)
        if source < len(sources) and target < len(targets)
    ]
