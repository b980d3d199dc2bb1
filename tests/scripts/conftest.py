"""How the tests of scripts/ import a script."""

import importlib
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
