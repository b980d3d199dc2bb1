"""Training the tokenizer of a split: on evenly spaced pairs, and once for a large split."""

from pathlib import Path
from typing import Any

import datasets
import pytest

import nmt.data.tokenizer.training
from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.training import sample_lines, train_tokenizer
from nmt.errors import UserError

ENGLISH = [f"{word} {number}" for number in range(30) for word in ("dog", "cat", "house")]
GERMAN = [f"{word} {number}" for number in range(30) for word in ("Hund", "Katze", "Haus")]
SETTINGS: dict[str, Any] = {
    "vocab_size": 40,
    "model_type": "bpe",
    "shared": True,
    "character_coverage": 1.0,
    "byte_fallback": False,
    "normalization": "compose",
}


def split(english: list[str] = ENGLISH) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"source": english, "target": GERMAN})


def train_on(dataset: datasets.Dataset, *, max_pairs: int | None = None, **changes: object) -> Tokenizer:
    return train_tokenizer(dataset, **(SETTINGS | {"max_pairs": max_pairs, "exact_size": False} | changes))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which the tokenizers of all splits are kept."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(nmt.data.tokenizer.training, "MIN_CACHED_PAIRS", 0)
    return tmp_path / "nmt"


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize(
    ("max_lines", "expected"),
    [(None, range(10)), (10, range(10)), (11, range(10)), (5, range(0, 10, 2)), (3, [0, 3, 6]), (1, [0])],
)
def test_sampled_lines_are_evenly_spaced(
    rows: int, max_lines: int | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nmt.data.tokenizer.training, "CHUNK_LINES", rows)
    dataset = datasets.Dataset.from_dict({"source": [f"line {row}" for row in range(10)]})
    assert list(sample_lines(dataset, "source", max_lines=max_lines)) == [f"line {row}" for row in expected]


def test_sampled_lines_follow_the_weights() -> None:
    lines = {"source": ["a", "b", "c", "d"], "weight": [2.0, 0.5, 0.5, 1.0]}
    dataset = datasets.Dataset.from_dict(lines)
    assert list(sample_lines(dataset, "source", max_lines=None)) == ["a", "a", "b", "d"]  # at 0, 1, 2 and 3 of 4
    assert list(sample_lines(dataset, "source", max_lines=2)) == ["a", "b"]  # at 0 and 2


def test_only_max_pairs_are_trained_on() -> None:
    half = datasets.Dataset.from_dict({"source": ENGLISH[::2], "target": GERMAN[::2]})
    assert train_on(split(), max_pairs=45).fingerprint == train_on(half).fingerprint != train_on(split()).fingerprint
    assert train_on(split()).fingerprint == Tokenizer.train(ENGLISH, GERMAN, **SETTINGS).fingerprint


@pytest.mark.parametrize("max_pairs", [0, -1, 2.5])
def test_a_number_of_pairs_that_is_not_positive_is_refused(max_pairs: Any) -> None:
    with pytest.raises(UserError, match=f"tokenizer.max_pairs={max_pairs} must be a whole number above 0"):
        train_on(split(), max_pairs=max_pairs)


def test_the_tokenizer_of_a_large_split_is_trained_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train_on(split())
    monkeypatch.setattr(nmt.data.tokenizer.training, "sample_lines", None)  # training again would fail
    assert train_on(split()).fingerprint == first.fingerprint
    for changed in ({"vocab_size": 41}, {"max_pairs": 50}):
        with pytest.raises(TypeError):
            train_on(split(), **changed)
    with pytest.raises(TypeError):
        train_on(split([*ENGLISH[1:], "mouse"]))


def test_the_tokenizer_of_a_small_split_is_not_cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.data.tokenizer.training, "MIN_CACHED_PAIRS", len(ENGLISH) + 1)
    train_on(split())
    assert not cache.exists()


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer.model"])
def test_a_damaged_cached_tokenizer_is_replaced(cache: Path, file: str) -> None:
    first = train_on(split())
    (path,) = cache.glob(f"*/{file}")
    complete = path.read_bytes()
    path.write_bytes(complete[: len(complete) // 2])
    assert train_on(split()).fingerprint == first.fingerprint
    assert path.read_bytes() == complete


def test_an_exact_size_is_refused_if_the_corpus_allows_fewer_pieces() -> None:
    possible = train_on(split(), vocab_size=8000).source_size
    assert train_on(split(), vocab_size=possible, exact_size=True).source_size == possible
    with pytest.raises(
        UserError, match=f"vocab_size={possible + 1} is more than this corpus allows: at most {possible};"
    ):
        train_on(split(), vocab_size=possible + 1, exact_size=True)
    sides = train_on(split(), vocab_size=8000, shared=False)
    with pytest.raises(UserError, match=f"than the source side of this corpus allows: at most {sides.source_size};"):
        train_on(split(), vocab_size=8000, shared=False, exact_size=True)
