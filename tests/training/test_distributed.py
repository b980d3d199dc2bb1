"""What several processes share, and that one alone needs none of it; whole runs are in tests/integration."""

from typing import Any

import pytest
import torch
from torch import distributed, nn

from nmt.training.distributed import Processes, without_exchange


def test_one_process_alone() -> None:
    with Processes.join() as here:
        assert (here.rank, here.size, here.is_main) == (0, 1, True)
        assert here.sum(1.5, 2) == [1.5, 2]
        assert here.broadcast("value") == "value"
        assert here.gather(iter("abc")) == ["a", "b", "c"]
        assert here.main_first(lambda: 3) == 3
        model = nn.Linear(2, 2)
        assert here.wrap(model) is model
        assert here.local_device(torch.device("cuda")) == torch.device("cuda")
        with without_exchange(model):
            pass
    assert not distributed.is_initialized()


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_come_back_in_order(count: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(range(count))

    def gather(shares: list[Any], mine: list[int]) -> None:
        assert mine == whole[1 % size :: size]
        shares[:] = [whole[rank::size] for rank in range(size)]

    monkeypatch.setattr(distributed, "all_gather_object", gather)
    assert Processes(rank=1 % size, size=size).gather(whole[1 % size :: size]) == whole


def test_each_process_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    there = Processes(rank=5, size=8, local_rank=1)
    assert there.local_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert there.local_device(torch.device("cpu")) == torch.device("cpu")
