from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pytest

import nmt.data.encoding
from nmt.data.corpus import FilesCorpus
from nmt.data.encoding import Pieces, encode_corpus, lengths, num_cores
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


def test_pieces_are_those_of_the_rows_in_their_order(dataset):
    encoded = encode_corpus(dataset, tokenizer(50), num_workers=1)
    several = datasets.concatenate_datasets([encoded.select(range(2)), encoded.select(range(2, 5))])
    for rows in (encoded, several, encoded.shuffle(seed=1), encoded.select([3, 1, 1]), encoded.select(range(1, 4))):
        pieces = Pieces(rows, "target_ids")
        for chosen in ([0], [2, 0, 1], list(range(len(rows))), [1, 1]):
            assert [ids.tolist() for ids in pieces[np.array(chosen)]] == [rows["target_ids"][row] for row in chosen]


def test_pieces_are_views_of_the_file(dataset):
    """Nothing is copied, and no row becomes a Python list."""
    encoded = encode_corpus(dataset, tokenizer(50), num_workers=1)
    before = pyarrow.total_allocated_bytes()
    pieces = Pieces(encoded, "source_ids")
    found = pieces[np.array([4, 0, 2])]
    assert pyarrow.total_allocated_bytes() == before
    assert len(encoded.cache_files) == 1
    assert not any(ids.flags.owndata or ids.flags.writeable for ids in found)


def test_work_is_found_again_by_any_number_of_workers(dataset, monkeypatch):
    monkeypatch.setattr(nmt.data.encoding, "WORKER_ROWS", 2)
    first = encode_corpus(dataset, tokenizer(52), num_workers=2)
    monkeypatch.setattr(Tokenizer, "encode_source", None)
    assert encode_corpus(dataset, tokenizer(52), num_workers=1)["source_ids"][:] == first["source_ids"][:]


def test_as_many_workers_as_cores(dataset, monkeypatch):
    monkeypatch.setattr(nmt.data.encoding, "WORKER_ROWS", 1)
    monkeypatch.setattr(nmt.data.encoding, "num_cores", lambda: 3)
    assert len(encode_corpus(dataset, tokenizer(53), num_workers=None).cache_files) == 3
    assert num_cores() >= 1


def test_workers_are_counted(dataset):
    with pytest.raises(ValueError, match="num_workers=0"):
        encode_corpus(dataset, tokenizer(50), num_workers=0)
