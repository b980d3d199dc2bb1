"""scripts/speed.py, which measures the tables of training speed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nmt.cli.shell.main import main

SCRIPT = Path(__file__).parents[2] / "scripts" / "speed.py"

SHORT = ["model.dropout=0.0", "loader.batch_tokens=64", "tokenizer.vocab_size=40", "vocab_size=50"]
SHORT += ["rounds=1", "steps=1", "warmup_steps=1", "device=cpu", "loader.num_workers=1"]
SMALL_TRANSFORMER = ["model.model_size=32", "model.feedforward_size=32", "model.num_heads=2"]
SMALL_RECURRENT = ["model.embedding_size=32", "model.hidden_size=32"]


@pytest.fixture
def speed(load_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script. It calls commands in this process, with narrower models than its own."""

    def run_here(command: list[str], *, check: bool) -> None:
        words = command[command.index("nmt") + 1 :]
        assert command[:3] == [sys.executable, "-m", "nmt"] and check
        assert main([*words, *(SMALL_TRANSFORMER if "model=transformer" in words else SMALL_RECURRENT)]) == 0

    script = load_script("speed")
    monkeypatch.setattr(subprocess, "run", run_here)
    return script


@pytest.mark.slow
@pytest.mark.parametrize("group", ["small", "large"])
def test_every_system_of_a_group_is_measured_once_and_printed(
    speed: ModuleType,
    group: str,
    corpus_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "speed"
    words = [group, str(folder), "data=files", f"data.path={corpus_folder}", *SHORT]
    monkeypatch.setattr(sys, "argv", ["speed.py", *words])
    speed.main()
    first = capsys.readouterr().out
    rows = {line.split("`")[1]: line for line in first.splitlines() if "`" in line}
    assert set(rows) == set(speed.GROUPS[group])
    for name, row in rows.items():
        parameters = json.loads((folder / f"{name}.json").read_text())["model"]["parameters"]
        assert f"{parameters / 1e6:.0f} M" in row

    modified = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    speed.main()
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == modified


def test_an_unknown_group_is_refused() -> None:
    assert subprocess.run([sys.executable, SCRIPT, "medium", "folder"], capture_output=True).returncode == 1
