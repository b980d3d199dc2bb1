"""Fixtures for the tests of the run folder: a run that may be changed, and a small description of a model."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from nmt.run import RunFolder


@pytest.fixture
def run_copy(trained_run: Path, tmp_path: Path) -> RunFolder:
    """A copy of a trained run that a test may damage."""
    return RunFolder(shutil.copytree(trained_run, tmp_path / "copy"))


@pytest.fixture
def luong_arguments() -> dict[str, Any]:
    """The arguments of a small `LuongRNN`, as model.json holds them."""
    return {
        "source_vocab_size": 11,
        "target_vocab_size": 11,
        "shared_vocab": True,
        "tie_output": True,
        "cell": {"class": "LSTMCell"},
        "span": {"class": "GlobalSpan"},
        "embedding_size": 8,
        "hidden_size": 8,
        "num_layers": 1,
        "encoder_dropout": 0.0,
        "input_feeding": True,
        "dropout": 0.0,
        "embedding_dropout": 0.0,
        "word_dropout": 0.0,
        "variational_dropout": False,
        "recurrent_dropout": 0.0,
        "score": {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}},
    }
