"""The sentences to begin with."""

from pathlib import Path
from typing import Any

import pytest

from nmt.data.scenes.world import EMPTY, GRID, SYMBOLS
from nmt.errors import UserError
from nmt.explore import examples
from nmt.explore.examples import MAX_EXAMPLES, find_examples
from nmt.explore.systems import System


def test_the_examples_are_sentences_of_the_test_split(systems: dict[str, System], corpus_folder: Path) -> None:
    found = find_examples(systems["luong"])
    lines = (corpus_folder / "test.en").read_text(encoding="utf-8").splitlines()
    assert [example.source for example in found] == list(dict.fromkeys(lines))
    assert [(example.label, example.picture) for example in found] == [(example.source, None) for example in found]


def test_without_a_corpus_there_are_no_examples(systems: dict[str, System], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise UserError("the corpus was moved")

    monkeypatch.setattr(examples, "_read_corpus", fail)
    assert find_examples(systems["luong"]) == []


def test_the_sentences_of_an_evaluation_come_first(
    systems: dict[str, System], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Long lines and repeated ones are left out, and pictures are shown."""
    (tmp_path / "evaluation").mkdir()
    picture = EMPTY * (GRID * GRID - 1) + SYMBOLS[7]
    lines = ["one", "two " * 30, "one", f"{picture}A ring.", picture, *(f"line {number}" for number in range(20))]
    (tmp_path / "evaluation" / "val.source.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    system = systems["luong"]
    monkeypatch.setattr(system.folder, "path", tmp_path)
    found = find_examples(system)
    assert len(found) == MAX_EXAMPLES
    assert [example.label for example in found[:4]] == ["one", "A ring.", "Picture 3", "line 0"]
    assert [example.picture is not None for example in found[:4]] == [False, True, True, False]
    # With the built-in grammar, the sentences whose pronoun has two readings come before them.
    monkeypatch.setattr(system, "grammar", object())
    assert [example.label.split()[-1] for example in find_examples(system)[:3]] == ["tired.", "wide.", "one"]
