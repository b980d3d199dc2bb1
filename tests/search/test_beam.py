"""Beam and greedy search over every architecture, against searches written without tensors."""

import itertools
import math

import pytest
import torch

from nmt.search import BeamSearch, GreedySearch

PAD, BOS, EOS = 0, 1, 2
WORDS = [3, 4, 5]
SOURCES = [[3, 4, 5, EOS], [7, EOS], [8, 6, 3, 4, 5, EOS]]
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def batch(sentences):
    width = max(map(len, sentences))
    source = torch.tensor([sentence + [PAD] * (width - len(sentence)) for sentence in sentences])
    return source, source != PAD


def beam(beam_size, *, length_penalty=0.0, factor=0.0, margin=4):
    return BeamSearch(
        beam_size=beam_size, length_penalty=length_penalty, max_length_factor=factor, max_length_margin=margin
    )


def greedy(*, factor=0.0, margin=4):
    return GreedySearch(max_length_factor=factor, max_length_margin=margin)


def run(search, model, sentences=SOURCES, *, banned_ids=(PAD, BOS), n_best=1, need_attention=False):
    return search(
        model,
        *batch(sentences),
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=banned_ids,
        n_best=n_best,
        need_attention=need_attention,
    )


@torch.no_grad()
def log_probabilities(model, sentence, hypotheses):
    """log p(tokens | source) of each, by teacher forcing, token by token."""
    results = []
    for tokens in hypotheses:
        logits = model(*batch([sentence]), torch.tensor([[BOS, *tokens[:-1]]]))[0]
        table = logits.log_softmax(-1).tolist()
        results.append(sum(table[position][token] for position, token in enumerate(tokens)))
    return results


def gnmt(log_probability, length, alpha):
    return log_probability / (((5 + length) / 6) ** alpha)


def exhaustive(model, sentence, *, limit, alpha):
    """Every translation within the limit with its log-probability and its score, best first."""
    everything = [(*words, EOS) for length in range(limit) for words in itertools.product(WORDS, repeat=length)]
    found = [
        (tokens, total, gnmt(total, len(tokens), alpha))
        for tokens, total in zip(everything, log_probabilities(model, sentence, everything), strict=True)
    ]
    return sorted(found, key=lambda item: -item[2])


def assert_found(hypotheses, expected):
    assert [hypothesis.tokens for hypothesis in hypotheses] == [tokens for tokens, _, _ in expected]
    for hypothesis, (_, total, score) in zip(hypotheses, expected, strict=True):
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)
        assert hypothesis.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_wide_beam_is_exhaustive(model, alpha):
    number = 1 + 3 + 9  # translations of one, two and three tokens
    expected = [exhaustive(model, sentence, limit=3, alpha=alpha) for sentence in SOURCES]
    for n_best in (1, 4, number):
        found = run(beam(number, length_penalty=alpha, margin=3), model, n_best=n_best)
        for hypotheses, best in zip(found, expected, strict=True):
            assert_found(hypotheses, best[:n_best])
    # Nothing better can be found, and there is nothing more to find.
    more = run(beam(20, length_penalty=alpha, margin=3), model, n_best=20)
    for hypotheses, best in zip(more, expected, strict=True):
        assert_found(hypotheses, best)


def plain_beam(model, sentence, *, beam_size, limit, alpha):
    """One sentence, lists instead of tensors, every prefix scored anew, and no early end."""
    going, ended = [((), 0.0)], []
    for length in range(1, limit + 1):
        continued = []
        for words, _ in going:
            for token in [EOS] if length == limit else [EOS, *WORDS]:
                tokens = (*words, token)
                continued.append((tokens, log_probabilities(model, sentence, [tokens])[0]))
        continued.sort(key=lambda item: -item[1])
        kept = continued[: beam_size - len(ended)]  # a hypothesis that has ended keeps its slot
        ended += [item for item in kept if item[0][-1] == EOS]
        going = [item for item in kept if item[0][-1] != EOS]
    found = [(tokens, total, gnmt(total, len(tokens), alpha)) for tokens, total in ended]
    return sorted(found, key=lambda item: -item[2])


@pytest.mark.parametrize(("beam_size", "n_best", "alpha"), [(2, 1, 0.0), (3, 3, 0.0), (3, 2, 1.0), (5, 1, 0.6)])
def test_a_narrow_beam(model, beam_size, n_best, alpha):
    found = run(beam(beam_size, length_penalty=alpha, factor=0.5, margin=4), model, n_best=n_best)
    for sentence, hypotheses in zip(SOURCES, found, strict=True):
        limit = len(sentence) // 2 + 4
        expected = plain_beam(model, sentence, beam_size=beam_size, limit=limit, alpha=alpha)
        assert_found(hypotheses, expected[:n_best])


@pytest.mark.parametrize("need_attention", [False, True])
def test_a_beam_of_one_is_greedy(model, need_attention):
    plain = run(greedy(factor=1.5, margin=2), model, need_attention=need_attention)
    for alpha in (0.0, 0.6):
        found = run(beam(1, length_penalty=alpha, factor=1.5, margin=2), model, need_attention=need_attention)
        for [one], [other] in zip(plain, found, strict=True):
            assert one.tokens == other.tokens
            assert one.score == one.log_probability == pytest.approx(other.log_probability, abs=1e-5)
            assert other.score == pytest.approx(gnmt(other.log_probability, len(other.tokens), alpha), abs=1e-6)
            if one.attention is None:
                assert other.attention is None
            else:
                torch.testing.assert_close(one.attention, other.attention, **CLOSE)


def test_greedy_takes_the_best_token_at_each_step(model):
    for sentence, [hypothesis] in zip(SOURCES, run(greedy(margin=6), model), strict=True):
        words = []
        while not words or words[-1] != EOS:
            allowed = [EOS] if len(words) == 5 else [EOS, *WORDS]
            scores = log_probabilities(model, sentence, [(*words, token) for token in allowed])
            words.append(allowed[scores.index(max(scores))])
        assert hypothesis.tokens == tuple(words)


SEARCHES = {"greedy": (greedy, 1), "beam": (lambda **limits: beam(4, length_penalty=0.6, **limits), 3)}


@pytest.fixture(params=SEARCHES)
def search(request):
    """A function that makes a search with limits, and how many translations it is asked for."""
    return SEARCHES[request.param]


def test_a_batch_equals_its_sentences_one_by_one(model, search):
    make, n_best = search
    finder = make(factor=1.0, margin=3)
    together = run(finder, model, n_best=n_best, need_attention=True)
    for sentence, hypotheses in zip(SOURCES, together, strict=True):
        [alone] = run(finder, model, [sentence], n_best=n_best, need_attention=True)
        assert_found(alone, [(other.tokens, other.log_probability, other.score) for other in hypotheses])
        for one, other in zip(alone, hypotheses, strict=True):
            if one.attention is not None:
                torch.testing.assert_close(one.attention, other.attention, **CLOSE)


def test_what_is_found_is_what_the_model_says(model, search):
    make, n_best = search
    found = run(make(factor=1.0, margin=3), model, n_best=n_best, need_attention=True)
    for sentence, hypotheses in zip(SOURCES, found, strict=True):
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == n_best
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


@torch.no_grad()
def test_attention_is_that_of_a_forced_pass(model, search):
    make, n_best = search
    found = run(make(factor=1.0, margin=3), model, n_best=n_best, need_attention=True)
    for sentence, hypotheses in zip(SOURCES, found, strict=True):
        for hypothesis in hypotheses:
            memory = model.encode(*batch([sentence]))
            state, expected = model.start(memory), []
            for token in (BOS, *hypothesis.tokens[:-1]):
                output = model.step(torch.tensor([token]), state, memory, need_attention=True)
                state = output.state
                expected.append(output.attention_weights)
            if expected[0] is None:
                assert hypothesis.attention is None
                continue
            assert hypothesis.attention.shape[0] == len(hypothesis.tokens)
            assert hypothesis.attention.shape[-1] == len(sentence)
            torch.testing.assert_close(hypothesis.attention, torch.cat(expected), **CLOSE)


def test_nobody_asked_for_attention(model, search):
    make, n_best = search
    for hypotheses in run(make(), model, n_best=n_best):
        assert [hypothesis.attention for hypothesis in hypotheses] == [None] * n_best


def test_every_translation_ends_at_its_limit(model, search):
    make, n_best = search
    model.vocabulary.output.bias.data[EOS] = -50.0
    for sentence, hypotheses in zip(SOURCES, run(make(factor=0.5, margin=3), model, n_best=n_best), strict=True):
        limit = len(sentence) // 2 + 3
        assert len(hypotheses) == n_best
        for hypothesis in hypotheses:
            assert len(hypothesis.tokens) == limit
            assert hypothesis.tokens.index(EOS) == limit - 1
            assert hypothesis.log_probability < -30  # the forced end is paid for


def test_the_models_own_limit(model, search):
    make, n_best = search
    model.vocabulary.output.bias.data[EOS] = -50.0
    limit = 15 if model.max_length is None else model.max_length
    assert limit in (12, 15)
    for hypotheses in run(make(margin=15), model, n_best=n_best):
        assert {len(hypothesis.tokens) for hypothesis in hypotheses} == {limit}


def test_banned_ids_are_never_produced(model, search):
    make, n_best = search
    model.vocabulary.output.bias.data[[PAD, BOS, 3]] = 5.0
    produced = {
        token
        for banned in ([], [PAD, BOS, 3])
        for hypotheses in run(make(), model, banned_ids=banned, n_best=n_best)
        for hypothesis in hypotheses
        for token in hypothesis.tokens
    }
    assert produced & {PAD, BOS, 3}
    for hypotheses in run(make(), model, banned_ids=[PAD, BOS, 3], n_best=n_best):
        assert len(hypotheses) == n_best
        for hypothesis in hypotheses:
            assert set(hypothesis.tokens) <= {EOS, 4, 5}


def test_fewer_are_found_where_fewer_exist(model):
    for hypotheses in run(beam(6, margin=1), model, n_best=6):
        assert [hypothesis.tokens for hypothesis in hypotheses] == [(EOS,)]
    for hypotheses in run(beam(6, margin=2), model, n_best=6):
        assert {hypothesis.tokens for hypothesis in hypotheses} == {(EOS,), *((word, EOS) for word in WORDS)}


def test_results_are_plain_numbers(model, search):
    make, n_best = search
    for hypotheses in run(make(), model, n_best=n_best, need_attention=True):
        for hypothesis in hypotheses:
            assert {type(token) for token in hypothesis.tokens} == {int}
            assert type(hypothesis.score) is type(hypothesis.log_probability) is float
            assert math.isfinite(hypothesis.score)


@pytest.mark.parametrize("beam_size", [0, -1, 2.0])
def test_a_beam_has_a_size(beam_size):
    with pytest.raises(ValueError, match=f"beam_size={beam_size}"):
        beam(beam_size)


@pytest.mark.parametrize(("finder", "n_best"), [(beam(3), 0), (beam(3), 4), (greedy(), 0), (greedy(), 2)])
def test_a_wrong_number_of_translations_is_named(finder, n_best):
    with pytest.raises(ValueError, match=f"n_best={n_best}"):
        run(finder, None, n_best=n_best)
