from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest

import nmt.data.tokenizer.training
from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.training import learn_tokenizer, lines

ENGLISH = [f"{word} {number}" for number in range(30) for word in ("dog", "cat", "house")]
GERMAN = [f"{word} {number}" for number in range(30) for word in ("Hund", "Katze", "Haus")]
SETTINGS: dict[str, Any] = {
    "vocab_size": 40,
    "model_type": "bpe",
    "shared": True,
    "character_coverage": 1.0,
    "byte_fallback": False,
}


def split(english: list[str] = ENGLISH) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"source": english, "target": GERMAN})


def learn(dataset: datasets.Dataset, *, max_pairs: int | None = None, **changes: object) -> Tokenizer:
    return learn_tokenizer(dataset, partial(Tokenizer.train, **(SETTINGS | changes)), max_pairs=max_pairs)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, in which every corpus counts as large."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.setattr(nmt.data.tokenizer.training, "LARGE", 0)
    return tmp_path / "nmt"


@pytest.mark.parametrize("rows", [1, 7, 1000])
@pytest.mark.parametrize(
    ("most", "expected"),
    [(None, range(10)), (10, range(10)), (11, range(10)), (5, range(0, 10, 2)), (3, [0, 3, 6]), (1, [0])],
)
def test_lines_are_taken_in_even_distances(
    rows: int, most: int | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nmt.data.tokenizer.training, "ROWS", rows)
    dataset = datasets.Dataset.from_dict({"source": [f"line {row}" for row in range(10)]})
    assert list(lines(dataset, "source", most=most)) == [f"line {row}" for row in expected]


def test_it_learns_from_the_pairs_it_may() -> None:
    half = datasets.Dataset.from_dict({"source": ENGLISH[::2], "target": GERMAN[::2]})
    assert learn(split(), max_pairs=45).fingerprint == learn(half).fingerprint != learn(split()).fingerprint
    assert learn(split()).fingerprint == Tokenizer.train(ENGLISH, GERMAN, **SETTINGS).fingerprint


@pytest.mark.parametrize("most", [0, -1, 2.5])
def test_how_many_is_a_positive_number(most: Any) -> None:
    with pytest.raises(ValueError, match=f"tokenizer.max_pairs={most} must be a whole number above 0"):
        learn(split(), max_pairs=most)


def test_a_large_split_is_learned_from_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = learn(split())
    monkeypatch.setattr(nmt.data.tokenizer.training, "lines", None)  # learning again would fail
    assert learn(split()).fingerprint == first.fingerprint
    for changed in ({"vocab_size": 41}, {"max_pairs": 50}):
        with pytest.raises(TypeError):
            learn(split(), **changed)
    with pytest.raises(TypeError):
        learn(split([*ENGLISH[1:], "mouse"]))


def test_a_small_split_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.data.tokenizer.training, "LARGE", len(ENGLISH) + 1)
    learn(split())
    assert not cache.exists()


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer.model"])
def test_what_is_damaged_is_learned_anew(cache: Path, file: str) -> None:
    first = learn(split())
    (path,) = cache.glob(f"*/{file}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert learn(split()).fingerprint == first.fingerprint
    assert path.read_bytes() == whole
