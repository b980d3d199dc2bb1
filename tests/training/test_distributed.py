"""Processes that train together. Runs of several processes are tested in tests/integration."""

from typing import Any

import pytest
import torch
from torch import distributed, nn

from nmt.training.distributed import Processes, no_gradient_sync


def test_a_single_process_needs_no_connection() -> None:
    with Processes.join() as this:
        assert (this.rank, this.size, this.is_main) == (0, 1, True)
        assert this.sum(1.5, 2) == [1.5, 2]
        assert this.broadcast("value") == "value"
        assert this.gather("abc") == ["a", "b", "c"]
        assert this.main_first(lambda: 3) == 3
        model = nn.Linear(2, 2)
        assert this.wrap(model) is model
        assert this.local_device(torch.device("cuda")) == torch.device("cuda")
        with no_gradient_sync(model):
            pass
    assert not distributed.is_initialized()


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_gather_restores_the_order(count: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = list(range(count))

    def gather(shares: list[Any], mine: list[int]) -> None:
        assert mine == sequence[1 % size :: size]
        shares[:] = [sequence[rank::size] for rank in range(size)]

    monkeypatch.setattr(distributed, "all_gather_object", gather)
    assert Processes(rank=1 % size, size=size).gather(sequence[1 % size :: size]) == sequence


def test_each_process_uses_the_gpu_of_its_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    processes = Processes(rank=5, size=8, local_rank=1)
    assert processes.local_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert processes.local_device(torch.device("cpu")) == torch.device("cpu")
