"""Encoding a split: ids beside the text, cached by content, read as views of the file."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pytest

import nmt.data.encoding
from nmt.data.corpus import FilesCorpus
from nmt.data.encoding import IdColumn, encode_corpus, num_cores
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

ENGLISH = ["the dog runs", "", "two dogs and  the cat ", "a \u2028 cat", "the end"]
GERMAN = ["der hund rennt", "leer", "zwei hunde und die katze", "eine katze", ""]


def tokenizer(vocab_size: int) -> Tokenizer:
    return Tokenizer.train(
        ENGLISH,
        GERMAN,
        vocab_size=vocab_size,
        model_type="bpe",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
    )


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    (tmp_path / "train.en").write_text("".join(line + "\n" for line in ENGLISH))
    (tmp_path / "train.de").write_text("".join(line + "\n" for line in GERMAN))
    return FilesCorpus(path=tmp_path, source="en", target="de").split("train")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_ids_are_added_to_unchanged_text(
    dataset: datasets.Dataset, num_workers: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nmt.data.encoding, "PAIRS_PER_WORKER", 2)
    # Another vocabulary each time, so that neither run finds the other's result in the cache.
    bpe = tokenizer(40 + num_workers)
    encoded = encode_corpus(dataset, bpe, num_workers=num_workers)
    assert len(encoded.cache_files) == num_workers
    assert encoded["source"][:] == ENGLISH
    assert encoded["target"][:] == GERMAN
    assert encoded["source_ids"][:] == bpe.encode_source([text.strip() for text in ENGLISH])
    assert encoded["target_ids"][:] == bpe.encode_target(GERMAN)
    assert encoded.features["source_ids"].feature.dtype == "int32"
    assert capfd.readouterr() == ("", "")


def test_equal_content_is_encoded_once(dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encode_corpus(dataset, tokenizer(50), num_workers=1)
    monkeypatch.setattr(Tokenizer, "encode_source", None)  # encoding again would fail
    again = encode_corpus(dataset, tokenizer(50), num_workers=1)
    assert again["source_ids"][:] == first["source_ids"][:]
    with pytest.raises(TypeError):
        encode_corpus(dataset, tokenizer(51), num_workers=1)
    with pytest.raises(TypeError):
        encode_corpus(dataset.select(range(3)), tokenizer(50), num_workers=1)


def test_lengths_count_the_ids_of_each_row(dataset: datasets.Dataset) -> None:
    encoded = encode_corpus(dataset, tokenizer(50), num_workers=1)
    for rows in (encoded, encoded.shuffle(seed=1), encoded.select([3, 1])):
        for column in ("source_ids", "target_ids"):
            lengths = IdColumn(rows, column).lengths()
            assert lengths.dtype == np.int64
            assert lengths.tolist() == [len(ids) for ids in rows[column]]
    assert IdColumn(encoded, "source_ids").lengths()[1] == 0
    assert len(IdColumn(encoded.select([]), "source_ids").lengths()) == 0


def test_rows_are_returned_in_the_order_of_the_indices(dataset: datasets.Dataset) -> None:
    encoded = encode_corpus(dataset, tokenizer(50), num_workers=1)
    in_chunks = datasets.concatenate_datasets([encoded.select(range(2)), encoded.select(range(2, 5))])
    for rows in (encoded, in_chunks, encoded.shuffle(seed=1), encoded.select([3, 1, 1]), encoded.select(range(1, 4))):
        column = IdColumn(rows, "target_ids")
        for indices in ([0], [2, 0, 1], list(range(len(rows))), [1, 1]):
            expected = [rows["target_ids"][index] for index in indices]
            assert [ids.tolist() for ids in column[np.array(indices)]] == expected


def test_ids_are_views_of_the_file(dataset: datasets.Dataset) -> None:
    """Nothing is copied, and no row becomes a Python list."""
    encoded = encode_corpus(dataset, tokenizer(50), num_workers=1)
    before = pyarrow.total_allocated_bytes()
    rows = IdColumn(encoded, "source_ids")[np.array([4, 0, 2])]
    assert pyarrow.total_allocated_bytes() == before
    assert len(encoded.cache_files) == 1
    assert not any(ids.flags.owndata or ids.flags.writeable for ids in rows)


def test_the_cache_does_not_depend_on_the_number_of_workers(
    dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nmt.data.encoding, "PAIRS_PER_WORKER", 2)
    first = encode_corpus(dataset, tokenizer(52), num_workers=2)
    monkeypatch.setattr(Tokenizer, "encode_source", None)
    assert encode_corpus(dataset, tokenizer(52), num_workers=1)["source_ids"][:] == first["source_ids"][:]


def test_the_default_is_one_worker_per_core(dataset: datasets.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nmt.data.encoding, "PAIRS_PER_WORKER", 1)
    monkeypatch.setattr(nmt.data.encoding, "num_cores", lambda: 3)
    assert len(encode_corpus(dataset, tokenizer(53), num_workers=None).cache_files) == 3
    assert num_cores() >= 1


def test_zero_workers_are_refused(dataset: datasets.Dataset) -> None:
    with pytest.raises(UserError, match="num_workers=0"):
        encode_corpus(dataset, tokenizer(50), num_workers=0)
