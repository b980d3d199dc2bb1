"""Is system B better than system A, or was it lucky with these sentences? Paired bootstrap resampling of BLEU.

Koehn (2004), "Statistical Significance Tests for Machine Translation Evaluation": draw as many sentences from the test
set as it has, with replacement, again and again, and score every system on each draw. The spread of a system's scores
is its confidence interval. The draws are the same for every system (hence "paired"): whether a draw is easy or hard
cancels out in the difference of two systems.

The intervals equal those of `sacrebleu --paired-bs` (same statistics, same draws for the same seed). The p-value is our
own. sacreBLEU 2.6 counts only the draws strictly beyond the observed difference, and so finds a system significantly
different from itself (p = 1/1001); and it centres the absolute differences, which calls differences significant
too readily. Ours agrees with approximate randomisation (Riezler & Maxwell 2005).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.evaluation.bleu import SentenceCounts, bleu_of_draws, corpus_bleu
from nmt.evaluation.metrics import Metrics

Key = TypeVar("Key", bound=Hashable)

NUM_RESAMPLES = 1000
"""Number of resampled test sets."""

SEED = 12345
"""Seed of the draws: sacreBLEU's own default."""

BLOCK_SIZE = 100
"""Number of draws that are scored at once."""

TAIL_FRACTION = 0.025
"""Fraction of the sorted scores that is cut off at either end; the rest is the 95 % interval."""


@dataclass(frozen=True)
class Significance:
    """One system's BLEU on resampled test sets, alone and against the baseline. All figures but p in BLEU points."""

    bleu: float
    """On the test set itself."""
    mean: float
    """Over the resampled test sets."""
    margin: float
    """Half the width of the 95 % confidence interval: mean ± margin."""
    difference: float
    """bleu minus the baseline's; 0 for the baseline itself."""
    difference_interval: tuple[float, float]
    """The 95 % confidence interval of the difference."""
    p_value: float | None
    """Probability of a difference at least this large, in either direction, if both systems were equally good; at least
    1 / (NUM_RESAMPLES + 1). None for the baseline itself."""


def paired_bootstrap(
    systems: Mapping[str, Sequence[str]], *references: Sequence[str], baseline: str, metrics: Metrics
) -> dict[str, Significance]:
    """Cased BLEU of each system (name → detokenised hypotheses) and of its difference from `baseline`'s.

    Deterministic: the resampled test sets depend on the number of lines alone.

    Args:
        references: one or several for each sentence, as for `Metrics.score`.
        metrics: of the target language.

    Raises:
        UserError: `baseline` is none of the systems, or a system does not have one line for each reference.
    """
    if baseline not in systems:
        raise UserError(f"the baseline {baseline!r} is none of the systems: {', '.join(systems)}")
    num_sentences = len(references[0])
    for name, hypotheses in systems.items():
        if len(hypotheses) != num_sentences:
            raise UserError(
                f"{name} has {len(hypotheses):,} hypotheses for {num_sentences:,} references: "
                "evaluate it again on the whole split"
            )
    counts = {name: metrics.count_sentences(hypotheses, *references) for name, hypotheses in systems.items()}
    bleu = {name: corpus_bleu(rows) for name, rows in counts.items()}
    resampled = _resampled_bleu(counts, num_sentences)
    return {
        name: _compare_with_baseline(
            bleu[name], resampled[name], bleu[baseline], resampled[baseline], is_baseline=name == baseline
        )
        for name in systems
    }


def bootstrap_intervals(systems: Mapping[str, Sequence[SentenceCounts]]) -> dict[str, tuple[float, float]]:
    """The 95 % confidence interval of each system's BLEU, in points.

    Args:
        systems: name → the counts of the same N sentences by each seed of the system. The interval is that of the mean
            BLEU over the seeds; it says how much depends on the sentences, not on the seeds.
    """
    by_seed = {(name, seed): rows for name, seeds in systems.items() for seed, rows in enumerate(seeds)}
    resampled = _resampled_bleu(by_seed, len(next(iter(by_seed.values()))))
    return {
        name: _interval(np.mean([resampled[name, seed] for seed in range(len(seeds))], axis=0))
        for name, seeds in systems.items()
    }


def _compare_with_baseline(
    bleu: float,
    resampled: npt.NDArray[np.float64],
    baseline_bleu: float,
    baseline_resampled: npt.NDArray[np.float64],
    *,
    is_baseline: bool,
) -> Significance:
    """One system's figures.

    Args:
        bleu: on the test set itself.
        resampled: (NUM_RESAMPLES,) BLEU on each resampled test set.
        baseline_bleu: the baseline's, likewise.
        baseline_resampled: (NUM_RESAMPLES,) on the same resampled test sets.
        is_baseline: whether the system is the baseline itself, which gets no p-value.
    """
    low, high = _interval(resampled)
    differences = resampled - baseline_resampled  # (NUM_RESAMPLES,)
    difference = bleu - baseline_bleu
    # Under the null hypothesis the differences vary as they do here, but around zero (Efron & Tibshirani 1993, ch. 16).
    # So shift them to zero, and count how often one lies at least as far out as the observed difference. The test set
    # itself counts as one more draw. The tolerance keeps exact ties, such as two equal systems, safe from rounding.
    is_beyond = np.abs(differences - difference) >= abs(difference) - 1e-9
    p_value = (int(is_beyond.sum()) + 1) / (len(differences) + 1)
    return Significance(
        bleu=bleu,
        mean=float(resampled.mean()),
        margin=(high - low) / 2,
        difference=difference,
        difference_interval=_interval(differences),
        p_value=None if is_baseline else p_value,
    )


def _interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The interval that holds the middle 95 % of `values`."""
    ordered = np.sort(values)
    trimmed = int(len(ordered) * TAIL_FRACTION)
    return float(ordered[trimmed]), float(ordered[len(ordered) - 1 - trimmed])


def _resampled_bleu(counts: Mapping[Key, SentenceCounts], num_sentences: int) -> dict[Key, npt.NDArray[np.float64]]:
    """Each system's BLEU on NUM_RESAMPLES draws of `num_sentences` sentences, the same draws for all of them."""
    generator = np.random.default_rng(SEED)
    scores: dict[Key, list[npt.NDArray[np.float64]]] = {key: [] for key in counts}
    for start in range(0, NUM_RESAMPLES, BLOCK_SIZE):
        count = min(BLOCK_SIZE, NUM_RESAMPLES - start)
        drawn = [generator.choice(num_sentences, size=num_sentences, replace=True) for _ in range(count)]
        draws = np.stack([np.bincount(indices, minlength=num_sentences) for indices in drawn])  # (count, N)
        for key, rows in counts.items():
            scores[key].append(bleu_of_draws(rows, draws))
    return {key: np.concatenate(blocks) for key, blocks in scores.items()}  # each (NUM_RESAMPLES,)
