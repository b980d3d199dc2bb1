"""How the tests of scripts/ import a script, and start one."""

import importlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a script by its name. As when it runs, it can import the others."""
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module


@pytest.fixture
def start_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Starts a shell script with words and environment variables: `start_script("zoo.sh", "--help", SEEDS="1")`.

    It runs in `tmp_path`, with a stand-in for Python that writes down what it is called with.
    """
    stand_in = tmp_path / "python"
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)

    def start(name: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "DATA"}
        return subprocess.run(
            [SCRIPTS / name, *words],
            cwd=tmp_path,
            env={**inherited, "PYTHON": "./python", **variables},
            capture_output=True,
            text=True,
        )

    return start
