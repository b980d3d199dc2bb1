"""Beam and greedy search with every architecture, compared with searches that use lists instead of tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from torch import Tensor

from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search import BeamSearch, GreedySearch
from nmt.search.forced import force_decode
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import Search, SearchRequest

if TYPE_CHECKING:
    from tests.search.conftest import ScriptedModel

PAD, BOS, EOS = 0, 1, 2
WORDS = [3, 4, 5]
SOURCES = [[3, 4, 5, EOS], [7, EOS], [8, 6, 3, 4, 5, EOS]]

Tokens = tuple[int, ...]


class Expected(NamedTuple):
    tokens: Tokens
    log_probability: float
    score: float


class SearchCase(NamedTuple):
    """A search as a function of its length limits, and the `n_best` that tests request from it."""

    make: Callable[..., Search]
    n_best: int


def make_batch(sentences: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Source ids (B, S) and their mask."""
    width = max(map(len, sentences))
    source = torch.tensor([sentence + [PAD] * (width - len(sentence)) for sentence in sentences])
    return source, source != PAD


def beam(
    beam_size: int, *, length_penalty: float = 0.0, factor: float = 0.0, margin: int = 4, **guards: int
) -> BeamSearch:
    return BeamSearch(
        beam_size=beam_size, length_penalty=length_penalty, max_length_factor=factor, max_length_margin=margin, **guards
    )


def greedy(*, factor: float = 0.0, margin: int = 4) -> GreedySearch:
    return GreedySearch(max_length_factor=factor, max_length_margin=margin)


def wide_beam(*, factor: float = 0.0, margin: int = 4) -> BeamSearch:
    return beam(4, length_penalty=0.6, factor=factor, margin=margin)


SEARCH_CASES = {"greedy": SearchCase(greedy, 1), "beam": SearchCase(wide_beam, 3)}


@pytest.fixture(params=SEARCH_CASES)
def case(request: pytest.FixtureRequest) -> SearchCase:
    return SEARCH_CASES[request.param]


def run(
    search: Search,
    model: TranslationModel,
    sentences: Sequence[list[int]] = SOURCES,
    *,
    banned_ids: Sequence[int] = (PAD, BOS),
    n_best: int = 1,
    prefixes: Sequence[Tokens] | None = None,
) -> list[list[Hypothesis]]:
    source, source_mask = make_batch(sentences)
    request = SearchRequest(
        source=source,
        source_mask=source_mask,
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=banned_ids,
        n_best=n_best,
        prefixes=prefixes,
    )
    return search(model, request)


@torch.no_grad()
def log_probabilities(model: TranslationModel, sentence: list[int], translations: Sequence[Tokens]) -> list[float]:
    """log p(tokens | source) of each translation, by teacher forcing, in one batch for each length."""
    results: dict[Tokens, float] = {}
    for length in {len(tokens) for tokens in translations}:
        same_length = [tokens for tokens in translations if len(tokens) == length]
        target_input = torch.tensor([[BOS, *tokens[:-1]] for tokens in same_length])  # (N, T)
        logits = model(*make_batch([sentence] * len(same_length)), target_input)  # (N, T, V)
        for tokens, table in zip(same_length, logits.log_softmax(-1).tolist(), strict=True):
            results[tokens] = sum(table[position][token] for position, token in enumerate(tokens))
    return [results[tokens] for tokens in translations]


def output_biases(model: TranslationModel) -> list[Tensor]:
    """The bias of the output layer; an ensemble has several."""
    return [bias.data for name, bias in model.named_parameters() if name.endswith("vocabulary.output.bias")]


def never_end(model: TranslationModel) -> None:
    """Makes `eos` so improbable that it is produced only at the length limit."""
    for bias in output_biases(model):
        bias[EOS] = -50.0


def gnmt_score(log_probability: float, length: int, alpha: float) -> float:
    return log_probability / (((5 + length) / 6) ** alpha)


def best_first(found: Iterable[tuple[Tokens, float]], alpha: float) -> list[Expected]:
    scored = [Expected(tokens, total, gnmt_score(total, len(tokens), alpha)) for tokens, total in found]
    return sorted(scored, key=lambda item: -item.score)


def exhaustive_search(model: TranslationModel, sentence: list[int], *, limit: int, alpha: float) -> list[Expected]:
    """Every translation within the length limit, best first."""
    every = [(*words, EOS) for length in range(limit) for words in itertools.product(WORDS, repeat=length)]
    return best_first(zip(every, log_probabilities(model, sentence, every), strict=True), alpha)


def plain_beam_search(
    model: TranslationModel,
    sentence: list[int],
    *,
    beam_size: int,
    limit: int,
    alpha: float,
    min_length: int = 0,
    size: int = 0,
) -> list[Expected]:
    """Beam search for one sentence with lists instead of tensors, every prefix scored anew, and no early stop.

    No hypothesis has fewer than `min_length` words, or repeats an n-gram of `size` words, unless it has no choice.
    """
    unfinished: list[Tokens] = [()]
    finished: list[tuple[Tokens, float]] = []
    for length in range(1, limit + 1):
        next_tokens = [EOS] if length == limit else [EOS, *WORDS]
        candidates = []
        for words in unfinished:
            allowed = [token for token in next_tokens if token == EOS or not repeats_ngram((*words, token), size)]
            if len(words) < min_length and allowed != [EOS]:
                allowed.remove(EOS)
            candidates += [(*words, token) for token in allowed]
        continued = list(zip(candidates, log_probabilities(model, sentence, candidates), strict=True))
        continued.sort(key=lambda item: -item[1])
        kept = continued[: beam_size - len(finished)]  # a finished hypothesis keeps its slot
        finished += [item for item in kept if item[0][-1] == EOS]
        unfinished = [tokens for tokens, _ in kept if tokens[-1] != EOS]
    return best_first(finished, alpha)


def repeats_ngram(words: Tokens, size: int) -> bool:
    ngrams = [words[start : start + size] for start in range(len(words) - size + 1)] if size else []
    return len(set(ngrams)) < len(ngrams)


def assert_found(hypotheses: Sequence[Hypothesis], expected: Sequence[Expected]) -> None:
    assert [hypothesis.tokens for hypothesis in hypotheses] == [one.tokens for one in expected]
    for hypothesis, one in zip(hypotheses, expected, strict=True):
        assert hypothesis.log_probability == pytest.approx(one.log_probability, abs=1e-5)
        assert hypothesis.score == pytest.approx(one.score, abs=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_beam_with_a_slot_for_every_prefix_is_exhaustive(model: TranslationModel, alpha: float) -> None:
    num_translations = 1 + 3 + 9  # of one, two and three tokens
    expected = [exhaustive_search(model, sentence, limit=3, alpha=alpha) for sentence in SOURCES]
    for n_best in (1, 4, num_translations):
        found = run(beam(num_translations, length_penalty=alpha, margin=3), model, n_best=n_best)
        for hypotheses, best in zip(found, expected, strict=True):
            assert_found(hypotheses, best[:n_best])
    # A wider beam finds nothing else.
    found = run(beam(20, length_penalty=alpha, margin=3), model, n_best=20)
    for hypotheses, best in zip(found, expected, strict=True):
        assert_found(hypotheses, best)


@pytest.mark.parametrize(("beam_size", "n_best", "alpha"), [(2, 1, 0.0), (3, 3, 0.0), (3, 2, 1.0), (5, 1, 0.6)])
def test_beam_search_equals_the_plain_one(model: TranslationModel, beam_size: int, n_best: int, alpha: float) -> None:
    found = run(beam(beam_size, length_penalty=alpha, factor=0.5, margin=4), model, n_best=n_best)
    for sentence, hypotheses in zip(SOURCES, found, strict=True):
        limit = len(sentence) // 2 + 4
        expected = plain_beam_search(model, sentence, beam_size=beam_size, limit=limit, alpha=alpha)
        assert_found(hypotheses, expected[:n_best])


@pytest.mark.parametrize(("min_length", "size"), [(3, 0), (0, 2), (2, 2), (5, 1)])
@pytest.mark.parametrize(("beam_size", "n_best"), [(1, 1), (4, 3)])
def test_beam_search_with_guards_equals_the_plain_one(
    model: TranslationModel, beam_size: int, n_best: int, min_length: int, size: int
) -> None:
    search = beam(beam_size, length_penalty=0.6, factor=0.5, margin=4, min_length=min_length, no_repeat_ngram=size)
    together = run(search, model, n_best=n_best)
    for sentence, hypotheses in zip(SOURCES, together, strict=True):
        limit = max(len(sentence) // 2 + 4, min_length + 1)
        expected = plain_beam_search(
            model, sentence, beam_size=beam_size, limit=limit, alpha=0.6, min_length=min_length, size=size
        )
        assert_found(hypotheses, expected[:n_best])
        for hypothesis in hypotheses:
            assert not repeats_ngram(hypothesis.tokens[:-1], size)
            assert len(hypothesis.tokens) > min_length or (size == 1 and len(hypothesis.tokens) == len(WORDS) + 1)


def test_a_beam_of_size_1_is_greedy_search(model: TranslationModel) -> None:
    greedily = run(greedy(factor=1.5, margin=2), model)
    for alpha in (0.0, 0.6):
        found = run(beam(1, length_penalty=alpha, factor=1.5, margin=2), model)
        for [one], [other] in zip(greedily, found, strict=True):
            assert one.tokens == other.tokens
            assert one.score == one.log_probability == pytest.approx(other.log_probability, abs=1e-5)
            expected = gnmt_score(other.log_probability, len(other.tokens), alpha)
            assert other.score == pytest.approx(expected, abs=1e-6)


def test_greedy_search_takes_the_best_token_at_each_step(model: TranslationModel) -> None:
    for sentence, [hypothesis] in zip(SOURCES, run(greedy(margin=6), model), strict=True):
        words: Tokens = ()
        while not words or words[-1] != EOS:
            continuations = [(*words, token) for token in ([EOS] if len(words) == 5 else [EOS, *WORDS])]
            scores = log_probabilities(model, sentence, continuations)
            words = continuations[scores.index(max(scores))]
        assert hypothesis.tokens == words


def test_a_batch_equals_its_sentences_one_by_one(model: TranslationModel, case: SearchCase) -> None:
    search = case.make(factor=1.0, margin=3)
    together = run(search, model, n_best=case.n_best)
    for sentence, hypotheses in zip(SOURCES, together, strict=True):
        [alone] = run(search, model, [sentence], n_best=case.n_best)
        assert_found(alone, [Expected(other.tokens, other.log_probability, other.score) for other in hypotheses])


def test_hypotheses_are_distinct_sorted_and_scored_as_the_model_scores_them(
    model: TranslationModel, case: SearchCase
) -> None:
    found = run(case.make(factor=1.0, margin=3), model, n_best=case.n_best)
    for sentence, hypotheses in zip(SOURCES, found, strict=True):
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == case.n_best
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        totals = log_probabilities(model, sentence, [hypothesis.tokens for hypothesis in hypotheses])
        assert [hypothesis.log_probability for hypothesis in hypotheses] == pytest.approx(totals, abs=1e-5)
        for hypothesis in hypotheses:
            tokens = hypothesis.tokens
            assert tokens[-1] == EOS
            assert EOS not in tokens[:-1]
            assert len(tokens) <= len(sentence) + 3
            assert set(tokens[:-1]) <= set(WORDS)


def test_forced_decoding_reports_what_the_search_reports(model: TranslationModel, case: SearchCase) -> None:
    never_end(model)  # so that some hypotheses end at the limit only
    search = case.make(factor=0.5, margin=3)
    for sentence, hypotheses in zip(SOURCES, run(search, model, n_best=case.n_best), strict=True):
        for found in hypotheses:
            forced = force_decode(
                model,
                *make_batch([sentence]),
                found.tokens,
                bos_id=BOS,
                length_penalty=search.penalty(),
            )
            assert forced.tokens == found.tokens
            assert forced.log_probability == pytest.approx(found.log_probability, abs=1e-5)
            assert forced.score == pytest.approx(found.score, abs=1e-5)
            totals = log_probabilities(model, sentence, [found.tokens[:end] for end in range(1, len(found.tokens) + 1)])
            assert list(itertools.accumulate(forced.log_probabilities)) == pytest.approx(totals, abs=1e-5)
            assert found.log_probabilities == ()


PREFIXES: list[Tokens] = [(4,), (), (5, 5)]  # of the three sentences


def test_an_empty_prefix_changes_nothing(model: TranslationModel, case: SearchCase) -> None:
    assert run(case.make(), model, n_best=case.n_best, prefixes=[(), (), ()]) == run(
        case.make(), model, n_best=case.n_best
    )


def test_an_exhaustive_beam_finds_the_best_translations_with_a_prefix(model: TranslationModel) -> None:
    found = run(beam(13, length_penalty=0.6, margin=3), model, n_best=3, prefixes=PREFIXES)
    for sentence, prefix, hypotheses in zip(SOURCES, PREFIXES, found, strict=True):
        every = exhaustive_search(model, sentence, limit=3, alpha=0.6)
        assert_found(hypotheses, [one for one in every if one.tokens[: len(prefix)] == prefix][:3])


def test_the_prefix_of_a_translation_leads_to_it_and_to_its_score(model: TranslationModel) -> None:
    translations = [hypothesis for [hypothesis] in run(greedy(margin=6), model)]
    for length in range(6):
        prefixes = [hypothesis.tokens[:-1][:length] for hypothesis in translations]
        for before, [after] in zip(translations, run(greedy(margin=6), model, prefixes=prefixes), strict=True):
            assert_found([after], [Expected(before.tokens, before.log_probability, before.score)])


def test_a_batch_with_prefixes_equals_its_sentences_one_by_one(model: TranslationModel, case: SearchCase) -> None:
    search = case.make(factor=1.0, margin=3)
    together = run(search, model, n_best=case.n_best, prefixes=PREFIXES)
    for sentence, prefix, hypotheses in zip(SOURCES, PREFIXES, together, strict=True):
        [alone] = run(search, model, [sentence], n_best=case.n_best, prefixes=[prefix])
        assert_found(alone, [Expected(other.tokens, other.log_probability, other.score) for other in hypotheses])
        for hypothesis in hypotheses:
            assert hypothesis.tokens[: len(prefix)] == prefix
            forced = force_decode(
                model, *make_batch([sentence]), hypothesis.tokens, bos_id=BOS, length_penalty=search.penalty()
            )
            assert hypothesis.score == pytest.approx(forced.score, abs=1e-5)


def test_a_prefix_may_break_the_rules_of_the_search(model: TranslationModel) -> None:
    """It may repeat n-grams and be longer than the length limit; the other sentences keep to the rules."""
    search = beam(4, margin=3, no_repeat_ngram=1)
    prefixes: list[Tokens] = [(3, 3, 3, 3), (), (4,)]
    (long,), (free,), (short,) = run(search, model, prefixes=prefixes)
    assert long.tokens == (3, 3, 3, 3, EOS)
    assert [free.tokens] == [hypothesis.tokens for hypothesis in run(search, model, SOURCES[1:2])[0]]
    assert short.tokens[0] == 4 and len(set(short.tokens)) == len(short.tokens) <= 3
    [early] = run(beam(2, margin=4, min_length=3), model, SOURCES[:1], prefixes=[(5,)])[0]
    assert early.tokens[0] == 5 and len(early.tokens) == 4


def test_every_translation_ends_at_its_length_limit(model: TranslationModel, case: SearchCase) -> None:
    never_end(model)
    found = run(case.make(factor=0.5, margin=3), model, n_best=case.n_best)
    for sentence, hypotheses in zip(SOURCES, found, strict=True):
        limit = len(sentence) // 2 + 3
        assert len(hypotheses) == case.n_best
        for hypothesis in hypotheses:
            assert len(hypothesis.tokens) == limit
            assert hypothesis.tokens.index(EOS) == limit - 1
            assert hypothesis.log_probability < -30  # the improbable end counts
            assert hypothesis.truncated


def test_no_translation_exceeds_the_limit_of_the_model(model: TranslationModel, case: SearchCase) -> None:
    never_end(model)
    limit = 15 if model.max_length is None else model.max_length
    assert limit in (12, 15)
    for hypotheses in run(case.make(margin=15), model, n_best=case.n_best):
        assert {len(hypothesis.tokens) for hypothesis in hypotheses} == {limit}


def test_banned_ids_are_never_produced(model: TranslationModel, case: SearchCase) -> None:
    for bias in output_biases(model):
        bias[[PAD, BOS, 3]] = 5.0
    unrestricted = run(case.make(), model, banned_ids=[], n_best=case.n_best)
    produced = {token for hypotheses in unrestricted for hypothesis in hypotheses for token in hypothesis.tokens}
    assert produced & {PAD, BOS, 3}
    for hypotheses in run(case.make(), model, banned_ids=[PAD, BOS, 3], n_best=case.n_best):
        assert len(hypotheses) == case.n_best
        for hypothesis in hypotheses:
            assert set(hypothesis.tokens) <= {EOS, 4, 5}


def test_fewer_hypotheses_are_found_if_fewer_exist(model: TranslationModel) -> None:
    for hypotheses in run(beam(6, margin=1), model, n_best=6):
        assert [hypothesis.tokens for hypothesis in hypotheses] == [(EOS,)]
    for hypotheses in run(beam(6, margin=2), model, n_best=6):
        assert {hypothesis.tokens for hypothesis in hypotheses} == {(EOS,), *((word, EOS) for word in WORDS)}


def test_results_are_plain_numbers(model: TranslationModel, case: SearchCase) -> None:
    for hypotheses in run(case.make(), model, n_best=case.n_best):
        for hypothesis in hypotheses:
            assert {type(token) for token in hypothesis.tokens} == {int}
            assert type(hypothesis.score) is type(hypothesis.log_probability) is float
            assert math.isfinite(hypothesis.score)


@pytest.mark.parametrize("beam_size", [0, -1, 2.0])
def test_a_wrong_beam_size_is_a_user_error(beam_size: int) -> None:
    with pytest.raises(UserError, match=f"beam_size={beam_size}"):
        beam(beam_size)


@pytest.mark.parametrize(("search", "n_best"), [(beam(3), 0), (beam(3), 4), (greedy(), 0), (greedy(), 2)])
def test_a_wrong_number_of_translations_is_a_user_error(
    search: Search, n_best: int, scripted_model: type[ScriptedModel]
) -> None:
    with pytest.raises(UserError, match=f"n_best={n_best}"):
        run(search, scripted_model({}), n_best=n_best)
