"""Inside `subnormals_as_zero`, numbers closer to zero than any normal number are zero, in every library and thread."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nmt.cli import main
from nmt.data.corpus import FilesCorpus
from nmt.device import subnormals_as_zero
from nmt.errors import Failure

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor has no such setting")


def subnormal_products() -> list[float]:
    """Products that are subnormal: 1e-320 in Python; 1e-40 in torch, in a gradient of torch, and in numpy."""
    factor = torch.tensor(1e-20, requires_grad=True)
    product = factor * torch.tensor(1e-20)
    (gradient,) = torch.autograd.grad(product * torch.tensor(1e-20), factor)
    return [1e-200 * float("1e-120"), product.item(), gradient.item(), float(np.float32(1e-20) * np.float32(1e-20))]


def test_subnormal_numbers_are_zero_inside_and_as_before_afterwards() -> None:
    assert all(subnormal_products())
    with subnormals_as_zero():
        assert subnormal_products() == [0, 0, 0, 0]
        with subnormals_as_zero():
            pass
        assert subnormal_products() == [0, 0, 0, 0]
    with pytest.raises(KeyError), subnormals_as_zero():
        raise KeyError
    assert all(subnormal_products())


@pytest.mark.parametrize("command", ["train", "doctor", "benchmark"])
def test_subnormal_numbers_are_zero_in_every_command_that_trains(
    command: str,
    corpus_folder: Path,
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[list[float]] = []

    def record_products(*_: Any, **__: Any) -> None:
        seen.append(subnormal_products())
        raise Failure("enough")

    monkeypatch.setattr(FilesCorpus, "split", record_products)
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models["lstm"], *tiny_training]
    if command == "benchmark":  # it writes no run
        words = [word for word in words if not word.startswith("tracker=")]
    else:
        words.append(f"run={tmp_path / 'x'}")
    assert main([command, *words]) == 1
    error = capsys.readouterr().err
    assert seen == [[0, 0, 0, 0]] and error.endswith(f"nmt {command}: enough\n"), error
    assert all(subnormal_products())


def test_the_setting_reaches_all_threads_of_torch_and_python() -> None:
    """In a process of its own, because torch starts its threads with the first large operation."""
    code = """
import threading, torch
from nmt.device import subnormals_as_zero
def count_nonzero():
    numbers = torch.full((2**18,), 1e-20)
    print(torch.get_num_threads(), int(torch.count_nonzero(numbers * numbers)))
with subnormals_as_zero():
    count_nonzero()
    thread = threading.Thread(target=count_nonzero)
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
