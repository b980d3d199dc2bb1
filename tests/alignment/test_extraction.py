"""From weights to links, by hand."""

import numpy as np
import pytest

from nmt.alignment.extraction import Extraction, Method, argmax_links, balance, threshold_links
from nmt.errors import UserError

WEIGHTS = np.array([[0.7, 0.2, 0.1], [0.4, 0.1, 0.5], [0.2, 0.2, 0.1]])  # the last row gives half of its weight to eos


def extraction(method: Method, threshold: float | None = None) -> Extraction:
    return Extraction(layer=None, head=None, rows="all", method=method, threshold=threshold)


def test_argmax_links_every_target_word_once() -> None:
    assert argmax_links(WEIGHTS) == {(0, 0), (2, 1), (0, 2)}


def test_a_threshold_gives_several_links_or_none() -> None:
    assert threshold_links(WEIGHTS, 0.4) == {(0, 0), (0, 1), (2, 1)}


def test_balancing_takes_the_advantage_of_a_word_that_gets_attention_from_everywhere() -> None:
    """The last source word has the highest weight in each row. Column sums 0.5, 0.5, 2: row 0 becomes 0.8, 0, 0.3."""
    weights = np.array([[0.4, 0.0, 0.6], [0.1, 0.2, 0.7], [0.0, 0.3, 0.7]])
    assert argmax_links(weights) == {(2, 0), (2, 1), (2, 2)}
    balanced = balance(weights)
    np.testing.assert_allclose(balanced.sum(1), 1)
    np.testing.assert_allclose(balanced.sum(0), 1, atol=0.2)
    assert balanced[0].argmax() == 0


def test_several_matrices_are_balanced_at_once() -> None:
    weights = np.random.default_rng(1).random((2, 3, 4, 5))
    weights[..., 3, :] = weights[..., 0] = 0  # words without pieces
    balanced = balance(weights)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(balanced[index], balance(weights[index]))
    assert balanced[..., 3, :].max() == balanced[..., 0].max() == 0


def test_two_directions_of_one_matrix() -> None:
    """A compound: target word 0 translates source words 0 and 1. Forward links it to one of them, backward both."""
    weights = np.array([[0.5, 0.45, 0.05], [0.05, 0.05, 0.9]])
    assert extraction("intersection").links(weights) == {(0, 0), (2, 1)}
    assert extraction("union").links(weights) == {(0, 0), (1, 0), (2, 1)}
    assert extraction("grow-diag-final-and").links(weights) == {(0, 0), (1, 0), (2, 1)}
    assert extraction("argmax").links(weights) == {(0, 0), (2, 1)}
    assert extraction("threshold", 0.4).links(weights) == {(0, 0), (1, 0), (2, 1)}


def test_the_backward_links_come_from_the_reverse_model_if_there_is_one() -> None:
    forward = np.array([[0.9, 0.1], [0.1, 0.9]])
    reverse = np.array([[0.1, 0.9], [0.9, 0.1]])  # rows are source words here: 0 is linked to 1, and 1 to 0
    assert extraction("intersection").links(forward, reverse=reverse) == set()
    assert extraction("union").links(forward, reverse=reverse) == {(0, 0), (1, 1), (0, 1), (1, 0)}


@pytest.mark.parametrize("method", ["argmax", "intersection", "union", "grow-diag-final-and"])
def test_words_without_pieces_get_no_links(method: Method) -> None:
    weights = np.zeros((3, 4))
    weights[:2, :2] = [[0.8, 0.2], [0.3, 0.7]]
    assert extraction(method).links(weights) == {(0, 0), (1, 1)}


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
@pytest.mark.parametrize("method", ["argmax", "intersection", "union", "grow-diag-final-and"])
def test_a_side_without_words_has_no_links(method: Method, shape: tuple[int, int]) -> None:
    assert extraction(method).links(np.zeros(shape)) == set()
    assert extraction("threshold", 0.1).links(np.zeros(shape)) == set()


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"^head=1 needs a layer: add layer=$"):
        Extraction(layer=None, head=1, rows="all", method="argmax")
    with pytest.raises(UserError, match="belong together"):
        extraction("argmax", 0.5)
    with pytest.raises(UserError, match="belong together"):
        extraction("threshold")


def test_an_extraction_describes_itself() -> None:
    assert Extraction(layer=1, head=3, rows="first", method="union").description == "layer 1, head 3, rows first, union"
    assert Extraction(layer=None, head=None, rows="all", method="threshold", threshold=0.3).description == (
        "mean of all heads, rows all, threshold 0.3"
    )
    assert Extraction(layer=0, head=None, rows="shifted", method="argmax").description == (
        "layer 0, mean of its heads, rows shifted, argmax"
    )
