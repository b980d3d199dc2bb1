"""Sampling: the frequencies of samples, top-k and top-p by hand, and every architecture in batches of any size."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search import BeamSearch, Sampling
from nmt.search import sampling as sampling_module
from nmt.search.drawing import draw_indices, draw_tokens
from nmt.search.forced import force_decode
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import SearchRequest
from nmt.search.scoring import LengthPenalty

if TYPE_CHECKING:
    from tests.search.conftest import ScriptedModel

PAD, BOS, EOS = 0, 1, 2
SOURCES = [[3, 4, 5, EOS], [7, EOS], [8, 6, 3, 4, 5, EOS], [4, EOS]]


def sampling(**arguments: Any) -> Sampling:
    defaults = {"temperature": 1.0, "top_k": None, "top_p": None, "seed": 1}
    return Sampling(**defaults | {"max_length_factor": 0.0, "max_length_margin": 6} | arguments)


def make_batch(sentences: list[list[int]]) -> tuple[Tensor, Tensor]:
    width = max(map(len, sentences))
    source = torch.tensor([sentence + [PAD] * (width - len(sentence)) for sentence in sentences])
    return source, source != PAD


def draw(
    search: Sampling, model: TranslationModel, sentences: list[list[int]] = SOURCES, *, n: int = 3, **options: Any
) -> list[list[Hypothesis]]:
    source, mask = make_batch(sentences)
    request = SearchRequest(
        source=source, source_mask=mask, bos_id=BOS, eos_id=EOS, banned_ids=[PAD, BOS], n_best=n, **options
    )
    return search(model, request)


def chi_square(observed: Counter[tuple[int, ...]], expected: dict[tuple[int, ...], float]) -> float:
    """Σ (observed − expected)² / expected over all outcomes."""
    assert observed.keys() <= expected.keys()
    total = observed.total()
    return sum((observed[key] - total * p) ** 2 / (total * p) for key, p in expected.items())


def test_the_frequencies_of_samples_are_the_probabilities_of_the_model(scripted_model: type[ScriptedModel]) -> None:
    model = scripted_model(
        {
            (3,): {3: 0.5, 4: 0.3, 5: 0.05, EOS: 0.15},
            (3, 3): {4: 0.75, EOS: 0.25},
            (3, 4): {3: 0.1, 4: 0.2, EOS: 0.7},
        }
    )
    expected = {
        (3, 4, EOS): 0.375,
        (3, EOS): 0.125,
        (4, 3, EOS): 0.03,
        (4, 4, EOS): 0.06,
        (4, EOS): 0.21,
        (5, EOS): 0.05,
        (EOS,): 0.15,
    }
    [samples] = draw(sampling(), model, [[3, EOS]], n=4000)
    statistic = chi_square(Counter(sample.tokens for sample in samples), expected)
    assert statistic < 22.46  # the 99.9% quantile of the chi-square distribution with 6 degrees of freedom
    for sample in samples[:50]:
        assert sample.score == sample.log_probability == pytest.approx(math.log(expected[sample.tokens]), abs=1e-5)
    assert len({sample.tokens for sample in draw(sampling(top_k=1), model, [[3, EOS]], n=50)[0]}) == 1
    # Colder and hotter: p^(1/temperature), normalised again at each step; here only the first step varies.
    model = scripted_model({(3,): {3: 0.6, 4: 0.3, EOS: 0.1}})
    for temperature in (0.5, 2.0):
        powers = {tokens: p ** (1 / temperature) for tokens, p in {(3, EOS): 0.6, (4, EOS): 0.3, (EOS,): 0.1}.items()}
        [samples] = draw(sampling(temperature=temperature, seed=7), model, [[3, EOS]], n=3000)
        shares = {tokens: power / sum(powers.values()) for tokens, power in powers.items()}
        assert chi_square(Counter(sample.tokens for sample in samples), shares) < 13.82  # 2 degrees of freedom


@pytest.mark.parametrize(
    ("arguments", "shares"),
    [
        ({}, [0.15, 0.5, 0.05, 0.3]),
        ({"top_k": 2}, [0, 0.625, 0, 0.375]),  # 0.5 and 0.3 of 0.8
        ({"top_k": 9}, [0.15, 0.5, 0.05, 0.3]),
        ({"top_p": 0.49}, [0, 1, 0, 0]),
        ({"top_p": 0.79}, [0, 0.625, 0, 0.375]),
        ({"top_p": 0.81}, [0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95]),
        ({"top_p": 1.0}, [0.15, 0.5, 0.05, 0.3]),
        ({"top_k": 2, "top_p": 0.6}, [0, 1, 0, 0]),  # of the two, the first has 0.625 already
        ({"temperature": 0.5}, [0.0225 / 0.365, 0.25 / 0.365, 0.0025 / 0.365, 0.09 / 0.365]),
        ({"temperature": 1e-30}, [0, 1, 0, 0]),
    ],
)
def test_the_shares_of_the_tokens_by_hand(arguments: dict[str, Any], shares: list[float]) -> None:
    """A uniform grid of random numbers gives each token its share of the grid."""
    size = 2000
    table = torch.tensor([0.15, 0.5, 0.05, 0.3]).log().expand(size, -1)
    options = {"temperature": 1.0, "top_k": None, "top_p": None} | arguments
    drawn = draw_tokens(table, (torch.arange(size, dtype=torch.float64) + 0.5) / size, **options)
    assert (torch.bincount(drawn, minlength=4) / size).tolist() == pytest.approx(shares, abs=1.01 / size)


@pytest.mark.parametrize("size", [1, 6, 256, 1000])
def test_an_index_is_drawn_as_by_the_plain_formula(size: int) -> None:
    torch.manual_seed(size)
    probabilities = (3 * torch.randn(500, size)).softmax(1)
    probabilities[:, 1::3] = 0
    probabilities /= probabilities.sum(1, keepdim=True)
    uniforms = torch.rand(500, dtype=torch.float64)
    exact = torch.searchsorted(probabilities.double().cumsum(1), uniforms.unsqueeze(1), right=True)
    drawn = draw_indices(probabilities, uniforms)
    assert (drawn != exact).sum() <= 1  # where a number lies within rounding of a border
    assert (probabilities.gather(1, drawn) > 0).all()


def test_forbidden_tokens_are_never_drawn() -> None:
    table = torch.tensor([[-math.inf, 0.0, -math.inf]]).expand(3, -1)
    uniforms = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    drawn = draw_tokens(table, uniforms, temperature=1.0, top_k=2, top_p=0.9)
    assert drawn.tolist() == [1, 1, 1]


def test_samples_have_the_log_probability_of_the_model_and_do_not_depend_on_the_batch(
    model: TranslationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = sampling(top_k=4, temperature=4.0, max_length_margin=5)
    together = draw(search, model, n=5)
    for source, samples in zip(SOURCES, together, strict=True):
        alone = draw(search, model, [source], n=5)[0]
        assert [each.tokens for each in samples] == [each.tokens for each in alone]
        assert [each.tokens for each in draw(search, model, [source], n=2)[0]] == [each.tokens for each in alone[:2]]
        ids, mask = make_batch([source])
        for sample in samples:
            forced = force_decode(model, ids, mask, sample.tokens, bos_id=BOS, length_penalty=LengthPenalty(0))
            assert sample.log_probability == pytest.approx(forced.log_probability, abs=1e-4)
            assert sample.tokens[-1] == EOS and len(sample.tokens) <= 5
            assert not {PAD, BOS} & set(sample.tokens)
    assert len({sample.tokens for samples in together for sample in samples}) > 8
    assert draw(sampling(seed=2), model) != draw(sampling(), model)
    monkeypatch.setattr(sampling_module, "MAX_ROWS", 8)  # two rounds of two samples, and one of one
    in_rounds = draw(search, model, n=5)
    assert [[each.tokens for each in samples] for samples in in_rounds] == [
        [each.tokens for each in samples] for samples in together
    ]


def test_the_constraints_of_a_search_hold(model: TranslationModel) -> None:
    search = sampling(min_length=3, no_repeat_ngram=2, temperature=3.0, max_length_margin=9)
    for samples in draw(search, model, n=6):
        for sample in samples:
            bigrams = list(zip(sample.tokens, sample.tokens[1:], strict=False))
            assert len(set(bigrams)) == len(bigrams)
            assert len(sample.tokens) > 3
    prefixes = [(5, 3), (), (4,), (3, 3, 3)]
    for prefix, samples in zip(prefixes, draw(sampling(), model, n=4, prefixes=prefixes), strict=True):
        assert all(sample.tokens[: len(prefix)] == prefix for sample in samples)
    assert all(sample.truncated for sample in draw(sampling(max_length_margin=1, seed=3), _endless(model), n=1)[0])


def _endless(model: TranslationModel) -> TranslationModel:
    """The model, which now never ends a sentence by itself."""
    for name, bias in model.named_parameters():
        if name.endswith("vocabulary.output.bias"):
            bias.data[EOS] = -50.0
    return model


def test_scores_of_nan_give_no_sample(scripted_model: type[ScriptedModel]) -> None:
    assert draw(sampling(), scripted_model({(3,): {3: math.nan, EOS: 0.5}}), [[3, EOS]]) == [[]]


def test_an_argument_of_a_beam_makes_it_a_beam_search() -> None:
    search = sampling(min_length=2)
    assert search.changed(min_length=1) == sampling(min_length=1)
    assert search.changed(beam_size=3) == BeamSearch(
        beam_size=3, length_penalty=0.0, max_length_factor=0.0, max_length_margin=6, min_length=2
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.0}, "temperature=0 must be above 0: use search=greedy"),
        ({"temperature": math.inf}, "temperature=inf must be"),
        ({"temperature": "hot"}, "temperature='hot' must be"),
        ({"top_k": 0}, "top_k=0 must be"),
        ({"top_p": 1.5}, "top_p=1.5 must be above 0 and at most 1"),
        ({"top_p": 0.0}, "top_p=0.0 must be above 0 and at most 1"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"seed": 2**64}, "must be below 2"),
        ({"max_length_margin": 0}, "max_length_margin=0 must be"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sampling(**arguments)
