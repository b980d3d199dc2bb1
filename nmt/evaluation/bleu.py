"""Corpus BLEU from the n-gram counts of each sentence, so that the sentences are counted once and summed in any choice.

The counts of a corpus form an array with one row per sentence, (N, 10): the numbers of matching n-grams (4) and of all
n-grams of the translation (4), then the lengths of translation and reference, in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU, MAX_NGRAM_ORDER

SentenceCounts = npt.NDArray[np.int64]
"""(N, 10), as this module describes."""


def count_sentences(
    hypotheses: Sequence[str], references: Sequence[str], *, tokenizer: str, lowercase: bool
) -> SentenceCounts:
    """The counts of each sentence: (N, 10)."""
    metric = BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=True, force=True)
    scores = (metric.sentence_score(hypothesis, [ref]) for hypothesis, ref in zip(hypotheses, references, strict=True))
    return np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores], dtype=np.int64)


def uses_effective_order(counts: SentenceCounts) -> bool:
    """Whether no reference is long enough for 4-grams, so that BLEU is the mean over the shorter n-grams alone.

    Otherwise even a perfect translation of such a corpus would get 0. It depends on the references only, so it is the
    same for all systems. sacreBLEU calls this the effective order, and its signature states it.
    """
    return int(counts[:, 9].max(initial=0)) < MAX_NGRAM_ORDER


def corpus_bleu(counts: SentenceCounts) -> float:
    """BLEU of some sentences, 0 to 100, with sacreBLEU's default smoothing.

    Two sides without a single token are equal, and get 100; sacreBLEU would give 0.
    """
    sums = counts.sum(axis=0).tolist()
    if sums[8] == sums[9] == 0:
        return 100.0
    score = BLEU.compute_bleu(
        correct=sums[0:4],
        total=sums[4:8],
        sys_len=sums[8],
        ref_len=sums[9],
        smooth_method="exp",
        effective_order=uses_effective_order(counts),
    )
    return float(score.score)


def bleu_signature(counts: SentenceCounts, *, tokenizer: str, lowercase: bool) -> str:
    """sacreBLEU's signature of a score that `corpus_bleu` computed from these counts."""
    metric = BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=uses_effective_order(counts))
    metric.corpus_score([""], [[""]])  # from this call it knows the number of references per sentence
    return str(metric.get_signature())
