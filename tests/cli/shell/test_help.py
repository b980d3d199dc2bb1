"""A command's help: what it does, an example, the choices, and the YAML with its comments."""

import subprocess
from pathlib import Path

import pytest
from omegaconf import DictConfig

from nmt.cli import main


def test_everything_is_there(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "--help"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    lines = output.splitlines()
    assert lines[0] == "nmt greet: say something to somebody"
    assert "Says something to somebody." in lines and "  nmt greet run=runs/a voice=loud" in lines
    assert "  voice        *calm, loud, shrill" in lines and "  experiment   concert" in lines
    assert "run: ???  # the folder of a run, e.g. runs/demo/lstm" in lines
    assert "  volume: 0.5  # between 0 (nothing) and 1" in lines[lines.index("voice:  # voice=calm") :]
    assert not [line for line in lines if line.startswith(("defaults:", "  - "))]
    assert calls == []


def test_choices_on_the_line_show_their_keys(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "experiment=concert", "-h"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  echoes: 2" in lines
    assert "seed: 7" in lines[lines.index("# experiment=concert") :]  # at the top level, where the file puts it


def test_wide_comments_are_folded(conf: Path, calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    remark = "very " * 20 + "long"
    (conf / "voice" / "calm.yaml").write_text(f"a:\n  volume: 0.5  # {remark}\n  # {remark}\n")
    assert main(["greet", "--help"]) == 0
    output = capsys.readouterr().out
    assert max(len(line) for line in output.splitlines()) <= 80
    assert output.count("very") == 40
    assert "long\n    volume: 0.5\n    # very" in output  # above its value, at its depth


def test_a_help_waits_for_no_torch(program: Path, tmp_path: Path) -> None:
    done = subprocess.run([program, "greet", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
