"""Minimum Bayes risk by hand, and its utilities compared with sacreBLEU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from nmt.errors import UserError
from nmt.search import BeamSearch, MinimumBayesRisk, Sampling
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import Search, SearchRequest
from nmt.search.utility import UTILITIES, Matrix, bleu_matrix, chrf_matrix

if TYPE_CHECKING:
    from tests.search.conftest import ScriptedModel

PAD, BOS, EOS = 0, 1, 2
LIMITS: dict[str, Any] = {"max_length_factor": 0.0, "max_length_margin": 6}
SAMPLING = Sampling(temperature=1.0, top_k=None, top_p=None, seed=3, **LIMITS)
BEAM = BeamSearch(beam_size=5, length_penalty=0.0, **LIMITS)
TEXTS = [
    "Ein Hund läuft.",
    "ein  Hund rennt schnell .",
    "",
    "a",
    "Ein Hund läuft.",
    "字 字字",
    "aaaaaaaa aaaa",
    "abcdefg",
]


def test_chrf_is_that_of_sacrebleu() -> None:
    chrf = CHRF()
    expected = [[chrf.sentence_score(text, [reference]).score for reference in TEXTS] for text in TEXTS]
    np.testing.assert_allclose(chrf_matrix(TEXTS), expected, atol=1e-9)


def test_bleu_is_that_of_sacrebleu() -> None:
    bleu = BLEU(effective_order=True)
    matrix = bleu_matrix(TEXTS[:2])
    assert matrix[0, 1] == bleu.sentence_score(TEXTS[0], [TEXTS[1]]).score
    assert matrix.diagonal() == pytest.approx([100, 100])


@pytest.fixture
def model(scripted_model: type[ScriptedModel]) -> ScriptedModel:
    """The most probable translation is "3", but most of the probability is with those that begin with "4"."""
    return scripted_model({(3,): {3: 0.4, 4: 0.6}, (3, 4): {3: 0.5, 5: 0.25, EOS: 0.25}})


def search_with(candidates: Search, num_candidates: int, **others: str) -> MinimumBayesRisk:
    return MinimumBayesRisk(candidates=candidates, num_candidates=num_candidates, utility="chrf", **others)


def find(search: Search, model: ScriptedModel, n_best: int) -> list[Hypothesis]:
    source = torch.tensor([[3, EOS]])

    def decode(tokens: Sequence[int]) -> str:
        return " ".join(map(str, tokens[:-1]))

    request = SearchRequest(
        source=source,
        source_mask=source == source,
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=[PAD, BOS],
        n_best=n_best,
        decode=decode,
    )
    [found] = search(model, request)
    return found


def same_first_word(texts: Sequence[str]) -> Matrix:
    """1 for equal texts, and 1/2 for those with the same first word."""
    return np.array([[((a == b) + (a[0] == b[0])) / 2 for b in texts] for a in texts])


def test_the_translation_that_agrees_with_most_probability_wins(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(UTILITIES, "chrf", same_first_word)
    [mode] = find(BEAM, model, 1)
    assert mode.tokens == (3, EOS)
    # All translations: "3" 0.4, "4 3" 0.3, "4 5" 0.15, "4" 0.15. Half of 0.6, and half of the own probability:
    found = find(search_with(BEAM, 4), model, 4)
    assert [each.tokens for each in found] == [(4, 3, EOS), (3, EOS), (4, EOS), (4, 5, EOS)]
    assert [each.score for each in found] == pytest.approx([0.45, 0.4, 0.375, 0.375])
    assert found[1].log_probability == pytest.approx(math.log(0.4))
    # Only three candidates, of probability 0.85 together: "3" has 0.4, "4 3" the half of 0.45 and the half of 0.3.
    found = find(search_with(BEAM, 3), model, 2)
    assert [each.tokens for each in found] == [(3, EOS), (4, 3, EOS)]
    assert [each.score for each in found] == pytest.approx([0.4 / 0.85, 0.375 / 0.85])
    # Samples count equally: the scores are made of their frequencies, near the probabilities.
    scores = {each.tokens: each.score for each in find(search_with(SAMPLING, 1000), model, 9)}
    expected = {(4, 3, EOS): 0.45, (3, EOS): 0.4, (4, EOS): 0.375, (4, 5, EOS): 0.375}
    assert scores == pytest.approx(expected, abs=0.04)


def test_with_one_candidate_it_is_the_search_for_candidates(model: ScriptedModel) -> None:
    [found] = find(search_with(SAMPLING, 1), model, 1)
    [sample] = find(SAMPLING, model, 1)
    assert (found.tokens, found.log_probability) == (sample.tokens, sample.log_probability)


def test_arguments(model: ScriptedModel) -> None:
    search = search_with(BEAM, 4)
    assert search.changed(min_length=2) == search_with(BEAM.changed(min_length=2), 4)
    assert search.changed(beam_size=3) == BEAM.changed(beam_size=3)
    with pytest.raises(UserError, match=r"num_candidates=6 must be at most candidates\.beam_size=5"):
        search_with(BEAM, 6)
    with pytest.raises(UserError, match="utility=ter is unknown: use chrf or bleu"):
        MinimumBayesRisk(candidates=SAMPLING, num_candidates=2, utility="ter")
    with pytest.raises(UserError, match=r"n_best=5 must be from 1 to search\.num_candidates=4"):
        find(search, model, 5)
