"""How much translations of a sentence agree with each other: chrF and BLEU of every one against every other.

The scores are those of sacreBLEU for single sentences, from 0 to 100. With a few dozen candidates per sentence there
are hundreds of pairs, so chrF counts the n-grams of each text once.

Shapes: D texts, F different n-grams of one order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

MAX_CHARACTER_ORDER = 6
"""Largest n of chrF's character n-grams."""

SQUARED_BETA = 4
"""chrF's β², with β = 2: recall counts twice as much as precision."""


def chrf_matrix(texts: Sequence[str]) -> Matrix:
    """chrF (D, D): row i is text i as the translation, column j is text j as its reference.

    Source: Popović (2015), https://aclanthology.org/W15-3049, as sacreBLEU computes it: white space is removed, and
    orders of which one side has no n-gram do not count.
    """
    sentences = ["".join(text.split()) for text in texts]
    size = len(sentences)
    precision, recall, num_orders = np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size))
    for order in range(1, MAX_CHARACTER_ORDER + 1):
        counts = count_ngrams(sentences, order)  # (D, F)
        totals = counts.sum(1)  # (D,)
        matches = np.stack([np.minimum(row, counts).sum(1) for row in counts])  # (D, D), symmetric
        both = (totals[:, None] > 0) & (totals > 0)  # (D, D)
        precision += np.where(both, matches / np.maximum(totals[:, None], 1), 0)
        recall += np.where(both, matches / np.maximum(totals, 1), 0)
        num_orders += both
    precision, recall = precision / np.maximum(num_orders, 1), recall / np.maximum(num_orders, 1)
    divisor = SQUARED_BETA * precision + recall
    return 100 * (1 + SQUARED_BETA) * precision * recall / np.where(divisor > 0, divisor, 1)


def count_ngrams(sentences: Sequence[str], order: int) -> NDArray[np.int32]:
    """How often each sentence has each of the F character n-grams of all of them: (D, F)."""
    counters = [Counter(text[start : start + order] for start in range(len(text) - order + 1)) for text in sentences]
    columns = {
        ngram: column for column, ngram in enumerate(dict.fromkeys(ngram for each in counters for ngram in each))
    }
    counts = np.zeros((len(sentences), len(columns)), dtype=np.int32)
    for row, counter in enumerate(counters):
        counts[row, [columns[ngram] for ngram in counter]] = list(counter.values())
    return counts


def bleu_matrix(texts: Sequence[str]) -> Matrix:
    """BLEU (D, D) of single sentences, rows and columns as in `chrf_matrix`.

    Source: Papineni et al. (2002), https://aclanthology.org/P02-1040; smoothed, and without the orders of which a short
    text has no n-gram (sacreBLEU's effective order), with sacreBLEU's tokenizer 13a.
    """
    from sacrebleu.metrics.bleu import BLEU  # not needed for other searches

    bleu = BLEU(effective_order=True)
    return np.array([[bleu.sentence_score(text, [reference]).score for reference in texts] for text in texts])


UTILITIES: dict[str, Callable[[Sequence[str]], Matrix]] = {"chrf": chrf_matrix, "bleu": bleu_matrix}
"""The functions that compare translations, by the name in the configuration."""
