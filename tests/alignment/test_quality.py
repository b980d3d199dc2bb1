"""Alignment errors and weight statistics, by examples worked out by hand, and on a published result."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.quality import LinkCounts, WeightMeter, count_links
from nmt.data.pharaoh import GoldLinks, parse_links


def gold(text: str) -> GoldLinks:
    return parse_links(text, location="test")


def test_errors_count_sure_and_possible_links() -> None:
    """A = {0-0, 1-1, 2-2, 3-3}, S = {0-0, 1-1, 4-4}, P adds 2-2: |A ∩ S| = 2, |A ∩ P| = 3."""
    counts = LinkCounts.of({(0, 0), (1, 1), (2, 2), (3, 3)}, gold("0-0 1-1 2p2 4-4"))
    assert counts == LinkCounts(found=4, sure=3, found_sure=2, found_possible=3)
    assert counts.precision == 3 / 4
    assert counts.recall == 2 / 3
    assert counts.error_rate == pytest.approx(1 - 5 / 7)


def test_a_perfect_alignment_may_leave_out_possible_links() -> None:
    assert LinkCounts.of({(0, 0)}, gold("0-0 1p1")).error_rate == 0
    assert LinkCounts.of({(0, 0), (1, 1)}, gold("0-0 1p1")).error_rate == 0


def test_the_counts_of_a_corpus_are_added() -> None:
    """1 of 1 and 0 of 3 links are right: precision is 1/4, not the mean of 1 and 0."""
    counts = count_links([({(0, 0)}, gold("0-0")), ({(0, 1), (1, 0), (1, 1)}, gold("0-0"))])
    assert counts == LinkCounts(found=4, sure=2, found_sure=1, found_possible=1)
    assert counts.error_rate == pytest.approx(1 - 2 / 6)


def test_without_any_link_nothing_is_wrong() -> None:
    counts = count_links([(set(), gold(""))])
    assert (counts.precision, counts.recall, counts.error_rate) == (1, 1, 0)


def test_statistics_of_weights() -> None:
    """Three target words, two source words. Entropies: ln 2, 0, ln 4 / 2 + ln 2 / 2 = 1.5 ln 2. Coverage: source word 0
    gets 0.5 + 0 + 0.25, source word 1 gets 0.5 + 1 + 0.25, of which 1 counts. Steps: 0 → 1 forward, 1 → 0 backward."""
    meter = WeightMeter()
    meter.add(np.array([[0.5, 0.5], [0.0, 1.0], [0.25, 0.25]]), np.array([0.0, 0.0, 0.5]))
    statistics = meter.statistics()
    assert statistics.entropy == pytest.approx(2.5 * math.log(2) / 3)
    assert statistics.coverage == pytest.approx(1.75 / 2)
    assert statistics.monotonicity == 0.5
    assert statistics.eos_weight == pytest.approx(0.5 / 3)
    # A second pair: one target word, which attends to the only source word. All means are over words.
    meter.add(np.ones((1, 1)), np.zeros(1))
    assert meter.statistics().eos_weight == pytest.approx(0.5 / 4)
    assert meter.statistics().coverage == pytest.approx(2.75 / 3)
    assert meter.statistics().monotonicity == 0.5


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_a_side_without_words_has_statistics(shape: tuple[int, int]) -> None:
    meter = WeightMeter()
    meter.add(np.zeros(shape), np.ones(shape[0]))
    assert meter.statistics().entropy == 0
    assert meter.statistics().monotonicity == 1


@pytest.mark.alignment
@pytest.mark.skipif("NMT_ALIGNMENT" not in os.environ, reason="NMT_ALIGNMENT names no folder with roen.gold")
def test_a_published_aligner_gets_its_published_errors() -> None:
    """awesome-align on Romanian-English: AER 20.7 %, precision 88.6, recall 71.7 (its gold links count from 1)."""
    folder = Path(os.environ["NMT_ALIGNMENT"])
    found = [parse_links(line, location="found") for line in (folder / "roen.awesome-align.out").open()]
    annotated = [parse_links(line, location="gold") for line in (folder / "roen.gold").open()]
    shifted = [{(source + 1, target + 1) for source, target in links.sure} for links in found]
    counts = count_links(zip(shifted, annotated, strict=True))
    assert (round(100 * counts.error_rate, 1), round(100 * counts.precision, 1), round(100 * counts.recall, 1)) == (
        20.7,
        88.6,
        71.7,
    )
