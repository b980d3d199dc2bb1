"""Gold word links beside a split: direction, compression, hold-out, and everything that can be wrong with the file."""

import gzip
from pathlib import Path

import pytest

from nmt.data.corpus import FilesCorpus
from nmt.data.hold_out import HoldOutCorpus
from nmt.data.hub import HubCorpus
from nmt.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test.en").write_text("a red dog\n\nit runs\n")
    (tmp_path / "test.de").write_text("ein roter Hund\n\nes rennt\n")
    return tmp_path


def read(folder: Path, *, source: str = "en", target: str = "de") -> list[str]:
    return list(FilesCorpus(path=folder, source=source, target=target).split("test")["alignment"])


def test_links_are_read_in_both_directions(folder: Path) -> None:
    (folder / "test.en-de.align").write_text("0-0 2p1 1-2\n\n0-0 \n\n")
    assert read(folder) == ["0-0 1-2 2p1", "", "0-0"]
    assert read(folder, source="de", target="en") == ["0-0 1p2 2-1", "", "0-0"]


def test_the_file_of_the_own_direction_comes_first(folder: Path) -> None:
    (folder / "test.en-de.align").write_text("0-1\n\n\n")
    (folder / "test.de-en.align.gz").write_bytes(gzip.compress(b"0-2\n\n\n"))
    assert read(folder)[0] == "0-1"
    assert read(folder, source="de", target="en")[0] == "0-2"


def test_a_changed_file_is_read_again(folder: Path) -> None:
    path = folder / "test.en-de.align"
    path.write_text("0-0\n\n\n")
    assert read(folder)[0] == "0-0"
    path.write_text("1-1\n\n\n")
    assert read(folder)[0] == "1-1"
    path.unlink()
    assert FilesCorpus(path=folder, source="en", target="de").split("test").column_names == ["source", "target"]


def test_a_local_copy_of_a_hub_dataset_has_links_too(folder: Path) -> None:
    (folder / "test.en-de.align").write_text("0-0\n\n1-1\n")
    corpus = HubCorpus(id="x/y", path=folder, subset=None, source="en", target="de", split_names={})
    assert list(corpus.split("test")["alignment"]) == ["0-0", "", "1-1"]


def test_held_out_pairs_keep_their_links(tmp_path: Path) -> None:
    words = ["eins", "zwei", "drei", "vier", "fünf"]
    (tmp_path / "train.en").write_text("".join(f"{n} x\n" for n in range(5)))
    (tmp_path / "train.de").write_text("".join(f"{word} y {word}\n" for word in words))
    (tmp_path / "train.en-de.align").write_text("".join(f"{n % 2}-{n % 3}\n" for n in range(5)))
    corpus = FilesCorpus(path=tmp_path, source="en", target="de")
    divided = HoldOutCorpus(corpus=corpus, train_split="train", split="held_out", num_pairs=2)
    for split, size in (("train", 3), ("held_out", 2)):
        pairs = divided.split(split)
        numbers = [int(line.split()[0]) for line in pairs["source"]]
        assert len(numbers) == size
        assert list(pairs["alignment"]) == [f"{n % 2}-{n % 3}" for n in numbers]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0-0\n\n", "test.en-de.align has 2 lines, but the text has more: add one line per pair"),
        ("0-0\n\n\n0-0\n", "test.en-de.align has more than the 3 lines of the text"),
        ("0-0\n\n\n\n0-0\n", "test.en-de.align has more than the 3 lines of the text"),
        ("0-0\nx\n\n", "test.en-de.align line 2: x is not a link"),
        ("0-0\n0-0\n\n", "test.en-de.align line 2: the link 0-0 needs word 0 on the left, but the line there has 0"),
        ("0-0\n\n1-2\n", "test.en-de.align line 3: the link 1-2 needs word 2 on the right, but the line there has 2"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, content: str, message: str) -> None:
    (folder / "test.en-de.align").write_text(content)
    with pytest.raises(UserError, match=message):
        read(folder)
    # In the other direction, the message names the same line and side of the file.
    with pytest.raises(UserError, match=message):
        read(folder, source="de", target="en")


def test_a_plain_and_a_compressed_file_are_one_too_many(folder: Path) -> None:
    (folder / "test.en-de.align").write_text("\n\n\n")
    (folder / "test.en-de.align.gz").write_bytes(gzip.compress(b"\n\n\n"))
    with pytest.raises(UserError, match=r"contains test\.en-de\.align both plain and compressed: keep one"):
        read(folder)
