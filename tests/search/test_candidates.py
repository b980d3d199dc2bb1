import math

import pytest
import torch

from nmt.search.candidates import best_continuations, block_size, normalise


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 6, 7, 64, 100, 127, 1000, 1001])
@pytest.mark.parametrize(("sentences", "num", "width"), [(1, 1, 1), (3, 5, 5), (2, 20, 20), (3, 1, 8), (2, 4, 9)])
def test_the_best_of_all_continuations(num_tokens, sentences, num, width):
    torch.manual_seed(1)
    totals = torch.randn(sentences, num)
    totals[0, -1] = -math.inf if num > 1 else 0.0  # one that does not go on
    scores = torch.randn(sentences * num, num_tokens)
    if num_tokens > 1:
        scores[:, 0] = -math.inf  # a banned one
    everything = totals.unsqueeze(2) + scores.view(sentences, num, num_tokens)
    expected, places = everything.flatten(1).topk(min(width, num * num_tokens))
    best, parents, tokens = best_continuations(totals, scores, width)
    real = expected.isfinite()
    width = expected.size(1)
    assert torch.equal(best[:, :width], expected)
    assert (best[:, width:] == -math.inf).all()  # there are no more
    assert torch.equal((parents * num_tokens + tokens)[:, :width][real], places[real])
    assert ((parents >= 0) & (parents < num) & (tokens >= 0)).all()
    assert (tokens < num_tokens).all()


@pytest.mark.parametrize(("num_tokens", "width"), [(10, 2), (15, 5), (63, 8), (575, 16)])
def test_a_sentence_without_continuations_gets_tokens_that_exist(num_tokens, width):
    """It waits for others, and its tokens are embedded with theirs."""
    totals = torch.full((1, width), -math.inf)
    best, _, tokens = best_continuations(totals, torch.randn(width, num_tokens).log_softmax(-1), width)
    assert (best == -math.inf).all()
    assert ((tokens >= 0) & (tokens < num_tokens)).all()


def test_few_continuations_by_hand():
    scores = torch.tensor([[0.0, -1.0, -2.0, -3.0, -0.5]])
    best, parents, tokens = best_continuations(torch.tensor([[-1.0]]), scores, 3)
    assert best.tolist() == [[-1.0, -1.5, -2.0]]
    assert (parents.tolist(), tokens.tolist()) == ([[0, 0, 0]], [[0, 4, 1]])


def test_only_the_best_blocks_are_sorted(monkeypatch):
    """Of 10 · 4096 numbers a sentence, those of 10 · 64 blocks, and of 10 blocks."""
    sorted_numbers, topk = [], torch.Tensor.topk
    monkeypatch.setattr(
        torch.Tensor, "topk", lambda self, *rest: sorted_numbers.append(self.shape) or topk(self, *rest)
    )
    best_continuations(torch.zeros(2, 10), torch.randn(20, 4096), 10)
    assert sorted_numbers == [(2, 640), (2, 640)]


@pytest.mark.parametrize(
    ("num_tokens", "expected"), [(1, 1), (4096, 64), (8000, 64), (32000, 128), (10000, 16), (4000, 32), (8001, 16)]
)
def test_blocks_divide_the_vocabulary_where_they_can(num_tokens, expected):
    """Else it is copied to be filled up."""
    assert block_size(num_tokens) == expected


def test_normalising_takes_the_place_of_the_logits():
    logits = torch.randn(3, 7)
    expected = logits.log_softmax(-1)
    found = normalise(logits, torch.tensor([2]))
    assert found.data_ptr() == logits.data_ptr()
    assert (found[:, 2] == -math.inf).all()
    kept = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(found[:, kept], expected[:, kept])
    double = torch.randn(3, 7, dtype=torch.float64)
    before = double.clone()
    torch.testing.assert_close(normalise(double, torch.tensor([], dtype=torch.int64)), before.log_softmax(-1).float())
    assert torch.equal(double, before)
