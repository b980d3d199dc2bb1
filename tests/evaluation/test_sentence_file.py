"""Files with one line for each sentence of a split."""

from pathlib import Path

import pytest

from nmt.errors import UserError
from nmt.evaluation.sentence_file import read_sentences


@pytest.mark.parametrize("end", ["", "\n", "\n\n \n"])
def test_blank_lines_at_the_end_are_no_sentences(end: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\n\ntwo\u2028three" + end, encoding="utf-8")
    assert read_sentences(tmp_path / "a", num_sentences=3, split="test") == ["one", "", "two\u2028three"]


@pytest.mark.parametrize(("text", "num_lines"), [("a\n", 1), ("a\nb\n\nc\n", 4)])
def test_another_number_of_lines_is_refused(text: str, num_lines: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(UserError, match=f"has {num_lines} lines, but test has 2 sentences"):
        read_sentences(tmp_path / "a", num_sentences=2, split="test")
