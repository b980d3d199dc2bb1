"""The best continuations, compared with one top-k over all of them, and the log-softmax in place."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.search.candidates import best_continuations, block_size, masked_log_softmax


def flat_topk(totals: Tensor, log_probabilities: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The plain formula: the log-probabilities (A, K') of the best continuations and their indices into K·V."""
    scores = (totals.unsqueeze(2) + log_probabilities.view(*totals.shape, -1)).flatten(1)  # (A, K·V)
    best, indices = scores.topk(min(width, scores.size(1)))
    return best, indices


@pytest.mark.parametrize("vocab_size", [1, 2, 3, 6, 7, 64, 100, 127, 1000, 1001])
@pytest.mark.parametrize(
    ("num_sentences", "num_hypotheses", "width"), [(1, 1, 1), (3, 5, 5), (2, 20, 20), (3, 1, 8), (2, 4, 9)]
)
def test_the_best_continuations_are_those_of_a_flat_topk(
    vocab_size: int, num_sentences: int, num_hypotheses: int, width: int
) -> None:
    torch.manual_seed(1)
    totals = torch.randn(num_sentences, num_hypotheses)
    totals[0, -1] = -math.inf if num_hypotheses > 1 else 0.0  # a slot without a hypothesis
    log_probabilities = torch.randn(num_sentences * num_hypotheses, vocab_size)
    if vocab_size > 1:
        log_probabilities[:, 0] = -math.inf  # a banned token
    expected, expected_indices = flat_topk(totals, log_probabilities, width)
    best, parents, tokens = best_continuations(totals, log_probabilities, width)
    width = expected.size(1)
    assert torch.equal(best[:, :width], expected)
    assert (best[:, width:] == -math.inf).all()  # no further continuations exist
    exists = expected.isfinite()
    assert torch.equal((parents * vocab_size + tokens)[:, :width][exists], expected_indices[exists])
    assert ((parents >= 0) & (parents < num_hypotheses)).all()
    assert ((tokens >= 0) & (tokens < vocab_size)).all()


@pytest.mark.parametrize(("vocab_size", "width"), [(10, 2), (15, 5), (63, 8), (575, 16)])
def test_a_sentence_without_continuations_gets_tokens_of_the_vocabulary(vocab_size: int, width: int) -> None:
    """A finished sentence may stay in the batch, and its tokens are embedded with those of the others."""
    totals = torch.full((1, width), -math.inf)
    best, _, tokens = best_continuations(totals, torch.randn(width, vocab_size).log_softmax(-1), width)
    assert (best == -math.inf).all()
    assert ((tokens >= 0) & (tokens < vocab_size)).all()


def test_best_continuations_by_hand() -> None:
    log_probabilities = torch.tensor([[0.0, -1.0, -2.0, -3.0, -0.5]])
    best, parents, tokens = best_continuations(torch.tensor([[-1.0]]), log_probabilities, 3)
    assert best.tolist() == [[-1.0, -1.5, -2.0]]
    assert (parents.tolist(), tokens.tolist()) == ([[0, 0, 0]], [[0, 4, 1]])


def test_only_maxima_and_the_best_blocks_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 · 4096 continuations of a sentence: 10 · 64 maxima, and the elements of 10 blocks of 64."""
    sorted_shapes: list[torch.Size] = []
    topk = Tensor.topk

    def logged_topk(self: Tensor, *rest: Any) -> Any:
        sorted_shapes.append(self.shape)
        return topk(self, *rest)

    monkeypatch.setattr(Tensor, "topk", logged_topk)
    best_continuations(torch.zeros(2, 10), torch.randn(20, 4096), 10)
    assert sorted_shapes == [(2, 640), (2, 640)]


@pytest.mark.parametrize(
    ("vocab_size", "expected"), [(1, 1), (4096, 64), (8000, 64), (32000, 128), (10000, 16), (4000, 32), (8001, 16)]
)
def test_blocks_divide_the_vocabulary_if_a_power_of_two_can(vocab_size: int, expected: int) -> None:
    assert block_size(vocab_size) == expected


def test_log_softmax_overwrites_32_bit_logits_only() -> None:
    logits = torch.randn(3, 7)
    expected = logits.log_softmax(-1)
    found = masked_log_softmax(logits, torch.tensor([2]))
    assert found.data_ptr() == logits.data_ptr()
    assert (found[:, 2] == -math.inf).all()
    others = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(found[:, others], expected[:, others])

    double = torch.randn(3, 7, dtype=torch.float64)
    before = double.clone()
    found = masked_log_softmax(double, torch.tensor([], dtype=torch.int64))
    torch.testing.assert_close(found, before.log_softmax(-1).float())
    assert torch.equal(double, before)
