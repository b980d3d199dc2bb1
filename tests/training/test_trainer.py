from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nmt.data.batch import Batch, make_batch
from nmt.models import Seq2Seq
from nmt.run import load_weights, read_weights
from nmt.training.checkpoint import average, read_progress
from nmt.training.loss import cross_entropy
from nmt.training.schedule import InverseSquareRoot, Plateau
from nmt.training.trainer import Trainer

SGD = torch.optim.SGD


def weights_of(model: Seq2Seq) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-4, atol=1e-6)


class FixedPairs:
    """Stands in for `Pairs`: the same batches in every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.sampler = self

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, epoch: int, *, start: int = 0) -> Any:
        return iter(self.batches[start:]) if start else self.batches.__iter__() if epoch is not None else None


class Batches(FixedPairs):
    def epoch(self, epoch: int, *, start: int = 0) -> Any:
        return _Epoch(self.batches[start:])


class _Epoch(list):  # type: ignore[type-arg]
    """A list for the sampler's users, an iterator for the loop's."""

    def __next__(self) -> Batch:
        return self.pop(0)

    def __iter__(self) -> Any:
        return self
