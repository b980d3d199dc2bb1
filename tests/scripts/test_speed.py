"""The script behind the tables of speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "speed.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)


@pytest.mark.slow
def test_every_large_system_is_measured_once_and_shown(corpus_folder: Path, tmp_path: Path) -> None:
    """Made small by overrides, which come last; the names of all settings are right."""
    small = ["model.dropout=0.0", "loader.batch_tokens=64", "tokenizer.vocab_size=40", "vocab_size=50"]
    small += ["rounds=1", "steps=1", "warmup_steps=1", "device=cpu", "loader.num_workers=1"]
    words = ["large", str(tmp_path / "speed"), "data=files", f"data.path={corpus_folder}", *small]
    result = run(*words)
    assert result.returncode == 0, result.stderr
    rows = {line.split("`")[1]: line for line in result.stdout.splitlines() if "`" in line}
    assert sorted(rows) == ["gnmt", "transformer-base", "transformer-big"]
    for name, row in rows.items():
        parameters = json.loads((tmp_path / "speed" / f"{name}.json").read_text())["model"]["parameters"]
        assert f"{parameters / 1e6:.0f} M" in row
    before = [path.stat().st_mtime_ns for path in (tmp_path / "speed").iterdir()]
    assert run(*words).stdout == result.stdout
    assert [path.stat().st_mtime_ns for path in (tmp_path / "speed").iterdir()] == before


def test_a_group_must_be_named() -> None:
    assert run("medium", "folder").returncode == 1
