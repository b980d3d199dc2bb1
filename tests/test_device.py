import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.cli import main
from nmt.device import subnormals_as_zero
from nmt.errors import Failure

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor cannot")


def products() -> list[float]:
    """1e-320 and 1e-40, if they can be told from zero: Python's, torch's, its gradient's, and numpy's."""
    factor = torch.tensor(1e-20, requires_grad=True)
    product = factor * torch.tensor(1e-20)
    (gradient,) = torch.autograd.grad(product * torch.tensor(1e-20), factor)
    return [1e-200 * float("1e-120"), product.item(), gradient.item(), float(np.float32(1e-20) * np.float32(1e-20))]


def test_inside_they_are_zero_and_afterwards_as_before() -> None:
    assert all(products())
    with subnormals_as_zero():
        assert products() == [0, 0, 0, 0]
        with subnormals_as_zero():
            pass
        assert products() == [0, 0, 0, 0]
    with pytest.raises(KeyError), subnormals_as_zero():
        raise KeyError
    assert all(products())


@pytest.mark.parametrize(
    ("command", "called"), [("train", "prepare"), ("doctor", "prepare"), ("benchmark", "pick_device")]
)
def test_they_are_zero_wherever_a_model_is_trained(
    command: str,
    called: str,
    corpus_folder: Path,
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found: list[list[float]] = []

    def look(*_: Any, **__: Any) -> None:
        found.append(products())
        raise Failure("seen")

    monkeypatch.setattr(importlib.import_module(f"nmt.cli.{command}"), called, look)
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models["lstm"], *tiny_training]
    assert main([command, *words, *([f"run={tmp_path / 'x'}"] if command != "benchmark" else [])]) == 1
    assert (found, capsys.readouterr().err) == ([[0, 0, 0, 0]], f"nmt {command}: seen\n")
    assert all(products())


def test_all_of_torch_s_threads_and_python_s_do_so() -> None:
    """In a process of its own: they are there from the first large operation on."""
    code = """
import threading, torch
from nmt.device import subnormals_as_zero
def count():
    numbers = torch.full((2**18,), 1e-20)
    print(torch.get_num_threads(), int(torch.count_nonzero(numbers * numbers)))
with subnormals_as_zero():
    count()
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )
    assert done.stdout.splitlines() == ["2 0", "2 0"]
