"""From weights to links, by hand."""

import numpy as np

from nmt.alignment.extraction import argmax_links, threshold_links

WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.4, 0.1, 0.5], [0.2, 0.2, 0.1]])  # the last row gives half of its weight to eos


def test_argmax_links_every_target_word_once() -> None:
    assert argmax_links(WEIGHTS) == {(0, 0), (2, 1), (0, 2)}


def test_a_threshold_gives_several_links_or_none() -> None:
    assert threshold_links(WEIGHTS, 0.4) == {(0, 0), (0, 1), (2, 1)}


def test_a_side_without_words_has_no_links() -> None:
    for shape in ((0, 0), (0, 3), (2, 0)):
        assert argmax_links(np.zeros(shape)) == set()
        assert threshold_links(np.zeros(shape), 0.1) == set()
