"""The tiny runs of tests/conftest.py as systems to explore."""

from pathlib import Path

import pytest

from nmt.explore.systems import System, open_systems
from nmt.run import open_run


@pytest.fixture(scope="session")
def systems(lstm_run: Path, trained_run: Path, transformer_run: Path) -> dict[str, System]:
    """An LSTM without attention, a LuongRNN that has learned a little, and a Transformer, by name."""
    folders = [open_run(path) for path in (lstm_run, trained_run, transformer_run)]
    return {system.name: system for system in open_systems(folders, device="cpu")}
