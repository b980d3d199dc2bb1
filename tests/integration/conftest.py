"""Commands in processes of their own, forked from the tests' process.

A new Python process needs more than four seconds of processor time to load torch and the other libraries, which a
forked process already has.
"""

import os
import sys
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from nmt.cli import main

Setup = Callable[[], object]
"""Called in the new process before the command, for example to replace a function there."""


def do_nothing() -> None:
    """The default setup."""


def fork(body: Callable[[], int], *, stderr: Path) -> int:
    """Starts a process that calls `body` and ends with the exit code that it returns.

    Args:
        stderr: the file to which the process's messages go.

    Returns:
        The process's id.
    """
    pid = os.fork()
    if pid != 0:
        return pid
    code = 70  # EX_SOFTWARE, if `body` raises
    try:
        with stderr.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 2)
            sys.stderr = file
            try:
                code = body()
            except Exception:
                traceback.print_exc()
            file.flush()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """The exit code of a process; -N if signal N ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_command(words: list[str], *, stderr: Path, setup: Setup = do_nothing) -> int:
    """Starts `nmt WORD...` in a new process and returns the process's id."""

    def body() -> int:
        setup()
        return main(words)

    return fork(body, stderr=stderr)


def fork_workers(words: list[str], *, num_workers: int, stderr: Path, setup: Setup = do_nothing) -> int:
    """Starts `torchrun --nproc-per-node=NUM_WORKERS -m nmt WORD...` in a new process and returns the process's id.

    The code is torchrun's own, but the workers are forked instead of started anew.
    """

    def worker() -> None:
        setup()
        sys.exit(main(words))

    def body() -> int:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_workers,
            run_id=str(uuid.uuid4()),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            monitor_interval=0.1,
            start_method="fork",
        )
        try:
            elastic_launch(config, worker)()
        except ChildFailedError as error:
            print(error, file=sys.stderr)
            return 1
        return 0

    return fork(body, stderr=stderr)


@pytest.fixture(scope="session")
def loaded_libraries(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Trains for one step in the tests' process: torch and Hydra load much of their code only at its first use."""
    run = tmp_path_factory.mktemp("warm-up") / "run"
    assert (
        main(["train", "data=files", f"data.path={corpus_folder}", f"run={run}", *tiny_models["lstm"], *tiny_training])
        == 0
    )


@pytest.fixture(name="fork_command")
def fork_command_fixture(loaded_libraries: None) -> Callable[..., int]:
    """`fork_command` as a fixture, since tests cannot import this file."""
    return fork_command


@pytest.fixture(name="fork_workers")
def fork_workers_fixture(loaded_libraries: None) -> Callable[..., int]:
    """`fork_workers` as a fixture, since tests cannot import this file."""
    return fork_workers
