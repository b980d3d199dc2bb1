"""An ensemble in the search: of equal models, and in any order. The other tests also search with an ensemble."""

from __future__ import annotations

import pytest
import torch

from nmt.models import PlainRNN, Transformer
from nmt.models.ensemble import Ensemble
from nmt.models.seq2seq import TranslationModel
from nmt.search import BeamSearch
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import SearchRequest

SOURCE = torch.tensor([[3, 4, 5, 2, 0, 0], [7, 2, 0, 0, 0, 0], [8, 6, 3, 4, 5, 2]])
SEARCH = BeamSearch(beam_size=4, length_penalty=0.6, max_length_factor=1.0, max_length_margin=3)


def translate(model: TranslationModel) -> list[list[Hypothesis]]:
    request = SearchRequest(source=SOURCE, source_mask=SOURCE != 0, bos_id=1, eos_id=2, banned_ids=[0, 1], n_best=3)
    return SEARCH(model, request)


def tokens_of(found: list[list[Hypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[each.tokens for each in hypotheses] for hypotheses in found]


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert tokens_of(found) == tokens_of(expected)
    for hypotheses, others in zip(found, expected, strict=True):
        assert [each.score for each in hypotheses] == pytest.approx([each.score for each in others], abs=1e-5)


def test_an_ensemble_of_one_model_twice_translates_as_the_model(model: TranslationModel) -> None:
    assert_same(translate(Ensemble([model, model])), translate(model))
    assert_same(translate(Ensemble([model])), translate(model))


@pytest.mark.parametrize("architecture", ["ensemble"], indirect=True)
def test_the_order_of_the_members_changes_nothing(model: Ensemble) -> None:
    first, second = model.members
    assert isinstance(first, PlainRNN) and isinstance(second, Transformer)
    found = translate(model)
    assert_same(translate(Ensemble([second, first])), found)
    for member in (first, second):  # neither decides by itself
        assert tokens_of(found) != tokens_of(translate(member))
