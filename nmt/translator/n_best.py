"""The n best translations of a sentence with distinct texts.

The hypotheses of a search are distinct sequences of pieces, but several of them can be segmentations of the same text:
a model that was trained on random segmentations gives them similar scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from nmt.search.protocol import Search
from nmt.translator.translation import Translation

WIDER_BEAMS = (2, 4, 8, 16)
"""How much wider than the search's own the beams are that look for missing texts, one after the other."""

SentenceT = TypeVar("SentenceT")
"""A sentence in the form in which `FindTranslations` takes it."""

FindTranslations = Callable[[Sequence[SentenceT], Search, int], list[list[Translation]]]
"""Translates a batch of sentences with a search: the given number of hypotheses of each, or fewer if there are no
more."""


def find_distinct(
    find: FindTranslations[SentenceT], sentences: Sequence[SentenceT], search: Search, n_best: int
) -> list[list[Translation]]:
    """At least `n_best` translations of each sentence with distinct texts, best first; fewer if no more are found.

    Sentences with too few texts are searched again with wider beams. These only supply the missing texts: the best
    translation stays the one that the search finds by itself, and the score of a text does not depend on `n_best`.

    Args:
        find: translates a batch.
        sentences: of a batch.
        search: is asked for all its hypotheses.
        n_best: number of translations per sentence.

    Raises:
        UserError: the search cannot return `n_best` hypotheses.
    """
    if n_best == 1:
        return find(sentences, search, 1)
    num_hypotheses = max(n_best, search.beam_size)
    lists = find(sentences, search, num_hypotheses)
    distinct = [merge_segmentations(translations) for translations in lists]
    # A beam with free slots has found everything that the length limit allows: a wider one finds no more.
    is_full = [len(translations) == num_hypotheses for translations in lists]
    for factor in WIDER_BEAMS:
        waiting = [index for index, texts in enumerate(distinct) if is_full[index] and len(texts) < n_best]
        wider = search.changed(beam_size=factor * search.beam_size) if waiting else search
        part_size = max(1, len(sentences) // factor)  # so that a part needs no more memory than the batch did
        for start in range(0, len(waiting), part_size):
            part = waiting[start : start + part_size]
            lists = find([sentences[index] for index in part], wider, wider.beam_size)
            for index, translations in zip(part, lists, strict=True):
                is_full[index] = len(translations) == wider.beam_size
                worse = [each for each in translations if each.score <= distinct[index][0].score]
                distinct[index] = best_first(merge_segmentations([*distinct[index], *worse]))
    return distinct


def merge_segmentations(translations: Iterable[Translation]) -> list[Translation]:
    """The translations with each text once: its first one, in their order."""
    first: dict[str, Translation] = {}
    for translation in translations:
        first.setdefault(text_key(translation.text), translation)
    return list(first.values())


def text_key(text: str) -> str:
    """Equal for texts that count as the same: they differ at most in white space."""
    return " ".join(text.split())


def best_first(translations: Iterable[Translation]) -> list[Translation]:
    """The translations by descending score."""
    return sorted(translations, key=lambda translation: -translation.score)
