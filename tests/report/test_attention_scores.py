"""Alignment quality and pronouns beside BLEU, where evaluations have them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from nmt.report.comparison import compare
from nmt.report.record import Comparison
from nmt.report.runs import read_runs
from nmt.report.seeds import group_seeds
from nmt.report.tables import Table, alignment_table, pronoun_table, quality_table

EXTRACTION = {"layer": 1, "head": 3, "rows": "first", "method": "argmax", "threshold": None}
ALIGNMENT = {
    "error_rate": 0.0657, "precision": 0.92, "recall": 0.9504, "entropy": 0.041, "coverage": 0.876,
    "monotonicity": 0.838, "eos_weight": 0.002, "extraction": EXTRACTION,
}  # fmt: skip


def pronouns(correct: int) -> dict[str, Any]:
    """Twenty pronouns, ten of them with a distractor, of which all wrong ones are."""
    counts = {"correct": correct, "wrong": 19 - correct, "missing": 1}
    easy = {"correct": 10, "wrong": 0, "missing": 0}
    hard = {"correct": correct - 10, "wrong": 19 - correct, "missing": 1}
    bucket = {"shortest": 1, "longest": 2, "counts": counts}
    return {
        "all": counts, "with_distractor": hard, "without_distractor": easy, "by_distance": [bucket],
        "by_form": {"er": counts},
    }  # fmt: skip


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), encoding="utf-8")


def column(table: Table | None, title: str) -> list[str]:
    assert table is not None
    return [row[table.columns.index(title)].text for row in table.rows]


@pytest.fixture
def measured(runs: list[Path]) -> list[Path]:
    """Two systems with alignment quality, and two whose pronouns were measured on a split of their own."""
    change(runs[1] / "evaluation" / "test.json", alignment=ALIGNMENT)
    change(runs[3] / "evaluation" / "test.json", alignment={**ALIGNMENT, "error_rate": 0.02, "entropy": 1.2})
    for run, correct in ((runs[2], 12), (runs[3], 19)):
        shutil.copy(run / "evaluation" / "test.json", run / "evaluation" / "pronouns.json")
        change(run / "evaluation" / "pronouns.json", split="pronouns", pronouns=pronouns(correct))
    return runs


def test_scores_stand_beside_bleu_and_missing_ones_are_dashes(measured: list[Path], tmp_path: Path) -> None:
    report = compare(measured, split="test", out=tmp_path / "report")
    quality = quality_table(report)
    assert quality.columns[-3:] == ["AER ↓", "entropy", "pronouns ↑"]
    assert column(quality, "AER ↓") == ["–", "6.6", "–", "2.0"]
    assert column(quality, "entropy") == ["–", "0.04", "–", "1.20"]
    assert column(quality, "pronouns ↑") == ["–", "–", "60.0", "95.0"]  # 12 and 19 of 20
    best = [[cell.is_best for cell in row[-3:]] for row in quality.rows]
    assert best == [[False] * 3, [False] * 3, [False] * 3, [True, False, True]]
    alignment = alignment_table(report)
    assert column(alignment, "recall ↑") == ["–", "95.0", "–", "95.0"]
    # The recurrent system in the second row has one layer and head, which need no name.
    assert column(alignment, "read from") == ["–", "rows first, argmax", "–", "layer 1, head 3, rows first, argmax"]
    table = pronoun_table(report)
    assert table is not None
    assert [[cell.text for cell in row] for row in table.rows[:3]] == [
        ["pronouns", "20", "–", "–", "60.0", "95.0"],
        ["pronouns with a distractor", "10", "–", "–", "20.0", "90.0"],
        ["pronouns without a distractor", "10", "–", "–", "100.0", "100.0"],
    ]
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    markdown = (tmp_path / "report" / "report.md").read_text("utf-8")
    for text in (page, markdown):
        assert "Does attention align words?" in text
        assert "layer 1, head 3, rows first, argmax" in text
        assert "except those of pronouns, which are for the split pronouns" in text
    assert "| pronouns with a distractor | 10 | – | – | 20.0 | **90.0** |" in markdown
    system = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["systems"][3]
    assert (system["alignment"]["error_rate"], system["pronouns"]["all"]["correct"]) == (0.02, 19)


def test_pronouns_of_other_weights_are_not_shown(measured: list[Path], tmp_path: Path) -> None:
    change(measured[3] / "evaluation" / "pronouns.json", step=3000)
    report: Comparison = compare(measured[3:], split="test", out=tmp_path / "report")
    assert report.systems[0].pronouns is None
    assert pronoun_table(report) is None
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "#pronouns" not in page
    assert "All scores are for the same 60 sentences, against the raw reference text." in page


def test_pronouns_of_other_sentences_are_left_out_with_a_remark(measured: list[Path], tmp_path: Path) -> None:
    change(measured[3] / "evaluation" / "pronouns.json", text_hash="other")
    report: Comparison = compare(measured[2:], split="test", out=tmp_path / "report")
    assert [system.pronouns is None for system in report.systems] == [False, True]
    assert "The pronouns of transformer are left out: they are those of other sentences." in report.notes


def test_a_group_has_the_scores_that_all_its_seeds_have(measured: list[Path]) -> None:
    for run in (measured[1], measured[3]):
        (run / "config.yaml").write_text(f"seed: {len(run.name)}\n", encoding="utf-8")
    shutil.copy(measured[1] / "model.json", measured[3] / "model.json")
    [group] = group_seeds(read_runs([measured[1], measured[3]], split="test"))
    assert group.systems == ["lstm_bahdanau", "transformer"]
    assert group.scores["alignment_error_rate"].mean == pytest.approx((6.57 + 2) / 2)
    assert group.scores["attention_entropy"].mean == pytest.approx((0.041 + 1.2) / 2)
    assert "pronoun_accuracy" not in group.scores
