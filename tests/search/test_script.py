"""Searches through probabilities written by hand, with results worked out by hand."""

import math

import pytest
import torch

from nmt.search import BeamSearch, GreedySearch

BOS, EOS, A, B = 1, 2, 3, 4

# Greedy begins with A, the likelier word, and ends at .6 · .37 = .222; B EOS has .4 · .9 = .36.
MISLEADING = {
    (5,): {A: 0.6, B: 0.4},
    (5, A): {A: 0.37, B: 0.33, EOS: 0.3},
    (5, B): {EOS: 0.9, A: 0.1},
}
# Short: .45. Long: .55 · .8 = .44.
LONG_OR_SHORT = {(6,): {EOS: 0.45, A: 0.55}, (6, A): {A: 0.8, EOS: 0.2}, (6, A, A): {EOS: 1.0}}


def chain(name, length):
    """One translation only, of `length` tokens."""
    return {(name, *[A] * before): {EOS if before == length - 1 else A: 1.0} for before in range(length)}


def run(search, model, names, *, n_best=1):
    source = torch.tensor([[name, EOS] for name in names])
    found = search(
        model,
        source,
        torch.ones_like(source, dtype=torch.bool),
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=[0, BOS],
        n_best=n_best,
        need_attention=True,
    )
    return [[(one.tokens, one.log_probability, one.score) for one in hypotheses] for hypotheses in found]


def beam(beam_size, alpha=0.0, *, margin=8):
    return BeamSearch(beam_size=beam_size, length_penalty=alpha, max_length_factor=0.0, max_length_margin=margin)


def near(*items):
    return [(tokens, pytest.approx(total, abs=1e-5), pytest.approx(score, abs=1e-5)) for tokens, total, score in items]


def test_the_beam_finds_what_greedy_misses(scripted):
    model = scripted(MISLEADING)
    greedy = GreedySearch(max_length_factor=0.0, max_length_margin=8)
    a_a, b = math.log(0.222), math.log(0.36)
    assert run(greedy, model, [5]) == [near(((A, A, EOS), a_a, a_a))]
    assert run(beam(1), model, [5]) == [near(((A, A, EOS), a_a, a_a))]
    assert run(beam(2), model, [5]) == [near(((B, EOS), b, b))]
    assert run(beam(2), model, [5], n_best=2) == [near(((B, EOS), b, b), ((A, A, EOS), a_a, a_a))]
    others = [(A, B, EOS), math.log(0.198)], [(A, EOS), math.log(0.18)], [(B, A, EOS), math.log(0.04)]
    expected = [((B, EOS), b, b), ((A, A, EOS), a_a, a_a), *((tokens, total, total) for tokens, total in others)]
    assert run(beam(5), model, [5], n_best=5) == [near(*expected)]
    assert run(beam(9), model, [5], n_best=9) == [near(*expected)]


def test_the_length_penalty_by_hand(scripted):
    model = scripted(LONG_OR_SHORT)
    short, long = math.log(0.45), math.log(0.44)
    # Without a penalty the short one wins; with α = 1 the long one is divided by (5 + 3) / 6, the short one by 1.
    assert run(beam(3), model, [6], n_best=2) == [near(((EOS,), short, short), ((A, A, EOS), long, long))]
    assert run(beam(3, 1.0), model, [6], n_best=2) == [near(((A, A, EOS), long, long * 6 / 8), ((EOS,), short, short))]
    # α = 2: the square.
    assert run(beam(3, 2.0), model, [6]) == [near(((A, A, EOS), long, long * 36 / 64))]


def test_a_search_ends_when_nothing_better_can_come(scripted):
    """After two steps log .36 is found, and log .222 still grows: enough without a penalty, or within short limits."""
    for alpha, margin, steps in [(0.0, 8, 2), (1.0, 3, 2), (1.0, 8, 3)]:
        # With α = 1: log .36 / (7/6) = -0.876; log .222 / (8/6) = -1.129 at most 3 tokens, / (13/6) = -0.695 at 8.
        model = scripted(MISLEADING)
        [[(tokens, _, _)]] = run(beam(2, alpha, margin=margin), model, [5])
        assert tokens == (B, EOS)
        assert len(model.rows) == steps, (alpha, margin)


def test_the_second_best_is_waited_for(scripted):
    model = scripted(MISLEADING)
    run(beam(2), model, [5], n_best=2)
    assert len(model.rows) == 3


def test_finished_sentences_leave_the_batch(scripted):
    model = scripted({**chain(5, 2), **chain(6, 5), **chain(7, 1), **chain(8, 3)})
    found = run(beam(2), model, [5, 6, 7, 8])
    assert [[len(tokens) for tokens, _, _ in hypotheses] for hypotheses in found] == [[2], [5], [1], [3]]
    assert model.rows == [4, 6, 4, 2, 2]  # one beginning of 4 sentences; then two beams each of 3, 2, 1 and 1
    assert all(total == score == 0.0 for [(_, total, score)] in found)  # each was certain


def test_few_that_are_done_wait_in_a_large_batch(scripted):
    """One of 17 waits, and what it still finds is worse; three are an eighth, and leave together."""
    model = scripted(
        {**chain(5, 2), **chain(6, 3), **chain(7, 5), (8,): {EOS: 0.6, A: 0.4}, (8, A): {EOS: 0.5, A: 0.5}}
    )
    found = run(beam(2), model, [8, 5, 6] + [7] * 14)
    assert model.rows == [17, 34, 34, 28, 28]
    assert found[0] == near(((EOS,), math.log(0.6), math.log(0.6)))
    assert [len(hypotheses[0][0]) for hypotheses in found] == [1, 2, 3] + [5] * 14


def test_rows_stay_with_their_sentences(scripted):
    """Different sentences, ending at different times, in any order."""
    model = scripted({**MISLEADING, **LONG_OR_SHORT, **chain(7, 1), **chain(8, 6)})
    alone = {name: run(beam(3, 0.6), model, [name], n_best=2)[0] for name in (5, 6, 7, 8)}
    for names in ([5, 6, 7, 8], [8, 7, 6, 5], [7, 5, 5, 8, 7, 6]):
        found = run(beam(3, 0.6), model, names, n_best=2)
        for name, hypotheses in zip(names, found, strict=True):
            assert hypotheses == near(*alone[name])
