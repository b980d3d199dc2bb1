"""Recognising tokenised text, and scoring it without warnings of sacreBLEU."""

from __future__ import annotations

import pytest

from nmt.evaluation import Metrics
from nmt.evaluation.tokenized_text import describe_tokenized_text


@pytest.mark.parametrize(
    ("tokenized", "raw", "expected"),
    [(100, 900, True), (99, 901, False), (2, 1, True), (1, 1, False), (0, 5, False), (0, 0, False)],
)
def test_text_is_tokenised_from_a_hundred_lines_or_half_of_them_on(tokenized: int, raw: int, expected: bool) -> None:
    lines = ["A dog runs ."] * tokenized + ["A dog runs.", "..."][:raw] + ["Wait. .", "A dog."][1:] * max(0, raw - 2)
    raw_lines = ["A dog runs."] * len(lines)
    for pair, name in (((lines, raw_lines), "translations"), ((raw_lines, lines), "references")):
        remark = describe_tokenized_text(*pair)
        assert (remark is not None) == expected
        if remark is not None:
            assert remark.startswith(f"{tokenized:,} of {len(lines):,} {name} end in a separate full stop")


def test_sacrebleu_is_silent_about_tokenised_text(caplog: pytest.LogCaptureFixture) -> None:
    lines = ["A dog runs ."] * 150
    metrics = Metrics(language="de", bleu_tokenizer="13a")
    assert metrics.score(lines, lines)["bleu"].score == pytest.approx(100)
    assert metrics.bleu(lines, lines) == pytest.approx(100)
    assert caplog.records == []
