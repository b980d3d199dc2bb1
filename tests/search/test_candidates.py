import math

import pytest
import torch

from nmt.search.candidates import best_continuations, normalise


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 6, 7, 64, 100, 127, 1000])
@pytest.mark.parametrize(("sentences", "width"), [(1, 1), (3, 5), (2, 20)])
def test_the_best_of_all_continuations(num_tokens, sentences, width):
    torch.manual_seed(1)
    totals = torch.randn(sentences, width)
    totals[0, -1] = -math.inf if width > 1 else 0.0  # one that does not go on
    scores = torch.randn(sentences * width, num_tokens)
    scores[:, 0] = -math.inf  # a banned one
    everything = totals.unsqueeze(2) + scores.view(sentences, width, num_tokens)
    expected, places = everything.flatten(1).topk(width)
    best, parents, tokens = best_continuations(totals, scores)
    assert torch.equal(best, expected)
    real = best.isfinite()
    assert torch.equal((parents * num_tokens + tokens)[real], places[real])
    assert ((parents >= 0) & (parents < width) & (tokens >= 0) & (tokens < num_tokens)).all()


def test_one_beginning_speaks_for_all():
    scores = torch.tensor([[0.0, -1.0, -2.0, -3.0, -0.5]])
    totals = torch.tensor([[-1.0, -math.inf, -math.inf]])
    best, parents, tokens = best_continuations(totals, scores)
    assert best.tolist() == [[-1.0, -1.5, -2.0]]
    assert (parents.tolist(), tokens.tolist()) == ([[0, 0, 0]], [[0, 4, 1]])


def test_only_the_best_blocks_are_sorted(monkeypatch):
    """Of 10 · 4096 numbers a sentence, those of 10 · 64 blocks, and of 10 blocks."""
    sorted_numbers, topk = [], torch.Tensor.topk
    monkeypatch.setattr(
        torch.Tensor, "topk", lambda self, *rest: sorted_numbers.append(self.shape) or topk(self, *rest)
    )
    best_continuations(torch.zeros(2, 10), torch.randn(20, 4096))
    assert sorted_numbers == [(2, 640), (2, 640)]


def test_normalising_takes_the_place_of_the_logits():
    logits = torch.randn(3, 7)
    expected = logits.log_softmax(-1)
    found = normalise(logits, [2])
    assert found.data_ptr() == logits.data_ptr()
    assert (found[:, 2] == -math.inf).all()
    kept = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(found[:, kept], expected[:, kept])
    double = torch.randn(3, 7, dtype=torch.float64)
    before = double.clone()
    torch.testing.assert_close(normalise(double, []), before.log_softmax(-1).float())
    assert torch.equal(double, before)
