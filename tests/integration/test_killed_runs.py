"""A run that is killed anywhere goes on, in another process, to the very end that it would have had."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt
from nmt.run import RunFolder
from nmt.run.weights import read_weights

ROOT = Path(nmt.__file__).parents[1]
DRIVER = Path(__file__).parent / "killed.py"

SETTINGS = [
    "trainer.max_steps=14",
    "trainer.validate_every=4",
    "trainer.save_every=3",
    "trainer.log_every=2",
    "trainer.accumulate=2",
    "trainer.average_checkpoints=3",
    "loader.subword_alpha=0.3",
    "loader.batch_tokens=128",
    "model.dropout=0.2",
    "schedule=plateau",
    "schedule.learning_rate=0.02",
    "schedule.patience=1",
    "seed=3",
]
KILLS = ["update:2", "renaming:10", "recorded:5", "validation:2", "writing:5", "update:3", "renaming:6", "never"]
"""Each is counted from the beginning of its process, and may not be reached there."""


def start(point: str, words: list[str]) -> int:
    """`nmt train` in a new process, killed at a point of `killed.py`; returns the exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONHASHSEED", None)
    done = subprocess.run(
        [sys.executable, str(DRIVER), point, "train", *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run has come to, but for the clock: history, weights, and where it stands."""
    run = RunFolder(folder)
    clock = ("seconds", "tokens_per_second")
    records = [json.loads(line) for line in run.history.read_text().splitlines()]
    return {
        "history": [{key: value for key, value in record.items() if key not in clock} for record in records],
        "weights": {path.name: read_weights(path) for path in sorted((folder / "checkpoints").glob("*.safetensors"))},
        "best": run.best_step(),
    }


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["history"] == other["history"]
    assert one["best"] == other["best"]
    assert one["weights"].keys() == other["weights"].keys()
    for name, weights in one["weights"].items():
        assert weights.keys() == other["weights"][name].keys()
        for key, tensor in weights.items():
            assert torch.equal(tensor, other["weights"][name][key]), (name, key)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"])
def test_a_run_that_is_killed_again_and_again_ends_as_the_one_that_is_not(
    model: str, tmp_path: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str]
) -> None:
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models[model], *tiny_training, *SETTINGS]
    assert start("never", [*words, f"run={tmp_path / 'whole'}"]) == 0
    codes = []
    for point in KILLS:
        begun = (tmp_path / "killed" / "model.json").is_file()
        resume = ["resume=true"] if begun else []
        codes.append(start(point, [*words, f"run={tmp_path / 'killed'}", *resume]))
    assert codes.count(-signal.SIGKILL) >= 4
    assert codes[-1] == 0
    whole = outcome(tmp_path / "whole")
    assert_same(whole, outcome(tmp_path / "killed"))
    losses = [record["loss"] for record in whole["history"]]
    assert len(set(losses)) == len(losses) > 8
    assert any(record.get("averaged") for record in whole["history"])
