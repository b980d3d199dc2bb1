"""Runs that are killed by SIGKILL at random times, many times: python tests/integration/kill_campaign.py --kills 100

For each architecture one run goes through, and others like it are killed after a random time and gone on with, until
they end; each must end as the first did. Every life of a run is a forked process, so that its libraries need not be
loaded anew. Prints a table of how many kills were survived.
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
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from test_killed_runs import SETTINGS, assert_same, outcome

from nmt.cli import main

LONGER = ["trainer.max_steps=40", "trainer.validate_every=8", "trainer.save_every=3", "trainer.max_epochs=null"]


def tests_conftest() -> Any:
    spec = importlib.util.spec_from_file_location("conftest", Path(__file__).parents[1] / "conftest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def live(words: list[str], *, seconds: float | None) -> int:
    """One life of a run, with a violent end after `seconds` unless it has ended before; returns its wait status."""
    child = os.fork()
    if child == 0:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 2)
        os._exit(main(["train", *words]))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def survive(words: list[str], folder: Path, kills: int, longest: float, draw: random.Random) -> tuple[int, int]:
    """Kills runs like the whole one until `kills` have hit; returns the hits and the runs that came to their end."""
    hits, ends = 0, 0
    whole = outcome(folder / "whole")
    while hits < kills:
        run = folder / f"killed-{ends}"
        while True:
            resume = ["resume=true"] if (run / "model.json").is_file() else []
            if run.is_dir() and not resume:
                run = run.with_name(run.name + "+")  # killed before it was a run: nothing to go on with
            status = live([*words, f"run={run}", *resume], seconds=draw.uniform(0, longest))
            if os.WIFSIGNALED(status):
                hits += 1
                continue
            assert status == 0, f"exit code {os.WEXITSTATUS(status)} in {run}"
            break
        assert_same(whole, outcome(run))
        ends += 1
    return hits, ends


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50, help="for each architecture")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    conftest = tests_conftest()
    with tempfile.TemporaryDirectory() as place:
        os.environ["HF_DATASETS_CACHE"] = f"{place}/cache"
        corpus = conftest.write_corpus(Path(place) / "corpus")
        for model, overrides in conftest.TINY_MODELS.items():
            words = ["data=files", f"data.path={corpus}", *overrides, *conftest.TINY_TRAINING, *SETTINGS, *LONGER]
            folder = Path(place) / model
            began = time.monotonic()
            assert live([*words, f"run={folder / 'whole'}"], seconds=None) == 0
            longest = time.monotonic() - began
            hits, ends = survive(words, folder, options.kills, longest, random.Random(options.seed))
            print(f"{model:14}{hits:5} kills within 0 to {longest:.1f} s,{ends:4} ends as the whole run's", flush=True)
