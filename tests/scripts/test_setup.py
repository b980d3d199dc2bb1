"""The installation by demo.sh and test.sh, with stand-ins for Python and pip, so that nothing is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHONS = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that the scripts read, and commands named like Python, all of them too old."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "old").mkdir()
    for name in PYTHONS:
        executable(tmp_path / "old" / name, '[ "$1" = --version ] && echo Python 3.9.1')
    return tmp_path


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def demo(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout / 'old'}{os.pathsep}{os.environ['PATH']}"
    command = [str(checkout / "scripts" / "demo.sh"), *arguments]
    return subprocess.run(command, cwd="/", env={**os.environ, "PATH": path}, capture_output=True, text=True)


def test_an_old_python_ends_the_script_in_one_line(checkout: Path) -> None:
    done = demo(checkout)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "nmt needs Python 3.11 or newer; python3 here is Python 3.9.1\n"
    assert not (checkout / ".venv").exists()


def test_nothing_is_installed_twice_unless_the_requirements_change(checkout: Path) -> None:
    for name in ("python", "pip", "nmt"):
        executable(checkout / ".venv" / "bin" / name, f'echo {name} "$@"')
    first, second = demo(checkout, "seed=1"), demo(checkout, "seed=2")
    install = "pip install --quiet --disable-pip-version-check -c constraints.txt -e .[explore]"
    assert first.stdout == f"{install}\nnmt demo seed=1\n"
    assert (second.stdout, second.stderr) == ("nmt demo seed=2\n", "")

    with (checkout / "constraints.txt").open("a") as file:
        file.write("# renewed\n")
    assert demo(checkout).stdout.startswith("pip install")


def test_the_scripts_are_executable() -> None:
    for name in ("scripts/demo.sh", "scripts/reproduce.sh", "scripts/ablation.sh", "scripts/test.sh", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK), name
