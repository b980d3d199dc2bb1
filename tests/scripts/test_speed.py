"""scripts/speed.py, which measures the tables of training speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "speed.py"


def run_script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)


@pytest.mark.slow
def test_every_large_system_is_measured_once_and_printed(corpus_folder: Path, tmp_path: Path) -> None:
    """Overrides make the measurement short, and the vocabulary small; the systems keep their other sizes."""
    words = ["model.dropout=0.0", "loader.batch_tokens=64", "tokenizer.vocab_size=40", "vocab_size=50"]
    words += ["rounds=1", "steps=1", "warmup_steps=1", "device=cpu", "loader.num_workers=1"]
    words = ["large", str(tmp_path / "speed"), "data=files", f"data.path={corpus_folder}", *words]
    first = run_script(*words)
    assert first.returncode == 0, first.stderr
    rows = {line.split("`")[1]: line for line in first.stdout.splitlines() if "`" in line}
    assert sorted(rows) == ["gnmt", "transformer-base", "transformer-big"]
    for name, row in rows.items():
        parameters = json.loads((tmp_path / "speed" / f"{name}.json").read_text())["model"]["parameters"]
        assert f"{parameters / 1e6:.0f} M" in row
    modified = [path.stat().st_mtime_ns for path in (tmp_path / "speed").iterdir()]
    assert run_script(*words).stdout == first.stdout
    assert [path.stat().st_mtime_ns for path in (tmp_path / "speed").iterdir()] == modified


def test_an_unknown_group_is_refused() -> None:
    assert run_script("medium", "folder").returncode == 1
