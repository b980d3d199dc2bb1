"""What the machine offers to a run: package versions, the device, and room for checkpoints."""

from __future__ import annotations

import os
import platform
import shutil
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from nmt.cli.diagnosis.report import format_bytes
from nmt.device import free_memory
from nmt.errors import UserError
from nmt.training.dry_run import MemoryUse
from nmt.training.settings import TrainerSettings

SHOWN_PACKAGES = ("torch", "sentencepiece", "sacrebleu", "datasets", "hydra-core")
"""Packages whose versions belong in a question about a problem; all others are checked as well."""


def describe_versions() -> str:
    """Python's and the main packages' versions, after checking that all packages satisfy pyproject.toml.

    Raises:
        UserError: a package is missing, or its version is not one that the project allows.
    """
    project = Path(__file__).parents[3] / "pyproject.toml"
    if project.is_file():  # a checkout, installed or not: its own file counts
        declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        python, dependencies = declared["requires-python"], declared["dependencies"]
    else:
        python, dependencies = metadata.metadata("nmt")["Requires-Python"], metadata.requires("nmt") or []
    if platform.python_version() not in SpecifierSet(python):
        raise UserError(f"this is Python {platform.python_version()}, but nmt needs {python}")
    versions = {}
    for requirement in map(Requirement, dependencies):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = requirement.name
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise UserError(f'the package {name} is missing: pip install "{requirement}"') from None
        if not requirement.specifier.contains(versions[name], prereleases=True):
            raise UserError(f'nmt does not work with {name} {versions[name]}: pip install "{requirement}"')
    shown = ", ".join(f"{name} {versions[name]}" for name in SHOWN_PACKAGES)
    return f"python {platform.python_version()}, {shown}; all {len(versions)} packages are new enough"


def describe_device(device: torch.device, settings: TrainerSettings) -> str:
    """The device, its free memory, and the number format of the forward pass."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"threads {torch.get_num_threads()}, cores {os.cpu_count()}"
    return f"{device}, {name}, {format_bytes(free_memory(device))} of memory free, {settings.number_format(device)}"


def describe_run_folder(path: Path, memory: MemoryUse, *, average_checkpoints: int) -> str:
    """The run folder, after checking that it can be written and that its disk has room for the checkpoints.

    Raises:
        UserError: the folder cannot be written, or the disk is too full.
    """
    existing = next(parent for parent in chain([path.absolute()], path.absolute().parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"run={path} cannot be written: you may not write to {existing}; name another folder")
    needed = checkpoint_bytes(memory, average_checkpoints=average_checkpoints)
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"run={path}: the checkpoints need about {format_bytes(needed)}, but {format_bytes(free)} are free: name "
            f"a folder on another disk, or lower trainer.average_checkpoints"
        )
    return f"{path}: checkpoints need up to {format_bytes(needed)}, {format_bytes(free)} are free"


def checkpoint_bytes(memory: MemoryUse, *, average_checkpoints: int) -> int:
    """The disk space of all checkpoints of a run, at its maximum."""
    best = memory.weights
    last = memory.weights + memory.optimizer
    averaged = memory.weights * (average_checkpoints + 1) if average_checkpoints > 1 else 0  # these and their mean
    return 2 * (best + last) + averaged  # twice, because a new file is complete before it replaces the old one
