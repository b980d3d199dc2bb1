from pathlib import Path

import datasets
import numpy as np
import pytest

import nmt.data.encoding
from nmt.data.corpus import FilesCorpus
from nmt.data.encoding import encode_corpus, lengths
from nmt.data.tokenizer import Tokenizer

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
    )


@pytest.fixture
def dataset(tmp_path: Path) -> datasets.Dataset:
    (tmp_path / "train.en").write_text("".join(line + "\n" for line in ENGLISH))
    (tmp_path / "train.de").write_text("".join(line + "\n" for line in GERMAN))
    return FilesCorpus(path=tmp_path, source="en", target="de").split("train")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_ids_stand_beside_untouched_text(dataset, num_workers, monkeypatch, capfd):
    monkeypatch.setattr(nmt.data.encoding, "WORKER_ROWS", 2)
    # Another vocabulary each time, so that neither run finds the other's work.
    bpe = tokenizer(40 + num_workers)
    encoded = encode_corpus(dataset, bpe, num_workers=num_workers)
    assert len(encoded.cache_files) == num_workers
    assert encoded["source"][:] == ENGLISH
    assert encoded["target"][:] == GERMAN
    assert encoded["source_ids"][:] == bpe.encode_source(ENGLISH)
    assert encoded["target_ids"][:] == bpe.encode_target(GERMAN)
    assert encoded.features["source_ids"].feature.dtype == "int32"
    assert capfd.readouterr() == ("", "")


def test_work_is_done_once_for_equal_content(dataset, monkeypatch):
    first = encode_corpus(dataset, tokenizer(50), num_workers=1)
    monkeypatch.setattr(Tokenizer, "encode_source", None)  # encoding again would fail
    again = encode_corpus(dataset, tokenizer(50), num_workers=1)
    assert again["source_ids"][:] == first["source_ids"][:]
    with pytest.raises(TypeError):
        encode_corpus(dataset, tokenizer(51), num_workers=1)
    with pytest.raises(TypeError):
        encode_corpus(dataset.select(range(3)), tokenizer(50), num_workers=1)


def test_lengths(dataset):
    encoded = encode_corpus(dataset, tokenizer(50), num_workers=1)
    for rows in (encoded, encoded.shuffle(seed=1), encoded.select([3, 1])):
        for column in ("source_ids", "target_ids"):
            measured = lengths(rows, column)
            assert measured.dtype == np.int64
            assert measured.tolist() == [len(ids) for ids in rows[column]]
    assert lengths(encoded, "source_ids")[1] == 0


def test_workers_are_counted(dataset):
    with pytest.raises(ValueError, match="num_workers=0"):
        encode_corpus(dataset, tokenizer(50), num_workers=0)
