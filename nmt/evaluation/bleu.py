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
    hypotheses: Sequence[str], *references: Sequence[str], tokenizer: str, lowercase: bool
) -> SentenceCounts:
    """The counts of each sentence: (N, 10).

    Args:
        references: one or several for each sentence. With several, an n-gram matches as often as in the reference that
            has it most often, and the length is that of the reference closest in length (Papineni et al. 2002, §2).
    """
    metric = BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=True, force=True)
    rows = zip(hypotheses, *references, strict=True)
    scores = (metric.sentence_score(hypothesis, alternatives) for hypothesis, *alternatives in rows)
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


def bleu_of_draws(counts: SentenceCounts, draws: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """BLEU of many draws from the same sentences at once: `corpus_bleu` of each, as arrays.

    Args:
        counts: (N, 10) of the sentences.
        draws: (R, N) how often each draw contains each sentence.

    Returns:
        (R,) the BLEU of each draw.
    """
    sums = draws.astype(np.float64) @ counts.astype(np.float64)  # (R, 10), exact up to 2**53
    correct, total, length, reference_length = sums[:, 0:4], sums[:, 4:8], sums[:, 8], sums[:, 9]
    # Exponential smoothing: of the orders without a match, the first counts as half a match, the second as a quarter.
    matches = np.where(correct == 0, 0.5 ** (correct == 0).cumsum(axis=1), correct)  # (R, 4)
    exists = total > 0  # (R, 4): an order may have no n-gram at all, and then the longer ones have none either
    logs = np.where(exists, np.log(100 * matches / np.maximum(total, 1)), 0.0)  # (R, 4)
    is_short = draws @ (counts[:, 9] >= MAX_NGRAM_ORDER) == 0  # (R,) no reference is long enough for 4-grams
    num_orders = np.where(is_short, np.maximum(exists.sum(axis=1), 1), MAX_NGRAM_ORDER)  # (R,)
    brevity = np.minimum(1 - reference_length / np.maximum(length, 1e-9), 0)  # (R,) log of the brevity penalty
    bleu = np.exp(brevity + logs.sum(axis=1) / num_orders)  # (R,)
    has_score = correct.any(axis=1) & (is_short | exists.all(axis=1))  # (R,)
    is_empty = (length == 0) & (reference_length == 0)
    return np.where(is_empty, 100.0, np.where(has_score, bleu, 0.0))


def bleu_signature(counts: SentenceCounts, *, num_references: int, tokenizer: str, lowercase: bool) -> str:
    """sacreBLEU's signature of a score that `corpus_bleu` computed from these counts."""
    metric = BLEU(tokenize=tokenizer, lowercase=lowercase, effective_order=uses_effective_order(counts))
    metric.corpus_score([""], [[""]] * num_references)  # from this call it knows the number of references per sentence
    return str(metric.get_signature())
