"""The tiny runs of tests/conftest.py as systems to explore."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from nmt.explore.systems import System, open_systems
from nmt.run import RunFolder, open_run
from nmt.translator import Translator


def load(folder: RunFolder, heads_off: Sequence[str]) -> Translator:
    """Loads a run on the CPU."""
    return Translator.load(folder, device="cpu", heads_off=heads_off)


@pytest.fixture(scope="session")
def systems(lstm_run: Path, trained_run: Path, transformer_run: Path) -> dict[str, System]:
    """An LSTM without attention, a LuongRNN that has learned a little, and a Transformer, by name."""
    folders = [open_run(path) for path in (lstm_run, trained_run, transformer_run)]
    return {system.name: system for system in open_systems(folders, load=load)}


@pytest.fixture(scope="session")
def ensemble(trained_run: Path, transformer_run: Path) -> System:
    """The LuongRNN and the Transformer as one system."""
    [system] = open_systems([open_run([trained_run, transformer_run])], load=load)
    return system
