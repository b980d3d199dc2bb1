"""Kills runs by SIGKILL at random times, many times: python tests/integration/kill_campaign.py --kills 100

For each architecture, one run trains undisturbed. Other runs with the same settings are killed after a random time and
resumed until they end. Each of them must end with the result of the undisturbed run. The script prints the number of
kills that each architecture has survived.
"""

import argparse
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import torch

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS.parent))

LONGER = ["trainer.max_steps=40", "trainer.validate_every=8", "trainer.save_every=3", "trainer.max_epochs=null"]


def load(name: str, path: Path) -> ModuleType:
    """Imports a file of the tests, which are not a package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tiny = load("tiny", TESTS / "conftest.py")
processes = load("processes", TESTS / "integration" / "conftest.py")
killed_runs = load("killed_runs", TESTS / "integration" / "test_killed_runs.py")


def train(words: list[str], *, stderr: Path, kill_after: float | None) -> int:
    """`nmt train` in a new process; returns its exit code, or -SIGKILL if it was still running after `kill_after` s."""
    pid = processes.fork_command(["train", *words], stderr=stderr)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return int(processes.wait(pid))


def kill_runs(words: list[str], folder: Path, *, num_kills: int, seconds: float, seed: int) -> tuple[int, int]:
    """Starts, kills and resumes runs until `num_kills` processes were killed.

    Args:
        folder: holds the finished run `undisturbed`, whose result each run must have.
        seconds: duration of an undisturbed run; each process is killed after a random part of it.

    Returns:
        The number of kills, and the number of runs that reached their end.
    """
    rng = random.Random(seed)
    expected = killed_runs.result_of(folder / "undisturbed")
    num_killed, num_ended = 0, 0
    while num_killed < num_kills:
        run = folder / f"killed-{num_ended}"
        while True:
            resume = ["resume=true"] if (run / "model.json").is_file() else []
            if run.is_dir() and not resume:
                run = run.with_name(run.name + "+")  # killed before the folder was a run: nothing to resume
            code = train([*words, f"run={run}", *resume], stderr=folder / "stderr", kill_after=rng.uniform(0, seconds))
            if code != -signal.SIGKILL:
                break
            num_killed += 1
        assert code == 0, f"exit code {code} in {run}"
        killed_runs.assert_same_result(expected, killed_runs.result_of(run))
        num_ended += 1
    return num_killed, num_ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="number of kills for each architecture")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random times")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HF_DATASETS_CACHE"] = f"{temporary}/cache"
        corpus = tiny.write_corpus(Path(temporary) / "corpus")
        for model, overrides in tiny.TINY_MODELS.items():
            words = ["data=files", f"data.path={corpus}", *overrides, *tiny.TINY_TRAINING]
            words += [*killed_runs.SETTINGS, *LONGER]
            folder = Path(temporary) / model
            folder.mkdir()
            start = time.monotonic()
            assert train([*words, f"run={folder / 'undisturbed'}"], stderr=folder / "stderr", kill_after=None) == 0
            seconds = time.monotonic() - start
            num_killed, num_ended = kill_runs(
                words, folder, num_kills=options.kills, seconds=seconds, seed=options.seed
            )
            print(f"{model:14}{num_killed:5} kills, {num_ended} runs ended like the undisturbed run", flush=True)


if __name__ == "__main__":
    main()
