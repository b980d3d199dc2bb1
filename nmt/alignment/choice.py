"""Chooses which attention aligns best on validation data, and stores the choice in the run folder.

The layer and head that align best differ from run to run, and so does the row that represents a target word. A wrong
guess can be useless: on a small system, the error was 36 % with the row that predicts a word and 87 % with the row
after it. Therefore all of them are tried. Gold links decide which is the best. Without gold links, a lexical alignment
decides: it is rough, but it preferred the same layer and head in all runs where both could be compared
(docs/results/alignment.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from nmt.alignment.extraction import ROWS, Extraction, argmax_links, balance, find_both_directions, threshold_links
from nmt.alignment.lexical import align_lexically
from nmt.alignment.quality import LinkCounts, count_links
from nmt.alignment.symmetrization import SYMMETRIZATIONS
from nmt.alignment.word_attention import WordAttention, attend_words, select_head
from nmt.data.gold_links import read_gold
from nmt.data.pharaoh import GoldLinks, Link
from nmt.errors import Failure, UserError
from nmt.files import write_json
from nmt.run import RunFolder
from nmt.run.format import Count, Number, Versioned, read_versioned
from nmt.translator import Translator

if TYPE_CHECKING:
    from nmt.data.corpus import Corpus

MAX_PAIRS = 300
"""Maximum number of validation pairs by which an extraction is chosen: the first ones of the split."""

SPLITS_TO_CHOOSE_ON = ("val", "held_out", "train")
"""The first of these splits that the corpus has is used. A corpus without any of them, such as a lone test split, uses
its first split, but without its gold links: a choice by them would make the errors on this split look too good."""

THRESHOLDS = (0.2, 0.3, 0.4)
"""The thresholds that are tried; a word with three equal links gives a weight of 1/3 to each."""

Criterion = Literal["gold", "lexical"]
"""The links by which an extraction is chosen."""


class AlignmentChoice(Versioned, kw_only=True):
    """The content of alignment.json in the run folder.

    Attributes:
        extraction: the chosen extraction.
        criterion: the links by which it was chosen.
        split: the split of the run's corpus on which it was chosen.
        pairs: the number of pairs of this split that were used.
        error_rate, precision, recall: of the chosen extraction, against the links of the criterion.
        model_hash: identifies the model, see `hash_model`.
    """

    extraction: Extraction
    criterion: Criterion
    split: str
    pairs: Count
    error_rate: Number
    precision: Number
    recall: Number
    model_hash: str

    @property
    def description(self) -> str:
        """The choice and its reason in words."""
        links = "its gold links" if self.criterion == "gold" else "a lexical alignment, since it has no gold links"
        return f"{self.extraction.description}; chosen on {self.pairs:,} pairs of {self.split} by {links}"


def choice_path(run: RunFolder) -> Path:
    """The file that holds the choice of a run."""
    return run.path / "alignment.json"


def read_choice(run: RunFolder, *, model_hash: str) -> AlignmentChoice | None:
    """The stored choice; None if there is none, or the run has another model by now.

    Raises:
        UserError: the file is damaged, or has another format.
    """
    if not choice_path(run).is_file():
        return None
    choice = read_versioned(choice_path(run), AlignmentChoice)
    return choice if choice.model_hash == model_hash else None


def find_choice(
    run: RunFolder,
    translator: Translator,
    load_corpus: Callable[[], Corpus],
    *,
    model_hash: str,
    remark: Callable[[str], None],
) -> AlignmentChoice:
    """The stored choice, or else a new one, which is stored.

    Args:
        run: the folder that the translator was loaded from.
        translator: its model has attention.
        load_corpus: loads the corpus to choose on, if it is needed.
        model_hash: of the run.
        remark: prints a message about a new choice.

    Raises:
        UserError: the corpus cannot be read.
    """
    try:
        stored = read_choice(run, model_hash=model_hash)
    except UserError as error:
        remark(f"choosing again how to read links: {error}")
        stored = None
    if stored is not None:
        return stored
    choice = choose_for_run(translator, load_corpus(), model_hash=model_hash)
    if not run.is_saved:  # an ensemble that has not been evaluated has no folder
        remark(f"links are read from {choice.description}")
        return choice
    try:
        write_json(choice_path(run), msgspec.to_builtins(choice))
        remark(f"links are read from {choice.description} ({choice_path(run)})")
    except Failure as failure:  # somebody else's folder, for example
        remark(f"links are read from {choice.description}; not stored: {failure}")
    return choice


def choose_for_run(translator: Translator, corpus: Corpus, *, model_hash: str) -> AlignmentChoice:
    """Chooses an extraction on a corpus, if possible on its validation split; see `find_choice`."""
    split = next((name for name in SPLITS_TO_CHOOSE_ON if name in corpus.splits()), None)
    name = corpus.splits()[0] if split is None else split
    pairs = corpus.split(name)
    pairs = pairs.select(range(min(len(pairs), MAX_PAIRS)))
    lines = list(zip(pairs["source"], pairs["target"], strict=True))
    attention = attend_words(translator, lines, split=corpus.words, layer=None, warn=None)
    criterion: Criterion = "gold"
    links = [] if split is None else read_gold(pairs, name)
    if not any(each.sure for each in links):
        criterion = "lexical"
        links = align_lexically([(each.source_words, each.target_words) for each in attention])
    extraction, counts = choose_extraction(attention, links)
    return AlignmentChoice(
        extraction=extraction,
        criterion=criterion,
        split=name,
        pairs=len(pairs),
        error_rate=counts.error_rate,
        precision=counts.precision,
        recall=counts.recall,
        model_hash=model_hash,
    )


def choose_extraction(attention: Sequence[WordAttention], gold: Sequence[GoldLinks]) -> tuple[Extraction, LinkCounts]:
    """The extraction with the lowest alignment error rate, and its counts; of equally good ones, the first."""
    results = (
        (extraction, count_links(zip(links, gold, strict=True))) for extraction, links in try_extractions(attention)
    )
    return min(results, key=lambda result: result[1].error_rate)


def try_extractions(attention: Sequence[WordAttention]) -> Iterator[tuple[Extraction, list[set[Link]]]]:
    """Yields every extraction, simpler ones first, and the links that it finds in each pair."""
    layers, num_heads = attention[0].layers, attention[0].weights.shape[1]
    candidates: list[tuple[int | None, int | None]] = []
    if num_heads > 1:
        candidates += [(None, None), *((layer, None) for layer in layers)]
    candidates += [(layer, head) for layer in layers for head in range(num_heads)]
    for rows in ROWS:
        stacks = []  # for each pair the weights of all candidates, (candidates, I, J)
        for each in attention:
            words = each.between_words(rows)[..., :-1]  # (L, H, I, J)
            stacks.append(np.stack([select_head(words, layers, *candidate) for candidate in candidates]))
        balanced = list(map(balance, stacks))
        for number, (layer, head) in enumerate(candidates):
            extraction = partial(Extraction, layer=layer, head=head, rows=rows)
            yield extraction(method="argmax"), [argmax_links(stack[number]) for stack in stacks]
            for threshold in THRESHOLDS:
                links = [threshold_links(stack[number], threshold) for stack in stacks]
                yield extraction(method="threshold", threshold=threshold), links
            directions = [find_both_directions(stack[number]) for stack in balanced]
            for method, combine in SYMMETRIZATIONS.items():
                yield extraction(method=method), [combine(*each) for each in directions]
