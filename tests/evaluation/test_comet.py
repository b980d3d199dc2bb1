"""COMET by a program that stands in for `comet-score`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.evaluation.reuse import read_stored
from nmt.run import RunFolder

FAKE = """#!/bin/sh
echo "$@" > "$0.words"
cp "$2" "$0.source"; cp "$4" "$0.hyp"; cp "$6" "$0.ref"
if [ "$8" = a/nowhere ]; then
    echo "Traceback" >&2
    echo "KeyError: \\"Model '$8' not supported by COMET.\\"" >&2
    exit 1
fi
printf '%s\\tscore: 0.8412\\n' "$4"
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executable `comet-score` on PATH, which keeps what it was given."""
    path = tmp_path / "bin" / "comet-score"
    path.parent.mkdir()
    path.write_text(FAKE, encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"/usr/bin:/bin:{path.parent}")
    return path


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def test_comet_is_added_to_an_evaluation_and_compared(
    run: Path, program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", f"run={run}", "split=test", "device=cpu"]
    assert main(words) == 0
    assert "COMET" not in capsys.readouterr().out
    before = json.loads((run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    assert main([*words, "comet=Unbabel/wmt22-comet-da"]) == 0
    printed = capsys.readouterr()
    assert f"{'COMET':<31} 84.12  model:Unbabel/wmt22-comet-da\n" in printed.out
    assert "nothing has changed" in printed.err  # it was not translated again
    assert "comet-score computes COMET with Unbabel/wmt22-comet-da" in printed.err
    for name in ("source", "hyp", "ref"):
        expected = (run / "evaluation" / f"test.{name}.txt").read_text(encoding="utf-8")
        assert program.with_name(f"comet-score.{name}").read_text(encoding="utf-8") == expected
    assert program.with_name("comet-score.words").read_text().endswith("--gpus 0 --quiet --only_system\n")
    stored = read_stored(RunFolder.open(run), "test", [])  # checks the checksum
    assert stored is not None and stored.metrics.comet is not None
    assert stored.metrics.comet.score == pytest.approx(84.12)
    after = json.loads((run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    del after["metrics"]["comet"], after["checksum"], before["checksum"]
    assert after == before
    # The score is kept, so it is not computed again, and compare shows it.
    program.unlink()
    assert main([*words, "comet=Unbabel/wmt22-comet-da"]) == 0
    assert capsys.readouterr().out == printed.out
    out = tmp_path / "report"
    assert main(["compare", f"runs=[{run}]", "split=test", f"out={out}", "device=cpu"]) == 0
    assert "COMET ↑" in capsys.readouterr().out
    assert "model:Unbabel/wmt22-comet-da" in (out / "report.md").read_text(encoding="utf-8")


def test_comet_that_cannot_be_computed_is_skipped_with_its_reason(
    run: Path, program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["evaluate", f"run={run}", "split=test", "device=cpu", "comet=a/nowhere"]
    assert main(words) == 0
    printed = capsys.readouterr()
    reason = "comet-score failed: KeyError: \"Model 'a/nowhere' not supported by COMET.\""
    assert f"nmt evaluate: COMET was skipped: {reason}\n" in printed.err
    assert "BLEU" in printed.out and "COMET" not in printed.out
    monkeypatch.setenv("PATH", str(run))
    assert main(words) == 0
    error = capsys.readouterr().err
    assert "COMET was skipped: the program comet-score was not found: install unbabel-comet" in error
    assert "computes" not in error
    program.write_text("#!/bin/sh\necho no score\n", encoding="utf-8")
    monkeypatch.setenv("PATH", str(program.parent))
    assert main(words) == 0
    assert "COMET was skipped: comet-score failed: no score\n" in capsys.readouterr().err
