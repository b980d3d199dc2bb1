"""`nmt demo` through the real entry point, with smaller corpora and a few training steps."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nmt.cli import demo, main

SMALL_CORPUS = ["data.train_size=400", "data.val_size=8", "data.test_size=20", "data.test_long_size=10"]


@pytest.fixture
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the demo train on fewer sentences with a smaller vocabulary; everything else stays as it is."""

    def main_with_small_corpus(arguments: Sequence[str]) -> int:
        changes = [*SMALL_CORPUS, "tokenizer.vocab_size=400"] if arguments[0] == "train" else []
        return main([*arguments, *changes])

    monkeypatch.setattr(demo, "main", main_with_small_corpus)


@pytest.mark.slow
@pytest.mark.usefixtures("small_corpus")
def test_four_systems_are_trained_compared_and_plotted_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", f"out={out}", "minutes=0.001", "device=cpu"]) == 0
    captured = capsys.readouterr()
    page = out / "report" / "test" / "report.html"
    assert captured.err.rstrip().endswith(f"the report is {page}")  # the last line
    report = json.loads((out / "report" / "test" / "report.json").read_text(encoding="utf-8"))
    assert [system["name"] for system in report["systems"]] == ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"]
    assert report["sentences"] == 20
    assert (out / "report" / "test_long" / "report.html").is_file()
    assert (out / "report" / "alignment.png").stat().st_size > 10_000

    # The second time nothing is trained again.
    modified = (out / "lstm" / "checkpoints" / "best.safetensors").stat().st_mtime_ns
    assert main(["demo", f"out={out}", "minutes=0.001", "device=cpu"]) == 0
    assert (out / "lstm" / "checkpoints" / "best.safetensors").stat().st_mtime_ns == modified
    assert capsys.readouterr().err.count("nothing left to do") == 4


def test_a_command_that_fails_ends_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"out={tmp_path}", "device=cuda:99"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "device=cuda:99" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []
