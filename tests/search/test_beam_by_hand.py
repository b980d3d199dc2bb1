"""Searches through probabilities written by hand; the expected results were worked out by hand too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.search import BeamSearch, GreedySearch
from nmt.search.protocol import Search, SearchRequest

if TYPE_CHECKING:
    from tests.search.conftest import ScriptedModel

Table = dict[tuple[int, ...], dict[int, float]]
Result = tuple[tuple[int, ...], float, float]  # tokens, log-probability, score

BOS, EOS, A, B = 1, 2, 3, 4

# Greedy search starts with A, the likelier word, and ends at .6 · .37 = .222; B EOS has .4 · .9 = .36.
MISLEADING: Table = {
    (5,): {A: 0.6, B: 0.4},
    (5, A): {A: 0.37, B: 0.33, EOS: 0.3},
    (5, B): {EOS: 0.9, A: 0.1},
}
# Short: .45. Long: .55 · .8 = .44.
LONG_OR_SHORT: Table = {(6,): {EOS: 0.45, A: 0.55}, (6, A): {A: 0.8, EOS: 0.2}, (6, A, A): {EOS: 1.0}}


def chain(name: int, length: int) -> Table:
    """A sentence with only one translation, of `length` tokens."""
    return {(name, *[A] * before): {EOS if before == length - 1 else A: 1.0} for before in range(length)}


def run(search: Search, model: ScriptedModel, names: list[int], *, n_best: int = 1) -> list[list[Result]]:
    source = torch.tensor([[name, EOS] for name in names])
    request = SearchRequest(
        source=source,
        source_mask=torch.ones_like(source, dtype=torch.bool),
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=[0, BOS],
        n_best=n_best,
    )
    found = search(model, request)
    return [[(one.tokens, one.log_probability, one.score) for one in hypotheses] for hypotheses in found]


def beam(beam_size: int, alpha: float = 0.0, *, max_length: int = 8) -> BeamSearch:
    return BeamSearch(beam_size=beam_size, length_penalty=alpha, max_length_factor=0.0, max_length_margin=max_length)


def approximately(*results: Result) -> list[tuple[tuple[int, ...], Any, Any]]:
    """Results whose numbers compare equal up to rounding."""
    return [
        (tokens, pytest.approx(total, abs=1e-5), pytest.approx(score, abs=1e-5)) for tokens, total, score in results
    ]


def test_the_beam_finds_what_greedy_search_misses(scripted_model: type[ScriptedModel]) -> None:
    model = scripted_model(MISLEADING)
    greedy = GreedySearch(max_length_factor=0.0, max_length_margin=8)
    a_a, b = math.log(0.222), math.log(0.36)
    assert run(greedy, model, [5]) == [approximately(((A, A, EOS), a_a, a_a))]
    assert run(beam(1), model, [5]) == [approximately(((A, A, EOS), a_a, a_a))]
    assert run(beam(2), model, [5]) == [approximately(((B, EOS), b, b))]
    assert run(beam(2), model, [5], n_best=2) == [approximately(((B, EOS), b, b), ((A, A, EOS), a_a, a_a))]
    others = [((A, B, EOS), math.log(0.198)), ((A, EOS), math.log(0.18)), ((B, A, EOS), math.log(0.04))]
    expected = [((B, EOS), b, b), ((A, A, EOS), a_a, a_a), *((tokens, total, total) for tokens, total in others)]
    assert run(beam(5), model, [5], n_best=5) == [approximately(*expected)]
    assert run(beam(9), model, [5], n_best=9) == [approximately(*expected)]


def test_a_length_penalty_prefers_the_longer_hypothesis(scripted_model: type[ScriptedModel]) -> None:
    model = scripted_model(LONG_OR_SHORT)
    short, long = math.log(0.45), math.log(0.44)
    short_first = approximately(((EOS,), short, short), ((A, A, EOS), long, long))
    assert run(beam(3), model, [6], n_best=2) == [short_first]
    # α = 1 divides the long one by (5 + 3) / 6 and the short one by 1.
    long_first = approximately(((A, A, EOS), long, long * 6 / 8), ((EOS,), short, short))
    assert run(beam(3, 1.0), model, [6], n_best=2) == [long_first]
    # α = 2 divides by the square.
    assert run(beam(3, 2.0), model, [6]) == [approximately(((A, A, EOS), long, long * 36 / 64))]


@pytest.mark.parametrize(
    ("alpha", "max_length", "num_steps"),
    [
        (0.0, 8, 2),  # log .36 > log .222
        (1.0, 3, 2),  # log .36 / (7/6) = -0.876 > log .222 / (8/6) = -1.129, with at most 3 tokens
        (1.0, 8, 3),  # log .222 / (13/6) = -0.695, with at most 8 tokens
    ],
)
def test_the_search_stops_when_no_hypothesis_can_become_better(
    scripted_model: type[ScriptedModel], alpha: float, max_length: int, num_steps: int
) -> None:
    """After two steps log .36 is finished and log .222 is not; the penalty at the length limit decides."""
    model = scripted_model(MISLEADING)
    [[(tokens, _, _)]] = run(beam(2, alpha, max_length=max_length), model, [5])
    assert tokens == (B, EOS)
    assert len(model.rows_per_step) == num_steps


def test_the_search_continues_until_it_has_n_best_hypotheses(scripted_model: type[ScriptedModel]) -> None:
    model = scripted_model(MISLEADING)
    run(beam(2), model, [5], n_best=2)
    assert len(model.rows_per_step) == 3


def test_finished_sentences_are_removed_from_the_batch(scripted_model: type[ScriptedModel]) -> None:
    model = scripted_model({**chain(5, 2), **chain(6, 5), **chain(7, 1), **chain(8, 3)})
    found = run(beam(2), model, [5, 6, 7, 8])
    assert [[len(tokens) for tokens, _, _ in hypotheses] for hypotheses in found] == [[2], [5], [1], [3]]
    # One hypothesis of each of the 4 sentences; then two of each of 3, 2, 1 and 1 sentences.
    assert model.rows_per_step == [4, 6, 4, 2, 2]
    assert all(total == score == 0.0 for [(_, total, score)] in found)  # every token has probability 1


def test_few_finished_sentences_stay_in_a_large_batch(scripted_model: type[ScriptedModel]) -> None:
    """One of 17 stays, and its later hypotheses are worse; three are more than an eighth and are removed together."""
    model = scripted_model(
        {**chain(5, 2), **chain(6, 3), **chain(7, 5), (8,): {EOS: 0.6, A: 0.4}, (8, A): {EOS: 0.5, A: 0.5}}
    )
    found = run(beam(2), model, [8, 5, 6] + [7] * 14)
    assert model.rows_per_step == [17, 34, 34, 28, 28]
    assert found[0] == approximately(((EOS,), math.log(0.6), math.log(0.6)))
    assert [len(hypotheses[0][0]) for hypotheses in found] == [1, 2, 3] + [5] * 14


def test_the_order_of_the_sentences_changes_nothing(scripted_model: type[ScriptedModel]) -> None:
    """The sentences end at different steps."""
    model = scripted_model({**MISLEADING, **LONG_OR_SHORT, **chain(7, 1), **chain(8, 6)})
    alone = {name: run(beam(3, 0.6), model, [name], n_best=2)[0] for name in (5, 6, 7, 8)}
    for names in ([5, 6, 7, 8], [8, 7, 6, 5], [7, 5, 5, 8, 7, 6]):
        found = run(beam(3, 0.6), model, names, n_best=2)
        for name, hypotheses in zip(names, found, strict=True):
            assert hypotheses == approximately(*alone[name])
