"""A run that is killed at any point resumes in another process, and ends exactly like a run that was never killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import nmt
import nmt.training.history
from nmt.cli import main
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.run.weights import read_weights
from nmt.training.update import Updater
from nmt.translator import Translator

ROOT = Path(nmt.__file__).parents[1]

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

KILLS = ["update:2", "rename:10", "record:5", "validate:2", "write:5", "update:3", "rename:6"]
"""The points at which the processes kill themselves, see `kill_at_point`. The run may end before such a point."""

pytestmark = pytest.mark.slow


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_call(owner: Any, name: str, number: int, *, after: bool = False) -> None:
    """Kills this process before (or after) the `number`-th call of owner.name."""
    original = getattr(owner, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            kill_this_process()
        result = original(*args, **kwargs)
        if calls == number:
            kill_this_process()
        return result

    setattr(owner, name, counted)


def kill_in_half_written_file(number: int) -> None:
    """Kills this process when the `number`-th temporary file is flushed to the disk, with half of its bytes written."""
    original = os.fsync
    files = 0

    def cut_or_flush(descriptor: Any) -> None:
        nonlocal files
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith("."):  # the name of a temporary file
            files += 1
            if files == number:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                kill_this_process()
        original(descriptor)

    os.fsync = cut_or_flush  # type: ignore[assignment]


def kill_at_point(point: str) -> None:
    """Makes this process kill itself at a point NAME:N, when it reaches the point NAME for the N-th time.

    update    before the gradients of an update
    write     a temporary file is half written
    rename    a temporary file is complete and not yet renamed
    validate  validation begins to translate
    record    a record has been appended to the history
    """
    name, _, text = point.partition(":")
    number = int(text)
    match name:
        case "update":
            kill_at_call(Updater, "update", number)
        case "write":
            kill_in_half_written_file(number)
        case "rename":
            kill_at_call(Path, "replace", number)
        case "validate":
            kill_at_call(Translator, "translate", number)
        case "record":
            kill_at_call(nmt.training.history, "append", number, after=True)
        case _:
            raise ValueError(point)


def result_of(folder: Path) -> dict[str, Any]:
    """Everything that a run has produced except times: history, weights, and the step of the best checkpoint."""
    run = RunFolder(folder)
    times = ("seconds", "tokens_per_second")
    records = [json.loads(line) for line in run.history.read_text(encoding="utf-8").splitlines()]
    return {
        "history": [{key: value for key, value in record.items() if key not in times} for record in records],
        "weights": {path.name: read_weights(path) for path in sorted((folder / "checkpoints").glob("*.safetensors"))},
        "best": run.best_step(),
    }


def assert_same_result(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Both runs have the same history and the same weights, bit for bit."""
    assert one["history"] == other["history"]
    assert one["best"] == other["best"]
    assert one["weights"].keys() == other["weights"].keys()
    for name, weights in one["weights"].items():
        assert weights.keys() == other["weights"][name].keys()
        for key, tensor in weights.items():
            assert torch.equal(tensor, other["weights"][name][key]), (name, key)


def run_in_new_python(words: list[str]) -> int:
    """Runs `nmt train` in a new Python process, whose sets have another order than here; returns the exit code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}
    return subprocess.run(
        [sys.executable, "-m", "nmt", "train", *words], env=environment, capture_output=True
    ).returncode


@pytest.mark.parametrize("model", ["lstm_bahdanau", "transformer"])
def test_a_run_killed_again_and_again_ends_like_an_undisturbed_run(
    model: str,
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    fork_command: Callable[..., int],
) -> None:
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models[model], *tiny_training, *SETTINGS]

    def train(*more: str, setup: Callable[[], object] = lambda: None) -> int:
        """`nmt train` in a new process; returns the exit code."""
        pid = fork_command(["train", *words, *more], stderr=tmp_path / "stderr", setup=setup)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert train(f"run={tmp_path / 'undisturbed'}") == 0
    killed = tmp_path / "killed"
    codes = []
    for point in KILLS:
        resume = ["resume=true"] if (killed / "model.json").is_file() else []
        codes.append(train(f"run={killed}", *resume, setup=partial(kill_at_point, point)))
        assert codes[-1] in (0, -signal.SIGKILL), (tmp_path / "stderr").read_text(encoding="utf-8")
    assert codes.count(-signal.SIGKILL) >= 4
    last = [f"run={killed}", "resume=true"]
    assert (run_in_new_python([*words, *last]) if model == "lstm_bahdanau" else train(*last)) == 0

    undisturbed = result_of(tmp_path / "undisturbed")
    assert_same_result(undisturbed, result_of(killed))
    losses = [record["loss"] for record in undisturbed["history"] if record["kind"] != "end"]
    assert len(set(losses)) == len(losses) > 8
    assert any(record.get("averaged") for record in undisturbed["history"])


def handle_signals_as_a_new_process() -> None:
    """The tests' process, of which this one is a copy, may ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_ends_a_run_with_a_checkpoint(
    number: int,
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    fork_command: Callable[..., int],
) -> None:
    folder, stderr = tmp_path / "run", tmp_path / "stderr"
    words = ["data=files", f"data.path={corpus_folder}", f"run={folder}", *tiny_models["lstm"], *tiny_training]
    words += ["trainer.max_steps=1000000", "trainer.log_every=1", "trainer.validate_every=1000000"]
    pid = fork_command(["train", *words], stderr=stderr, setup=handle_signals_as_a_new_process)
    deadline = time.monotonic() + 120
    history = folder / "history.jsonl"
    try:
        while not (history.is_file() and history.stat().st_size):
            assert time.monotonic() < deadline, stderr.read_text(encoding="utf-8")
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), stderr.read_text(encoding="utf-8")
            time.sleep(0.05)
    except AssertionError:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise
    os.kill(pid, number)
    code, error = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), stderr.read_text(encoding="utf-8")
    assert code == 130, error
    assert "interrupted; continue with resume=true" in error and "Traceback" not in error
    assert len(Translator.load(folder, device="cpu").translate(["one"])) == 1
    with safe_open(folder / "checkpoints" / "last.safetensors", framework="pt") as checkpoint:
        step = json.loads(checkpoint.metadata()["progress"])["step"]
    assert main(["train", *words, "resume=true", f"trainer.max_steps={step + 2}"]) == 0
    steps = [record.step for record in read_history(folder / "history.jsonl").train]
    assert steps == list(range(1, step + 3))
