"""`nmt demo`: the whole story, through the real entry point, in a few steps instead of minutes."""

import json
from pathlib import Path

import pytest

from nmt.cli import main


@pytest.mark.slow
def test_the_whole_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", f"out={out}", "minutes=0.001", "device=cpu"]) == 0
    captured = capsys.readouterr()
    page = out / "report" / "test" / "report.html"
    assert captured.err.rstrip().endswith(f"the report is {page}")  # the last thing said
    report = json.loads((out / "report" / "test" / "report.json").read_text(encoding="utf-8"))
    assert [system["name"] for system in report["systems"]] == ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"]
    assert report["sentences"] == 500
    assert (out / "report" / "test_long" / "report.html").is_file()
    assert (out / "report" / "alignment.png").stat().st_size > 10_000

    # A second time nothing is trained again.
    weights = (out / "lstm" / "checkpoints" / "best.safetensors").stat().st_mtime_ns
    assert main(["demo", f"out={out}", "minutes=0.001", "device=cpu"]) == 0
    assert (out / "lstm" / "checkpoints" / "best.safetensors").stat().st_mtime_ns == weights
    assert capsys.readouterr().err.count("nothing left to do") == 4


def test_a_command_that_fails_ends_the_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"out={tmp_path}", "device=cuda:99"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "device=cuda:99" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []
