"""scripts/ablation.sh, which measures ideas alone, and its page."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

CONFIG = "seed: {seed}\nmodel:\n  dropout: 0.3\ntrainer:\n  simcut: {simcut}\n  ema_decay: 0.0\n"
HISTORY = (
    '{{"kind": "train", "step": 5, "epoch": 40, "seconds": 1.0, "loss": 2.0}}\n'
    '{{"kind": "validation", "step": 5, "seconds": 1.0, "bleu": {bleu}, "chrf": 60.0, "selected_by": "bleu", '
    '"best": true}}\n'
)
END = '{"kind": "end", "step": 5, "epoch": 40, "seconds": 1.0, "reason": "max_epochs=40"}\n'


@pytest.fixture
def table() -> ModuleType:
    """scripts/ablation_table.py as a module."""
    path = ROOT / "scripts" / "ablation_table.py"
    spec = importlib.util.spec_from_file_location("ablation_table", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # where dataclasses look for the types of their attributes
    spec.loader.exec_module(script)
    return script


def start_script(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs ablation.sh in a folder, with these environment variables."""
    environment = {name: value for name, value in os.environ.items() if name != "DATA"} | variables
    return subprocess.run(
        [ROOT / "scripts" / "ablation.sh", *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_script_trains_recipes_with_one_change(tmp_path: Path) -> None:
    """With a stand-in for Python that writes down what it is called with."""
    (tmp_path / "my text").mkdir()
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    variables = {"DATA": "my text", "RUNS": "my runs", "OUT": "my page", "PYTHON": "./python", "JOBS": "1"}
    done = start_script(tmp_path, "device=cuda", **variables, IDEAS="transformer/wide luong/recipe", SEEDS="2")
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "my runs"
    assert done.stdout.splitlines() == [f"scripts/ablation_table.py {runs} {tmp_path / 'my page'}"]
    common = f"resume=auto threads=1 data.path={tmp_path / 'my text'}"
    assert (runs / "transformer" / "wide-seed2.log").read_text().splitlines() == [
        f"-m nmt train experiment=multi30k_transformer seed=2 run={runs}/transformer/wide-seed2 {common} "
        "trainer.max_epochs=40 model.model_size=256 model.feedforward_size=512 schedule.learning_rate=0.003 device=cuda"
    ]
    assert (runs / "luong" / "recipe-seed2.log").read_text().splitlines() == [
        f"-m nmt train experiment=multi30k_luong seed=2 run={runs}/luong/recipe-seed2 {common} "
        "trainer.max_epochs=10 device=cuda"
    ]
    done = start_script(tmp_path, **variables, IDEAS="luong/magic")
    assert done.returncode == 1 and "IDEAS: luong/magic is not known" in done.stderr


def test_help_fits_a_terminal(tmp_path: Path) -> None:
    done = start_script(tmp_path, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: DATA=DIR scripts/ablation.sh")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_page_compares_each_change_with_the_recipe(
    table: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, simcut, bleu in [("recipe-seed1", 0, 40), ("recipe-seed2", 0, 41), ("simcut-seed1", 3, 42.25)]:
        run = tmp_path / "transformer" / name
        run.mkdir(parents=True)
        (run / "config.yaml").write_text(CONFIG.format(seed=name[-1], simcut=simcut))
        (run / "history.jsonl").write_text(HISTORY.format(bleu=bleu) + END)
    monkeypatch.setattr(sys, "argv", ["ablation_table.py", str(tmp_path), str(tmp_path / "page")])
    table.main()
    page = (tmp_path / "page" / "ablation.md").read_text()
    assert "| `trainer.simcut=3` | 42.25 | +1.75 | 60.00 | 40 |\n| none | 40.50 ± 0.71 |  | 60.00 ± 0.00 | 40 |" in page
    (tmp_path / "transformer" / "simcut-seed1" / "history.jsonl").write_text(HISTORY.format(bleu=1))
    with pytest.raises(SystemExit, match=r"simcut-seed1 is not complete: call scripts.ablation\.sh again"):
        table.main()
    for run in tmp_path.glob("transformer/recipe-*"):
        (run / "config.yaml").unlink()
    with pytest.raises(SystemExit, match="has no run of the recipe itself"):
        table.main()
