"""Which tokens may come next: worked out by hand, on tables and on a model whose probabilities are written down."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch

from nmt.errors import UserError
from nmt.search import BeamSearch, GreedySearch
from nmt.search.constraints import (
    ANY_TOKEN,
    ForcedPrefixes,
    ban_early_end,
    ban_repeated_ngrams,
    force_end,
    force_tokens,
)
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import SearchRequest

if TYPE_CHECKING:
    from tests.search.conftest import ScriptedModel

BOS, EOS, A, B, C = 1, 2, 3, 4, 5
INF = math.inf


@pytest.mark.parametrize(
    ("prefix", "size", "banned"),
    [
        ([], 1, set()),
        ([A], 1, {A}),
        ([A, B, A], 1, {A, B}),
        ([A], 2, set()),
        ([A, B], 2, set()),
        ([A, B, A], 2, {B}),  # A was followed by B
        ([A, B, A, C, A], 2, {B, C}),
        ([A, A], 2, {A}),
        ([A, B, C, A], 3, set()),
        ([A, B, C, A, B], 3, {C}),
        ([A, A, A], 3, {A}),
        ([A, B], 3, set()),
        ([A, B, C], 4, set()),
    ],
)
def test_a_token_that_would_repeat_an_ngram_is_banned(prefix: list[int], size: int, banned: set[int]) -> None:
    log_probabilities = torch.full((1, 6), -1.0)
    ban_repeated_ngrams(log_probabilities, torch.tensor([prefix], dtype=torch.int64), size)
    assert {token for token, value in enumerate(log_probabilities[0].tolist()) if value == -INF} == banned
    assert set(log_probabilities[0].tolist()) <= {-1.0, -INF}


def test_every_hypothesis_has_its_own_ngrams() -> None:
    log_probabilities = torch.zeros(2, 6)
    ban_repeated_ngrams(log_probabilities, torch.tensor([[A, B, A], [B, C, B]]), 2)
    assert (log_probabilities == -INF).nonzero().tolist() == [[0, B], [1, C]]


def test_an_early_end_is_banned_unless_nothing_else_is_possible() -> None:
    log_probabilities = torch.tensor([[-1.0, -2.0, -3.0], [-INF, -2.0, -INF]])
    ban_early_end(log_probabilities, eos_id=1)
    assert log_probabilities.tolist() == [[-1.0, -INF, -3.0], [-INF, -2.0, -INF]]


def test_at_the_limit_only_eos_is_possible_at_its_own_log_probability() -> None:
    log_probabilities = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, -1.0, -6.0], [-4.0, -5.0, -6.0]])
    is_cut = force_end(log_probabilities, torch.tensor([True, True, False]), eos_id=1)
    assert log_probabilities.tolist() == [[-INF, -2.0, -INF], [-INF, -1.0, -INF], [-4.0, -5.0, -6.0]]
    # The second would have ended by itself; the third is not at its limit.
    assert is_cut.tolist() == [True, False, False]


def test_a_forced_token_keeps_its_own_log_probability_even_if_it_was_banned() -> None:
    log_probabilities = torch.tensor([[-1.0, -INF, -3.0], [-1.0, -2.0, -INF], [-1.0, -2.0, -3.0]])
    own = torch.tensor([[-2.5], [-7.0], [-2.0]])
    force_tokens(log_probabilities, torch.tensor([1, ANY_TOKEN, 1]), own)
    assert log_probabilities.tolist() == [[-INF, -2.5, -INF], [-1.0, -2.0, -INF], [-INF, -2.0, -INF]]


def test_prefixes_follow_their_sentences() -> None:
    forced = ForcedPrefixes([[A, B], [], [C]], torch.device("cpu"))
    tokens = [forced.tokens(position, [0, 2, 1], 2) for position in range(3)]
    assert [None if each is None else each.tolist() for each in tokens] == [
        [A, A, C, C, ANY_TOKEN, ANY_TOKEN],
        [B, B, *[ANY_TOKEN] * 4],
        None,
    ]


# --- whole searches ---

# A model that repeats "A B" for ever: the end is improbable at every step.
LOOP = {
    (7, *prefix): {A: 0.1, B: 0.6, C: 0.2, EOS: 0.1} if prefix[-1:] == (A,) else {A: 0.6, B: 0.1, C: 0.2, EOS: 0.1}
    for length in range(7)
    for prefix in itertools.product((A, B, C), repeat=length)
}
SHORT: dict[tuple[int, ...], dict[int, float]] = {
    (8,): {EOS: 0.9, A: 0.1},
    (8, A): {EOS: 0.8, B: 0.2},
    (8, A, B): {EOS: 0.7, C: 0.3},
}


def run(search: BeamSearch | GreedySearch, model: ScriptedModel, name: int, *, n_best: int = 1) -> list[Hypothesis]:
    source = torch.tensor([[name, EOS]])
    request = SearchRequest(
        source=source,
        source_mask=torch.ones_like(source, dtype=torch.bool),
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=[0, BOS],
        n_best=n_best,
    )
    [found] = search(model, request)
    return found


def greedy(**options: Any) -> GreedySearch:
    return GreedySearch(**{"max_length_factor": 0.0, "max_length_margin": 6, **options})


def beam(beam_size: int, **options: Any) -> BeamSearch:
    limits = {"max_length_factor": 0.0, "max_length_margin": 6}
    return BeamSearch(beam_size=beam_size, length_penalty=0.0, **{**limits, **options})


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        (0, (A, B, A, B, A, EOS)),
        (1, (A, B, C, EOS)),  # all words are used up
        (2, (A, B, A, C, A, EOS)),  # after the second A not B again
        (3, (A, B, A, B, C, EOS)),  # after the second A B not A again
        (4, (A, B, A, B, A, EOS)),  # the fourth token in a row would repeat behind the limit
    ],
)
def test_greedy_search_avoids_repeated_ngrams(
    scripted_model: type[ScriptedModel], size: int, tokens: tuple[int, ...]
) -> None:
    [found] = run(greedy(no_repeat_ngram=size), scripted_model(LOOP), 7)
    assert found.tokens == tokens


@pytest.mark.parametrize(("min_length", "tokens"), [(0, ()), (1, (A,)), (2, (A, B)), (3, (A, B, C))])
def test_the_minimum_length_counts_tokens_before_eos(
    scripted_model: type[ScriptedModel], min_length: int, tokens: tuple[int, ...]
) -> None:
    model = scripted_model(SHORT)
    for search in (greedy(min_length=min_length), beam(3, min_length=min_length)):
        [found] = run(search, model, 8)
        assert found.tokens == (*tokens, EOS)
    probabilities = [1, 0.1, 0.02, 0.006][min_length] * [0.9, 0.8, 0.7, 1.0][min_length]  # not renormalised
    assert found.log_probability == pytest.approx(math.log(probabilities), abs=1e-5)


def test_a_translation_ends_early_where_nothing_else_is_possible(scripted_model: type[ScriptedModel]) -> None:
    [found] = run(greedy(min_length=5), scripted_model(SHORT), 8)
    assert found.tokens == (A, B, C, EOS)  # the model gives every continuation of A B C a probability of zero
    [found] = run(beam(2, min_length=5, no_repeat_ngram=1), scripted_model(LOOP), 7)
    assert sorted(found.tokens) == [EOS, A, B, C]


def test_a_translation_is_truncated_only_if_it_would_have_continued(scripted_model: type[ScriptedModel]) -> None:
    [cut] = run(greedy(), scripted_model(LOOP), 7)
    assert cut.truncated
    [ended] = run(greedy(max_length_margin=1), scripted_model(SHORT), 8)
    assert ended.tokens == (EOS,) and not ended.truncated  # it ends at the limit, but by itself
    found = run(beam(4, max_length_margin=2), scripted_model(LOOP), 7, n_best=4)
    assert [(one.tokens, one.truncated) for one in found] == [
        ((EOS,), False),
        ((A, EOS), True),
        ((C, EOS), True),
        ((B, EOS), True),
    ]


@pytest.mark.parametrize("name", ["min_length", "no_repeat_ngram"])
@pytest.mark.parametrize("value", [-1, 1.5, "2", True])
def test_a_wrong_guard_is_a_user_error(name: str, value: Any) -> None:
    for make in (greedy, lambda **options: beam(2, **options)):
        with pytest.raises(UserError, match=f"^{name}={value!r} must be a whole number of at least 0$"):
            make(**{name: value})


def test_a_changed_search_keeps_its_other_arguments() -> None:
    assert beam(2, min_length=1).changed(beam_size=4) == beam(4, min_length=1)
    assert greedy().changed(no_repeat_ngram=3) == greedy(no_repeat_ngram=3)
    assert greedy(min_length=1).changed(beam_size=3) == beam(3, min_length=1)
