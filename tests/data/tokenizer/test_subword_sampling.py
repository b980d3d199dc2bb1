"""Random segmentations: their exact distributions, what they depend on, and odd texts."""

import itertools
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.counter_rng import Bits
from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.bpe_dropout import BpeDropout
from nmt.data.tokenizer.subword_sampling import Ids, SubwordSampler
from nmt.data.tokenizer.unigram_sampling import UnigramSampler
from nmt.errors import UserError

RANDOM = random.Random(0)
SYLLABLES = ["the", "mo", "bro", "other", "er", "ing", "in", "sm", "st", "we", "ga", "le", "ar", "ather", "to"]
WORDS = ["mother", *("".join(RANDOM.choices(SYLLABLES, k=RANDOM.randint(1, 4))) for _ in range(80))]
TEXTS = [" ".join(RANDOM.choices(WORDS, k=RANDOM.randint(2, 6))) + "," for _ in range(60)]
KINDS: dict[str, dict[str, Any]] = {
    "unigram": {"model_type": "unigram", "vocab_size": 80, "byte_fallback": False},
    "bpe": {"model_type": "bpe", "vocab_size": 80, "byte_fallback": False},
    "unigram with bytes": {"model_type": "unigram", "vocab_size": 336, "byte_fallback": True},
    "bpe with bytes": {"model_type": "bpe", "vocab_size": 336, "byte_fallback": True},
}
SETTINGS: dict[str, Any] = {"shared": True, "character_coverage": 1.0, "normalization": "compose"}
BEST_ALPHA = {"unigram": 1000.0, "bpe": 0.0}
"""The alpha with which each kind of model samples nothing but the best segmentation."""


@cache
def train_once(kind: str) -> Tokenizer:
    return Tokenizer.train(TEXTS, TEXTS[::-1], **SETTINGS, **KINDS[kind])


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_once(request.param)


def resample(
    tokenizer: Tokenizer, texts: list[str], *, alpha: float, seeds: Sequence[int], side: str = "source"
) -> list[list[int]]:
    method = getattr(tokenizer, f"resample_{side}")
    return [ids.tolist() for ids in method(encode(tokenizer, texts), alpha=alpha, seeds=to_bits(seeds))]


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[Ids]:
    return [np.array(ids, dtype=np.int32) for ids in tokenizer.encode_source(texts)]


def to_bits(seeds: Sequence[int]) -> Bits:
    return np.array(seeds, dtype=np.uint64)


def count_segmentations(tokenizer: Tokenizer, text: str, *, alpha: float, num_samples: int) -> Counter[tuple[str, ...]]:
    sampled = resample(tokenizer, [text] * num_samples, alpha=alpha, seeds=range(num_samples))
    return Counter(tuple(tokenizer.source_pieces(ids)) for ids in sampled)


def check_counts(counts: Counter[tuple[str, ...]], expected: dict[tuple[str, ...], float]) -> None:
    """Each count lies within five standard deviations of its expected value."""
    num_samples = counts.total()
    assert counts.keys() <= expected.keys()
    assert sum(expected.values()) == pytest.approx(1)
    for pieces, probability in expected.items():
        deviation = math.sqrt(num_samples * probability * (1 - probability))
        assert abs(counts[pieces] - num_samples * probability) <= 5 * deviation + 1, pieces


def all_segmentations(word: str) -> list[tuple[str, ...]]:
    if not word:
        return [()]
    return [(word[:end], *rest) for end in range(1, len(word) + 1) for rest in all_segmentations(word[end:])]


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_unigram_samples_have_the_probabilities_of_the_formula(alpha: float) -> None:
    tokenizer = train_once("unigram")
    scores = {
        tokenizer.source_pieces([id])[0]: tokenizer._source.get_score(id) for id in range(4, tokenizer.source_size)
    }
    weights = {
        pieces: math.exp(alpha * sum(map(scores.__getitem__, pieces)))
        for pieces in all_segmentations("▁mother")
        if scores.keys() >= set(pieces)
    }
    assert len(weights) > 5
    expected = {pieces: weight / sum(weights.values()) for pieces, weight in weights.items()}
    check_counts(count_segmentations(tokenizer, "mother", alpha=alpha, num_samples=4000), expected)


def enumerate_dropout(pieces: tuple[str, ...], ranks: dict[str, float], alpha: float) -> dict[tuple[str, ...], float]:
    """The distribution of Algorithm 1 of Provilkov et al., by enumerating all outcomes."""
    merges = sorted(
        (-ranks[left + right], index) for index, (left, right) in enumerate(pairwise(pieces)) if left + right in ranks
    )
    expected: dict[tuple[str, ...], float] = defaultdict(float, {pieces: alpha ** len(merges)})
    for number, (_, index) in enumerate(merges):
        merged = (*pieces[:index], pieces[index] + pieces[index + 1], *pieces[index + 2 :])
        for outcome, probability in enumerate_dropout(merged, ranks, alpha).items():
            expected[outcome] += alpha**number * (1 - alpha) * probability
    return {outcome: probability for outcome, probability in expected.items() if probability}


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_bpe_samples_have_the_probabilities_of_the_algorithm(alpha: float) -> None:
    tokenizer = train_once("bpe")
    ranks = {
        tokenizer.source_pieces([id])[0]: tokenizer._source.get_score(id) for id in range(4, tokenizer.source_size)
    }
    expected = enumerate_dropout(tuple("▁mother"), ranks, alpha)
    assert len(expected) > 5 or alpha == 1
    check_counts(count_segmentations(tokenizer, "mother", alpha=alpha, num_samples=4000), expected)


@given(text=st.text(alphabet=[*sorted(set("".join(TEXTS))), "ж", "😀", "▁"], max_size=30))
def test_bpe_without_dropout_equals_sentencepiece(text: str) -> None:
    for kind in ("bpe", "bpe with bytes"):
        assert resample(train_once(kind), [text], alpha=0.0, seeds=[7]) == train_once(kind).encode_source([text])


@given(text=st.text(alphabet=[*sorted(set("".join(TEXTS))), "ж", "😀", "▁"], max_size=30))
def test_unigram_with_a_large_alpha_samples_a_best_segmentation(text: str) -> None:
    for kind in ("unigram", "unigram with bytes"):
        tokenizer = train_once(kind)
        (best,), (sampled,) = tokenizer.encode_source([text]), resample(tokenizer, [text], alpha=1000, seeds=[7])
        score = sum(map(tokenizer._source.get_score, best))  # equal for both where two segmentations are equally good
        assert sum(map(tokenizer._source.get_score, sampled)) == pytest.approx(score, abs=0.05)


@given(text=st.text(max_size=40))
def test_a_sample_decodes_to_the_same_text(tokenizer: Tokenizer, text: str) -> None:
    (best,) = tokenizer.encode_target([text])
    for seed in range(3):
        (sampled,) = resample(tokenizer, [text], alpha=0.3, seeds=[seed], side="target")
        assert tokenizer.decode_target(sampled) == tokenizer.decode_target(best)
        assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(sampled)


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "\ud800", "x" * 1000, "<s></s>", "<0x41>", "ab\u2028cd", "e\x01\u0301"]
)
def test_odd_texts_are_resampled_like_others(tokenizer: Tokenizer, text: str) -> None:
    texts = [TEXTS[0], text, TEXTS[1]]
    sampled = resample(tokenizer, texts, alpha=BEST_ALPHA[tokenizer.model_type], seeds=[1, 2, 3])
    assert [sampled[0], sampled[2]] == tokenizer.encode_source([TEXTS[0], TEXTS[1]])
    assert tokenizer.decode_target(sampled[1]) == tokenizer.decode_target(tokenizer.encode_target([text])[0])
    assert len(sampled[1]) == len(tokenizer.encode_target([text])[0])


def test_a_run_of_unknown_characters_is_one_piece_as_in_sentencepiece() -> None:
    for kind in ("unigram", "bpe"):
        (sampled,) = resample(train_once(kind), ["the жжж😀 жo"], alpha=BEST_ALPHA[kind], seeds=[7])
        assert sampled == train_once(kind).encode_source(["the жжж😀 жo"])[0]
        assert sampled.count(train_once(kind).unk_id) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_user_defined_symbols_are_never_divided(kind: str) -> None:
    """Neither if their characters have pieces of their own, nor if they occur in no other text."""
    symbols = ["<br>", "@user", "ther"]
    texts = [f"{text} < b{text}<br>{text} the@user <br><br>@user" for text in TEXTS]
    tokenizer = Tokenizer.train(texts, texts, **SETTINGS, **KINDS[kind], user_defined_symbols=symbols)
    sampled = resample(tokenizer, texts, alpha=0.2, seeds=range(len(texts)))
    best, lengths = tokenizer.encode_source(texts), tokenizer.piece_lengths()[0]
    assert sampled != best
    for text, one, other in zip(texts, best, sampled, strict=True):
        pieces = [[piece for piece in tokenizer.source_pieces(ids) if piece in symbols] for ids in (one, other)]
        assert pieces[0] == pieces[1] == re.findall("|".join(symbols), text)
        assert tokenizer.decode_target(other) == text
        assert lengths[one].sum() == lengths[other].sum()


@given(data=st.data())
def test_a_sample_does_not_depend_on_its_batch(tokenizer: Tokenizer, data: st.DataObject) -> None:
    texts = [*TEXTS, "", "жжж"]
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=6))
    alone = [resample(tokenizer, [texts[index]], alpha=0.2, seeds=[index])[0] for index in chosen]
    assert resample(tokenizer, [texts[index] for index in chosen], alpha=0.2, seeds=chosen) == alone


def test_a_sentence_may_start_within_a_word(tokenizer: Tokenizer) -> None:
    """It is not joined to the previous sentence."""
    first = max(encode(tokenizer, TEXTS), key=len)
    alpha = 0.0 if tokenizer.model_type == "bpe" else 1000.0
    both = tokenizer.resample_source([first, first[1:]], alpha=alpha, seeds=to_bits([1, 2]))
    assert [len(ids) for ids in both] == [len(first), len(first) - 1]


def test_ids_may_have_any_integer_type(tokenizer: Tokenizer) -> None:
    lists = tokenizer.encode_source(TEXTS)
    seeds = to_bits(range(len(TEXTS)))
    alpha = 0.1
    expected = tokenizer.resample_source(encode(tokenizer, TEXTS), alpha=alpha, seeds=seeds)
    variants: list[Any] = [lists, [np.array(ids, dtype=np.int64) for ids in lists]]
    for sentences in variants:
        sampled = tokenizer.resample_source(sentences, alpha=alpha, seeds=seeds)
        assert [ids.tolist() for ids in sampled] == [ids.tolist() for ids in expected]


def test_a_sample_depends_on_its_seed(tokenizer: Tokenizer) -> None:
    sampled = resample(tokenizer, [TEXTS[3]] * 40, alpha=0.2, seeds=range(40))
    assert len(set(map(tuple, sampled))) > 5
    assert resample(tokenizer, [TEXTS[3]] * 40, alpha=0.2, seeds=[17] * 40) == [sampled[17]] * 40


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", 0.1), ("bpe", 0.5)])
def test_occurrences_of_a_word_are_sampled_independently(kind: str, alpha: float) -> None:
    tokenizer, num_samples = train_once(kind), 4000
    counts: Counter[tuple[str, str]] = Counter()
    for pieces, number in count_segmentations(tokenizer, "mother mother", alpha=alpha, num_samples=num_samples).items():
        first, second = " ".join(pieces).strip("▁").split("▁")
        counts[first.strip(), second.strip()] += number
    firsts, seconds = (Counter[str]() for _ in range(2))
    for (first, second), number in counts.items():
        firsts[first] += number
        seconds[second] += number
    assert len(firsts) > 5
    for first, second in itertools.product(firsts, seconds):
        expected = firsts[first] * seconds[second] / num_samples
        assert abs(counts[first, second] - expected) <= 5 * math.sqrt(expected) + 3, (first, second)


def test_another_process_samples_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    code = (
        "import sys, pathlib; import numpy as np; from nmt.data.tokenizer import Tokenizer\n"
        "tokenizer = Tokenizer.load(pathlib.Path(sys.argv[1]))\n"
        "best = [np.array(ids, dtype=np.int32) for ids in tokenizer.encode_source(sys.stdin.read().splitlines())]\n"
        "seeds = np.arange(len(best), dtype=np.uint64)\n"
        "tokenizer.resample_target(best[::-1], alpha=0.5, seeds=seeds)\n"
        "print([ids.tolist() for ids in tokenizer.resample_source(best, alpha=0.2, seeds=seeds)])"
    )
    here = resample(tokenizer, TEXTS, alpha=0.2, seeds=range(len(TEXTS)))
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        input="\n".join(TEXTS),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert there.stdout.strip() == str(here)


@pytest.mark.parametrize(("kind", "alphas"), [("unigram", [1000, 0.5, 0.1, 0.0]), ("bpe", [0.0, 0.1, 0.3, 1.0])])
def test_more_randomness_gives_more_pieces(kind: str, alphas: list[float]) -> None:
    seeds = range(len(TEXTS))
    lengths = [sum(map(len, resample(train_once(kind), TEXTS, alpha=alpha, seeds=seeds))) for alpha in alphas]
    assert all(more > 1.02 * fewer for fewer, more in pairwise(lengths))
    assert lengths[0] == sum(map(len, train_once(kind).encode_source(TEXTS)))


SAMPLERS: dict[str, type[SubwordSampler]] = {"unigram": UnigramSampler, "bpe": BpeDropout}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_emptying_the_cache_changes_no_sample(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = resample(train_once(kind), TEXTS, alpha=0.2, seeds=range(len(TEXTS)))
    monkeypatch.setattr("nmt.data.tokenizer.subword_sampling.MAX_CACHED_NUMBERS", 500)
    sampler = SAMPLERS[kind](train_once(kind)._source, alpha=0.2)
    best, max_cached, times_emptied = encode(train_once(kind), TEXTS), 0, 0
    for index in [*range(len(TEXTS)), *reversed(range(len(TEXTS)))]:
        num_cached = len(sampler.words)
        assert sampler.sample([best[index]], to_bits([index]))[0].tolist() == expected[index]
        times_emptied += len(sampler.words) < num_cached
        max_cached = max(max_cached, len(sampler.words))
    assert times_emptied > 5
    assert max_cached < len({word for text in TEXTS for word in text.split()}) / 2


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_word_is_prepared_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a batch would take ten times as long."""
    sampler = SAMPLERS[kind](train_once(kind)._source, alpha=0.2)
    prepared: list[list[int]] = []
    prepare_word = sampler.prepare_word

    def record_and_prepare(ids: list[int]) -> int:
        prepared.append(ids)
        return prepare_word(ids)

    monkeypatch.setattr(sampler, "prepare_word", record_and_prepare)
    for seed in range(3):
        sampler.sample(encode(train_once(kind), TEXTS), to_bits([seed] * len(TEXTS)))
    assert len(prepared) == len({word for text in TEXTS for word in text.split()})


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", -0.1), ("unigram", 1e9), ("bpe", 1.5), ("bpe", math.nan)])
def test_an_alpha_out_of_range_is_refused(kind: str, alpha: float) -> None:
    with pytest.raises(UserError, match=rf"^subword_alpha={alpha} must be .* for model_type={kind}$"):
        resample(train_once(kind), ["the"], alpha=alpha, seeds=[1])


@pytest.mark.slow
@pytest.mark.multi30k
@pytest.mark.skipif("NMT_MULTI30K" not in os.environ, reason="NMT_MULTI30K names no folder with Multi30k")
def test_the_best_segmentations_of_multi30k_equal_sentencepiece() -> None:
    folder = Path(os.environ["NMT_MULTI30K"])
    lines = {name: (folder / f"train.{name}").read_text(encoding="utf-8").split("\n") for name in ("en", "de")}
    texts = lines["en"] + lines["de"]
    for kind in ("unigram", "bpe"):
        settings = SETTINGS | KINDS[kind] | {"vocab_size": 8000}
        tokenizer = Tokenizer.train(lines["en"], lines["de"], **settings)
        best = tokenizer.encode_source(texts)
        sampled = resample(tokenizer, texts, alpha=BEST_ALPHA[kind], seeds=range(len(texts)))
        others = [(one, other) for one, other in zip(best, sampled, strict=True) if one != other]
        assert len(others) <= (5 if kind == "unigram" else 0)  # two segmentations that are equally good
        for one, other in others:
            scores = [sum(map(tokenizer._source.get_score, ids)) for ids in (one, other)]
            assert scores[0] == pytest.approx(scores[1], abs=0.01)
