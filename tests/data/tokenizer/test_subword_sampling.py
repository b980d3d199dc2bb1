import itertools
import math
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.subword_sampling import BpeSubwords, UnigramSubwords

DRAW = random.Random(0)
SYLLABLES = ["the", "mo", "bro", "other", "er", "ing", "in", "sm", "st", "we", "ga", "le", "ar", "ather", "to"]
WORDS = ["mother", *("".join(DRAW.choices(SYLLABLES, k=DRAW.randint(1, 4))) for _ in range(80))]
TEXTS = [" ".join(DRAW.choices(WORDS, k=DRAW.randint(2, 6))) + "," for _ in range(60)]
KINDS = {
    "unigram": {"model_type": "unigram", "vocab_size": 80, "byte_fallback": False},
    "bpe": {"model_type": "bpe", "vocab_size": 80, "byte_fallback": False},
    "unigram with bytes": {"model_type": "unigram", "vocab_size": 336, "byte_fallback": True},
    "bpe with bytes": {"model_type": "bpe", "vocab_size": 336, "byte_fallback": True},
}
BEST = {"unigram": 1000.0, "bpe": 0.0}
"""The alpha of each kind of model with which the best segmentation is all that is drawn."""


@cache
def made(kind: str) -> Tokenizer:
    return Tokenizer.train(TEXTS, TEXTS[::-1], shared=True, character_coverage=1.0, **KINDS[kind])


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return made(request.param)


def redrawn(
    tokenizer: Tokenizer, texts: list[str], *, alpha: float, seeds: Sequence[int], side: str = "source"
) -> list[list[int]]:
    redraw = getattr(tokenizer, f"redraw_{side}")
    return [ids.tolist() for ids in redraw(encoded(tokenizer, texts), alpha=alpha, seeds=numbers(seeds))]


def encoded(tokenizer: Tokenizer, texts: list[str]) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int32) for ids in tokenizer.encode_source(texts)]


def numbers(seeds: Sequence[int]) -> np.ndarray:
    return np.array(seeds, dtype=np.uint64)


def frequencies(tokenizer: Tokenizer, text: str, *, alpha: float, draws: int) -> Counter[tuple[str, ...]]:
    drawn = redrawn(tokenizer, [text] * draws, alpha=alpha, seeds=range(draws))
    return Counter(tuple(tokenizer.source_pieces(ids)) for ids in drawn)


def check(counts: Counter[tuple[str, ...]], expected: dict[tuple[str, ...], float]) -> None:
    """Each count lies within five standard deviations of what its probability lets expect."""
    draws = counts.total()
    assert counts.keys() <= expected.keys()
    assert sum(expected.values()) == pytest.approx(1)
    for pieces, probability in expected.items():
        deviation = math.sqrt(draws * probability * (1 - probability))
        assert abs(counts[pieces] - draws * probability) <= 5 * deviation + 1, pieces


def splits(word: str) -> list[tuple[str, ...]]:
    if not word:
        return [()]
    return [(word[:end], *rest) for end in range(1, len(word) + 1) for rest in splits(word[end:])]


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_unigram_draws_by_the_formula(alpha: float) -> None:
    tokenizer = made("unigram")
    scores = {
        tokenizer.source_pieces([id])[0]: tokenizer._source.get_score(id) for id in range(4, tokenizer.source_size)
    }
    weights = {
        pieces: math.exp(alpha * sum(map(scores.__getitem__, pieces)))
        for pieces in splits("▁mother")
        if scores.keys() >= set(pieces)
    }
    assert len(weights) > 5
    expected = {pieces: weight / sum(weights.values()) for pieces, weight in weights.items()}
    check(frequencies(tokenizer, "mother", alpha=alpha, draws=4000), expected)


def dropout(parts: tuple[str, ...], ranks: dict[str, float], alpha: float) -> dict[tuple[str, ...], float]:
    """The distribution that Algorithm 1 of Provilkov et al. gives, by going through all that can happen."""
    merges = sorted(
        (-ranks[left + right], index) for index, (left, right) in enumerate(pairwise(parts)) if left + right in ranks
    )
    expected: Counter[tuple[str, ...]] = Counter({parts: alpha ** len(merges)})
    for number, (_, index) in enumerate(merges):
        merged = (*parts[:index], parts[index] + parts[index + 1], *parts[index + 2 :])
        for pieces, probability in dropout(merged, ranks, alpha).items():
            expected[pieces] += alpha**number * (1 - alpha) * probability
    return {pieces: probability for pieces, probability in expected.items() if probability}


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_bpe_leaves_merges_out_as_the_algorithm_says(alpha: float) -> None:
    tokenizer = made("bpe")
    ranks = {
        tokenizer.source_pieces([id])[0]: tokenizer._source.get_score(id) for id in range(4, tokenizer.source_size)
    }
    expected = dropout(tuple("▁mother"), ranks, alpha)
    assert len(expected) > 5 or alpha == 1
    check(frequencies(tokenizer, "mother", alpha=alpha, draws=4000), expected)


@given(text=st.text(alphabet=[*sorted(set("".join(TEXTS))), "ж", "😀", "▁"], max_size=30))
def test_without_chance_bpe_is_the_library_s(text: str) -> None:
    for kind in ("bpe", "bpe with bytes"):
        assert redrawn(made(kind), [text], alpha=0.0, seeds=[7]) == made(kind).encode_source([text])


@given(text=st.text(alphabet=[*sorted(set("".join(TEXTS))), "ж", "😀", "▁"], max_size=30))
def test_a_large_alpha_draws_one_of_the_best(text: str) -> None:
    for kind in ("unigram", "unigram with bytes"):
        tokenizer = made(kind)
        (best,), (drawn,) = tokenizer.encode_source([text]), redrawn(tokenizer, [text], alpha=1000, seeds=[7])
        score = sum(map(tokenizer._source.get_score, best))  # equal for both where two segmentations are equally good
        assert sum(map(tokenizer._source.get_score, drawn)) == pytest.approx(score, abs=0.05)


@given(text=st.text(max_size=40))
def test_a_draw_spells_the_same_text(tokenizer: Tokenizer, text: str) -> None:
    (best,) = tokenizer.encode_target([text])
    for seed in range(3):
        (drawn,) = redrawn(tokenizer, [text], alpha=0.3, seeds=[seed], side="target")
        assert tokenizer.decode_target(drawn) == tokenizer.decode_target(best)
        assert not {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id} & set(drawn)


@pytest.mark.parametrize(
    "text", ["", " ", "\0", "\ud800", "x" * 1000, "<s></s>", "<0x41>", "ab\u2028cd", "e\x01\u0301"]
)
def test_strange_texts(tokenizer: Tokenizer, text: str) -> None:
    texts = [TEXTS[0], text, TEXTS[1]]
    drawn = redrawn(tokenizer, texts, alpha=BEST[tokenizer.model_type], seeds=[1, 2, 3])
    assert [drawn[0], drawn[2]] == tokenizer.encode_source([TEXTS[0], TEXTS[1]])
    assert tokenizer.decode_target(drawn[1]) == tokenizer.decode_target(tokenizer.encode_target([text])[0])
    assert len(drawn[1]) == len(tokenizer.encode_target([text])[0])


def test_an_unknown_run_is_one_piece_as_in_the_library() -> None:
    for kind in ("unigram", "bpe"):
        (drawn,) = redrawn(made(kind), ["the жжж😀 жo"], alpha=BEST[kind], seeds=[7])
        assert drawn == made(kind).encode_source(["the жжж😀 жo"])[0]
        assert drawn.count(made(kind).unk_id) == 2


@given(data=st.data())
def test_the_company_does_not_matter(tokenizer: Tokenizer, data: st.DataObject) -> None:
    texts = [*TEXTS, "", "жжж"]
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=6))
    alone = [redrawn(tokenizer, [texts[index]], alpha=0.2, seeds=[index])[0] for index in chosen]
    assert redrawn(tokenizer, [texts[index] for index in chosen], alpha=0.2, seeds=chosen) == alone


def test_a_sentence_may_begin_within_a_word(tokenizer: Tokenizer) -> None:
    """It is not joined to the sentence before it."""
    first = max(encoded(tokenizer, TEXTS), key=len)
    alpha = 0.0 if tokenizer.model_type == "bpe" else 1000.0
    both = tokenizer.redraw_source([first, first[1:]], alpha=alpha, seeds=numbers([1, 2]))
    assert [len(ids) for ids in both] == [len(first), len(first) - 1]


def test_ids_may_be_of_any_whole_numbers(tokenizer: Tokenizer) -> None:
    lists = tokenizer.encode_source(TEXTS)
    seeds = numbers(range(len(TEXTS)))
    alpha = 0.1
    expected = tokenizer.redraw_source(encoded(tokenizer, TEXTS), alpha=alpha, seeds=seeds)
    for sentences in (lists, [np.array(ids, dtype=np.int64) for ids in lists]):
        found = tokenizer.redraw_source(sentences, alpha=alpha, seeds=seeds)
        assert [ids.tolist() for ids in found] == [ids.tolist() for ids in expected]


def test_the_seed_decides(tokenizer: Tokenizer) -> None:
    drawn = redrawn(tokenizer, [TEXTS[3]] * 40, alpha=0.2, seeds=range(40))
    assert len(set(map(tuple, drawn))) > 5
    assert redrawn(tokenizer, [TEXTS[3]] * 40, alpha=0.2, seeds=[17] * 40) == [drawn[17]] * 40


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", 0.1), ("bpe", 0.5)])
def test_each_occurrence_of_a_word_is_drawn_for_itself(kind: str, alpha: float) -> None:
    tokenizer, draws = made(kind), 4000
    counts: Counter[tuple[str, str]] = Counter()
    for pieces, number in frequencies(tokenizer, "mother mother", alpha=alpha, draws=draws).items():
        first, second = " ".join(pieces).strip("▁").split("▁")
        counts[first.strip(), second.strip()] += number
    firsts, seconds = (Counter[str]() for _ in range(2))
    for (first, second), number in counts.items():
        firsts[first] += number
        seconds[second] += number
    assert len(firsts) > 5
    for first, second in itertools.product(firsts, seconds):
        expected = firsts[first] * seconds[second] / draws
        assert abs(counts[first, second] - expected) <= 5 * math.sqrt(expected) + 3, (first, second)


def test_another_process_draws_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    code = (
        "import sys, pathlib; import numpy as np; from nmt.data.tokenizer import Tokenizer\n"
        "tokenizer = Tokenizer.load(pathlib.Path(sys.argv[1]))\n"
        "best = [np.array(ids, dtype=np.int32) for ids in tokenizer.encode_source(sys.stdin.read().splitlines())]\n"
        "seeds = np.arange(len(best), dtype=np.uint64)\n"
        "tokenizer.redraw_target(best[::-1], alpha=0.5, seeds=seeds)\n"
        "print([ids.tolist() for ids in tokenizer.redraw_source(best, alpha=0.2, seeds=seeds)])"
    )
    here = redrawn(tokenizer, TEXTS, alpha=0.2, seeds=range(len(TEXTS)))
    for hash_seed in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            input="\n".join(TEXTS),
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert there.stdout.strip() == str(here)


@pytest.mark.parametrize(("kind", "alphas"), [("unigram", [1000, 0.5, 0.1, 0.0]), ("bpe", [0.0, 0.1, 0.3, 1.0])])
def test_the_more_chance_the_more_pieces(kind: str, alphas: list[float]) -> None:
    seeds = range(len(TEXTS))
    lengths = [sum(map(len, redrawn(made(kind), TEXTS, alpha=alpha, seeds=seeds))) for alpha in alphas]
    assert all(more > 1.02 * fewer for fewer, more in pairwise(lengths))
    assert lengths[0] == sum(map(len, made(kind).encode_source(TEXTS)))


DRAWERS = {"unigram": UnigramSubwords, "bpe": BpeSubwords}


@pytest.mark.parametrize("kind", DRAWERS)
def test_what_is_remembered_changes_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = redrawn(made(kind), TEXTS, alpha=0.2, seeds=range(len(TEXTS)))
    monkeypatch.setattr("nmt.data.tokenizer.subword_sampling.MOST_NUMBERS", 500)
    drawer = DRAWERS[kind](made(kind)._source, alpha=0.2)
    best, most, forgotten = encoded(made(kind), TEXTS), 0, 0
    for number in [*range(len(TEXTS)), *reversed(range(len(TEXTS)))]:
        known = len(drawer.words)
        assert drawer.draw([best[number]], numbers([number]))[0].tolist() == first[number]
        forgotten += len(drawer.words) < known
        most = max(most, len(drawer.words))
    assert forgotten > 5
    assert most < len({word for text in TEXTS for word in text.split()}) / 2


@pytest.mark.parametrize("kind", DRAWERS)
def test_a_word_is_worked_out_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a batch takes ten times as long."""
    drawer = DRAWERS[kind](made(kind)._source, alpha=0.2)
    learned: list[list[int]] = []
    learn = drawer.learn
    monkeypatch.setattr(drawer, "learn", lambda ids: learned.append(ids) or learn(ids))
    for seed in range(3):
        drawer.draw(encoded(made(kind), TEXTS), numbers([seed] * len(TEXTS)))
    assert len(learned) == len({word for text in TEXTS for word in text.split()})


@pytest.mark.parametrize(("kind", "alpha"), [("unigram", -0.1), ("unigram", 1e9), ("bpe", 1.5), ("bpe", math.nan)])
def test_alpha_out_of_range(kind: str, alpha: float) -> None:
    with pytest.raises(ValueError, match=rf"^subword_alpha={alpha} must be .* for model_type={kind}$"):
        redrawn(made(kind), ["the"], alpha=alpha, seeds=[1])


@pytest.mark.slow
@pytest.mark.multi30k
@pytest.mark.skipif("NMT_MULTI30K" not in os.environ, reason="NMT_MULTI30K names no folder with Multi30k")
def test_the_best_segmentations_of_multi30k_are_the_library_s() -> None:
    folder = Path(os.environ["NMT_MULTI30K"])
    lines = {name: (folder / f"train.{name}").read_text(encoding="utf-8").split("\n") for name in ("en", "de")}
    texts = lines["en"] + lines["de"]
    for kind in ("unigram", "bpe"):
        settings = {"shared": True, "character_coverage": 1.0, "byte_fallback": False}
        tokenizer = Tokenizer.train(lines["en"], lines["de"], vocab_size=8000, model_type=kind, **settings)
        best, drawn = (
            tokenizer.encode_source(texts),
            redrawn(tokenizer, texts, alpha=BEST[kind], seeds=range(len(texts))),
        )
        others = [(one, other) for one, other in zip(best, drawn, strict=True) if one != other]
        assert len(others) <= (5 if kind == "unigram" else 0)  # two segmentations that are equally good
        for one, other in others:
            scores = [sum(map(tokenizer._source.get_score, ids)) for ids in (one, other)]
            assert scores[0] == pytest.approx(scores[1], abs=0.01)
