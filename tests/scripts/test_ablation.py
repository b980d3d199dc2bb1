"""scripts/ablation.sh, which measures methods of regularisation, and its page."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nmt.cli.shell.configuration import complete_config, compose, hydra_initialized
from nmt.cli.shell.settings import to_settings
from nmt.cli.training.settings import TrainSettings

ROOT = Path(__file__).parents[2]

CONFIG = "seed: {seed}\nmodel:\n  dropout: 0.3\ntrainer:\n  simcut: {simcut}\n  ema_decay: 0.0\n"
HISTORY = (
    '{{"kind": "train", "step": 5, "epoch": 40, "seconds": 1.0, "loss": 2.0}}\n'
    '{{"kind": "validation", "step": 5, "seconds": 1.0, "bleu": {bleu}, "chrf": 60.0, "selected_by": "bleu", '
    '"best": true}}\n'
)
END = '{"kind": "end", "step": 5, "epoch": 40, "seconds": 1.0, "reason": "max_epochs=40"}\n'


@pytest.fixture
def table(load_script: Callable[[str], ModuleType]) -> ModuleType:
    """scripts/ablation_table.py as a module."""
    return load_script("ablation_table")


def test_the_script_trains_recipes_with_one_change(
    start_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """With a stand-in for Python that writes down what it is called with."""
    (tmp_path / "my text").mkdir()
    variables = {"DATA": "my text", "RUNS": "my runs", "OUT": "my page", "JOBS": "1"}
    done = start_script("ablation.sh", "device=cuda", **variables, METHODS="transformer/wide luong/recipe", SEEDS="2")
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
    done = start_script("ablation.sh", **variables, METHODS="luong/recipe luong/magic")
    assert done.returncode == 2 and done.stderr.startswith("METHODS: luong/magic is not one of transformer/recipe ")


@pytest.mark.parametrize("system", ["transformer", "luong"])
def test_every_method_changes_settings_of_the_recipe(
    system: str, start_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "text").mkdir()
    done = start_script("ablation.sh", DATA="text", RUNS="runs", OUT=".", JOBS="1")
    assert done.returncode == 0, done.stderr
    composed = {}
    for log in (tmp_path / "runs" / system).glob("*.log"):
        words = [word for word in log.read_text().split()[3:] if not word.startswith(("run=", "data.path="))]
        with hydra_initialized() as folder:
            composed[log.stem] = complete_config(compose("train", folder, words))
        to_settings(composed[log.stem], TrainSettings)
    assert len(composed) >= 10
    recipe = composed.pop("recipe-seed1")
    assert all(config != recipe for config in composed.values())


def test_help_fits_a_terminal(start_script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = start_script("ablation.sh", "--help")
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
    assert (
        "| `trainer.simcut=3` | 42.25 | +1.75 | 60.00 | 1.00 |\n| none | 40.50 ± 0.71 |  | 60.00 ± 0.00 | 1.00 |"
        in page
    )
    history = tmp_path / "transformer" / "simcut-seed1" / "history.jsonl"
    history.write_text(END.replace("5", "4") + HISTORY.format(bleu=1))  # it went on, and was killed
    with pytest.raises(SystemExit, match=r"simcut-seed1 is not complete: call scripts.ablation\.sh again"):
        table.main()
    history.write_text(HISTORY.format(bleu=1) + END)
    config = tmp_path / "transformer" / "recipe-seed2" / "config.yaml"
    config.write_text(config.read_text().replace("dropout: 0.3", "dropout: 0.1"))
    with pytest.raises(SystemExit, match="differ in more than their seeds"):
        table.main()
    for run in tmp_path.glob("transformer/recipe-*"):
        (run / "config.yaml").unlink()
    with pytest.raises(SystemExit, match="has no run of the recipe itself"):
        table.main()
