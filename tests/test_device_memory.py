"""The memory of a device: what is free, and the peak of this process."""

from pathlib import Path

import pytest
import torch

from nmt import device
from nmt.device import free_memory, peak_memory

CPU = torch.device("cpu")


def test_free_memory_respects_the_limit_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CGROUP", tmp_path)
    assert free_memory(CPU) > 10_000_000
    (tmp_path / "memory.current").write_text("4000000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(CPU) > 10_000_000
    (tmp_path / "memory.max").write_text("5000000\n")
    assert free_memory(CPU) == 1_000_000


def test_peak_memory_is_in_bytes() -> None:
    tensor = torch.ones(30_000_000, dtype=torch.uint8)
    assert peak_memory(CPU) > tensor.nbytes
