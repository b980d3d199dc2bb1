"""Held-out pairs depend on the text alone, and training sees none of their sources."""

from pathlib import Path

import pytest

from nmt.data.corpus import FilesCorpus
from nmt.data.hold_out import HoldOutCorpus
from nmt.errors import UserError

PAIRS = [(f"source {number}", f"target {number}") for number in range(40)]
DUPLICATES = [*PAIRS[:20], ("source  3", "another target"), ("", "no source"), ("no target", " ")]


def make_corpus(folder: Path, pairs: list[tuple[str, str]], *, num_pairs: int) -> HoldOutCorpus:
    folder.mkdir()
    for side, language in enumerate(("en", "de")):
        (folder / f"train.{language}").write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    corpus = FilesCorpus(path=folder, source="en", target="de")
    return HoldOutCorpus(corpus=corpus, train_split="train", split="val", num_pairs=num_pairs)


def pairs_of(corpus: HoldOutCorpus, split: str) -> list[tuple[str, str]]:
    dataset = corpus.split(split)
    return list(zip(dataset["source"], dataset["target"], strict=True))


def test_every_pair_is_in_exactly_one_split(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "a", PAIRS, num_pairs=10)
    held_out, train = pairs_of(corpus, "val"), pairs_of(corpus, "train")
    assert (len(held_out), len(train)) == (10, 30)
    assert sorted(held_out + train) == sorted(PAIRS)
    assert corpus.splits() == ["train", "val"]
    assert held_out != PAIRS[:10]  # not just the first ones


def test_the_choice_depends_on_the_text_alone(tmp_path: Path) -> None:
    held_out = pairs_of(make_corpus(tmp_path / "a", PAIRS, num_pairs=10), "val")
    reversed_order = pairs_of(make_corpus(tmp_path / "b", PAIRS[::-1], num_pairs=10), "val")
    assert sorted(held_out) == sorted(reversed_order)
    fewer = pairs_of(make_corpus(tmp_path / "c", PAIRS, num_pairs=4), "val")
    assert set(fewer) < set(held_out)


def test_training_loses_every_pair_with_a_held_out_source(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "a", DUPLICATES * 2, num_pairs=19)
    held_out, train = pairs_of(corpus, "val"), pairs_of(corpus, "train")
    assert len(held_out) == len({source for source, _ in held_out}) == 19
    assert all(source.strip() and target.strip() for source, target in held_out)
    sources = {" ".join(source.split()) for source, _ in held_out}
    assert not sources & {" ".join(source.split()) for source, _ in train}
    assert len({source for source, _ in train if source.startswith("source")}) == 1  # the one that is left, twice
    assert train.count(("", "no source")) == 2  # left to the cleaning


def test_mistakes_are_user_errors(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "a", DUPLICATES, num_pairs=20)
    with pytest.raises(UserError, match="hold_out=20 leaves nothing to train on: train has 20 different sources"):
        corpus.split("train")
    with pytest.raises(UserError, match="hold_out=0 must be"):
        make_corpus(tmp_path / "b", PAIRS, num_pairs=0)
    for language in ("en", "de"):
        (tmp_path / "a" / f"val.{language}").write_text("x\n")
    with pytest.raises(UserError, match="has a split val already"):
        corpus.split("val")
