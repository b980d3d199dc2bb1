"""environment.json: the program and the machine that trained a run."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec
import torch

from nmt.device import device_name
from nmt.files import write_json
from nmt.run.format import Count, Versioned, read_versioned

FILE_NAME = "environment.json"
CHECKOUT = Path(__file__).parents[2]
"""The folder that contains the package: a checkout of the project, or the folder of installed packages."""


class Environment(msgspec.Struct, kw_only=True):
    """The program and the machine that trained a run, from one step on.

    Attributes:
        step: the number of updates that had been made before.
        program: what `describe_program` returns.
        device: name of the processor or of the GPU.
        threads: number in each process, on a CPU; `threads=auto` may change it later.
        processes: number that trained together.
        number_format: of the forward pass, "fp32" or "bf16".
    """

    step: Count
    program: str
    python: str
    torch: str
    device: str
    threads: Count
    processes: Count
    number_format: str


class StoredEnvironments(Versioned, kw_only=True):
    """The content of environment.json: the first environment, and each one after it that differed from the last."""

    environments: list[Environment]


def describe_environment(device: torch.device, *, step: int, processes: int, number_format: str) -> Environment:
    """The environment of this process, which trains on `device`."""
    return Environment(
        step=step,
        program=describe_program(CHECKOUT),
        python=platform.python_version(),
        torch=str(torch.__version__),
        device=device_name(device),
        threads=torch.get_num_threads(),
        processes=processes,
        number_format=number_format,
    )


def record_environment(folder: Path, environment: Environment) -> None:
    """Adds an environment to a run folder, unless it is the one in which the run was trained before."""
    known = read_environments(folder)
    if not known or msgspec.structs.replace(known[-1], step=environment.step) != environment:
        stored = StoredEnvironments(environments=[*known, environment])
        write_json(folder / FILE_NAME, msgspec.to_builtins(stored))


def read_environments(folder: Path) -> list[Environment]:
    """The environments in which a run was trained, in order; empty if the folder has no environment.json.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / FILE_NAME
    return read_versioned(path, StoredEnvironments).environments if path.is_file() else []


@cache
def describe_program(checkout: Path) -> str:
    """The commit of a checkout, with "-dirty" if files were changed since; else the version of the installed package.

    Args:
        checkout: the folder that contains the package.
    """
    if (checkout / ".git").exists():
        command = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--exclude=*"]
        try:
            git = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
        except OSError:  # git is not installed
            return "unknown commit"
        return f"commit {git.stdout.strip()}" if git.returncode == 0 else "unknown commit"
    try:
        return f"version {metadata.version('nmt')}"
    except metadata.PackageNotFoundError:
        return "unknown version"
