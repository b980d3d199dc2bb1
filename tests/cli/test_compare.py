"""`nmt compare` through the real entry point."""

import json
import shutil
from pathlib import Path

import pytest

from nmt.cli import main


@pytest.fixture
def two_runs(
    trained_run: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str], tmp_path: Path
) -> list[Path]:
    """A trained run with attention, and one without; neither has been evaluated."""
    other = tmp_path / "transformer"
    data = ["data=files", f"data.path={corpus_folder}"]
    assert main(["train", *data, f"run={other}", *tiny_models["transformer"], *tiny_training]) == 0
    return [Path(shutil.copytree(trained_run, tmp_path / "luong")), other]


def test_runs_without_an_evaluation_are_evaluated_and_all_are_compared(
    two_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    luong, transformer = two_runs
    assert main(["evaluate", f"run={luong}", "split=test", "device=cpu"]) == 0
    before = (luong / "evaluation" / "test.json").read_bytes()
    capsys.readouterr()
    out = tmp_path / "report"
    assert main(["compare", f"runs=[{luong},{transformer}]", "split=test", f"out={out}", "device=cpu"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("evaluating") == 1
    assert (luong / "evaluation" / "test.json").read_bytes() == before
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    page = (out / "report.html").read_text(encoding="utf-8")
    for system, folder in zip(report["systems"], two_runs, strict=True):
        evaluation = json.loads((folder / "evaluation" / "test.json").read_text(encoding="utf-8"))
        assert system["metrics"]["bleu"]["score"] == evaluation["metrics"]["bleu"]["score"]
        score = f"{evaluation['metrics']['bleu']['score']:.1f}"
        assert score in page
        assert score in captured.out
        assert folder.name in captured.out
    assert (out / "report.md").is_file()


@pytest.mark.parametrize("runs", ["nowhere", "[nowhere]", "[]", "3", "[[a]]"])
def test_mistakes_end_in_one_line(runs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", f"runs={runs}", "split=val", f"out={tmp_path / 'report'}"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "runs=[" in captured.err or "run=nowhere" in captured.err or "runs[0]: must be a path" in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
