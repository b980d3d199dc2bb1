"""Text without translations: files of different lengths, in one language or several."""

import gzip
from pathlib import Path

import pytest

from nmt.data import HoldOutCorpus, TextCorpus
from nmt.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three English lines and two German ones, of which one is compressed."""
    (tmp_path / "train.en").write_text("one\n\nthree\n", encoding="utf-8")
    with gzip.open(tmp_path / "train.de.gz", "wb") as file:
        file.write("fünf\nsechs\n".encode())
    (tmp_path / "val.en").write_text("four\n", encoding="utf-8")
    return tmp_path


def test_the_lines_of_all_languages_follow_each_other(folder: Path) -> None:
    corpus = TextCorpus(path=folder, languages=["en", "de"], tags=True)
    assert corpus.splits() == ["train"]  # val has no German text
    split = corpus.split("train")
    assert split["source"][:] == split["target"][:] == ["one", "", "three", "fünf", "sechs"]
    assert split["tag"][:] == ["2en", "2en", "2en", "2de", "2de"]
    untagged = TextCorpus(path=folder, languages=["en", "de"], tags=False).split("train")
    assert untagged.column_names == ["source", "target"]
    # A single language needs no tag.
    english = TextCorpus(path=folder, languages=["en"], tags=True)
    assert english.splits() == ["train", "val"]
    assert english.split("val").to_dict() == {"source": ["four"], "target": ["four"]}
    held_out = HoldOutCorpus(corpus=corpus, train_split="train", split="val", num_pairs=2)
    assert len(held_out.split("val")) == 2 and held_out.split("val").column_names == ["source", "target", "tag"]


def test_mistakes_are_reported(folder: Path) -> None:
    with pytest.raises(UserError, match=r"has no split val, which takes val.en and val.de; the splits there are train"):
        TextCorpus(path=folder, languages=["en", "de"], tags=True).split("val")
    with pytest.raises(UserError, match="it has no split at all"):
        TextCorpus(path=folder, languages=["fr"], tags=True).split("train")
    for languages in ([], ["en", "en"]):
        with pytest.raises(UserError, match="must name one or several different languages"):
            TextCorpus(path=folder, languages=languages, tags=True)
    with pytest.raises(UserError, match="is not a language code"):
        TextCorpus(path=folder, languages=["e n"], tags=True)
    (folder / "empty.en").write_text("")
    with pytest.raises(UserError, match="there is no text in"):
        TextCorpus(path=folder, languages=["en"], tags=True).split("empty")
