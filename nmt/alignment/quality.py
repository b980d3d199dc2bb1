"""How good an alignment is: errors against gold links, and properties of the attention weights themselves.

Errors (Och and Ney, 2003, "A Systematic Comparison of Various Statistical Alignment Models", Section 5.1), with the
links A of a system, the sure links S and the possible links P, which include S:

    precision = |A ∩ P| / |A|       recall = |A ∩ S| / |S|       AER = 1 - (|A ∩ S| + |A ∩ P|) / (|A| + |S|)

AER is the alignment error rate. All counts are summed over the corpus before they are divided.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from nmt.data.pharaoh import GoldLinks, Link


@dataclass(frozen=True)
class LinkCounts:
    """Counts of links, from which the errors follow. Counts of several sentence pairs can be added.

    Attributes:
        found: |A|, the links of the system.
        sure: |S|.
        found_sure: |A ∩ S|.
        found_possible: |A ∩ P|.
    """

    found: int = 0
    sure: int = 0
    found_sure: int = 0
    found_possible: int = 0

    @classmethod
    def of(cls, links: Set[Link], gold: GoldLinks) -> Self:
        """The counts of one sentence pair."""
        return cls(len(links), len(gold.sure), len(links & gold.sure), len(links & gold.possible))

    def __add__(self, other: LinkCounts) -> LinkCounts:
        return LinkCounts(
            self.found + other.found,
            self.sure + other.sure,
            self.found_sure + other.found_sure,
            self.found_possible + other.found_possible,
        )

    @property
    def precision(self) -> float:
        """Fraction of the links that are at least possible; 1 without links."""
        return self.found_possible / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Fraction of the sure links that are found; 1 if there are none to find."""
        return self.found_sure / self.sure if self.sure else 1.0

    @property
    def error_rate(self) -> float:
        """The alignment error rate, 0 to 1; 0 if there are neither links nor sure links."""
        total = self.found + self.sure
        return 1 - (self.found_sure + self.found_possible) / total if total else 0.0


def count_links(pairs: Iterable[tuple[Set[Link], GoldLinks]]) -> LinkCounts:
    """The counts of a corpus, from the links and the gold links of each sentence pair."""
    return sum((LinkCounts.of(links, gold) for links, gold in pairs), start=LinkCounts())


@dataclass(frozen=True)
class WeightStatistics:
    """Properties of attention weights between words that need no gold links.

    Attributes:
        entropy: mean entropy of a target word's weights over the source words and `eos`, in nats: 0 if every word
            attends to one word alone, ln 2 if it divides its attention equally between two.
        coverage: mean over the source words of the total weight that a word gets from all target words, counted up to
            1 (Tu et al., 2016); 1 if every word gets its share.
        monotonicity: fraction of the steps from a target word to the next at which the source word with the highest
            weight does not lie further left; 1 without such steps.
        eos_weight: mean weight that a target word gives to the end-of-sentence position of the source.
    """

    entropy: float
    coverage: float
    monotonicity: float
    eos_weight: float


class WeightMeter:
    """Collects the statistics of many sentence pairs."""

    def __init__(self) -> None:
        self._entropy = self._eos_weight = self._coverage = 0.0  # sums over words
        self._num_targets = self._num_sources = self._num_forward = self._num_steps = 0

    def add(self, weights: NDArray[np.floating], eos_weights: NDArray[np.floating]) -> None:
        """Adds one sentence pair.

        Args:
            weights: (T, S) weight of each source word for each target word.
            eos_weights: (T,) weight of the end of the source; each row sums to one together with `weights`.
        """
        rows = np.concatenate([weights, eos_weights[:, None]], axis=1, dtype=np.float64)  # (T, S + 1)
        self._entropy -= float((rows * np.log(np.where(rows > 0, rows, 1))).sum())
        self._eos_weight += float(eos_weights.sum())
        self._coverage += float(np.minimum(weights.sum(0), 1).sum())
        self._num_targets += len(weights)
        self._num_sources += weights.shape[1]
        if weights.size:
            positions = weights.argmax(1)  # (T,)
            self._num_forward += int((np.diff(positions) >= 0).sum())
            self._num_steps += len(positions) - 1

    def statistics(self) -> WeightStatistics:
        """The means over all words added so far."""
        return WeightStatistics(
            entropy=self._entropy / max(self._num_targets, 1),
            coverage=self._coverage / max(self._num_sources, 1),
            monotonicity=self._num_forward / self._num_steps if self._num_steps else 1.0,
            eos_weight=self._eos_weight / max(self._num_targets, 1),
        )
