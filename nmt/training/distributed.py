"""The processes that train one model together: each works on its share of every batch, and only the first writes.

torchrun starts them, on one machine or several, and tells each its place by environment variables:

    torchrun --nproc-per-node=2 -m nmt train …

What is shared is the work, not the result: a batch is the same set of sentences whatever the number of processes.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from nmt.errors import Failure

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        local_rank: its number on this machine, which is also that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    @contextmanager
    def join(cls) -> Iterator[Processes]:
        """Joins the processes that torchrun has started; without torchrun there is this one alone.

        Raises:
            Failure: another process has ended, which has said why.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            yield cls()
            return
        with_gpus = torch.cuda.is_available()
        # Tensors on a CPU travel by gloo, those on a GPU by NCCL.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if with_gpus else "gloo")
        here = cls(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
        try:
            yield here
        except RuntimeError as error:
            if _is_lost_connection(error):
                raise Failure("another process of this run has ended; its own message says why") from None
            raise
        distributed.barrier()  # who leaves while another still speaks takes the connection away
        gc.collect()  # the model's wrapper holds on to the group, and must not be all that is left of it at the end
        distributed.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def local_device(self, device: torch.device) -> torch.device:
        """This process's own GPU where `device` means any."""
        if self.size > 1 and device.type == "cuda":
            device = torch.device("cuda", self.local_rank)
            torch.cuda.set_device(device)
        return device

    def sum(self, *numbers: float) -> list[float]:
        """Each number summed over the processes."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(total)
        return total.tolist()

    def all_reduce(self, number: Tensor) -> Tensor:
        """The number (), where it is, summed over the processes; on a GPU nobody waits for it."""
        if self.size > 1:
            distributed.all_reduce(number)
        return number

    def broadcast(self, value: Value) -> Value:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    @torch.no_grad()
    def broadcast_weights(self, model: nn.Module) -> None:
        """Gives all processes the first one's weights."""
        if self.size > 1:
            for parameter in model.parameters():
                distributed.broadcast(parameter, src=0)

    def gather(self, share: Sequence[Value]) -> list[Value]:
        """The whole sequence of which each process holds every size-th item, from its rank on."""
        if self.size == 1:
            return list(share)
        shares: list[Any] = [None] * self.size
        distributed.all_gather_object(shares, list(share))
        whole: list[Any] = [None] * sum(map(len, shares))
        for rank, items in enumerate(shares):
            whole[rank :: self.size] = items
        return whole

    def main_first(self, action: Callable[[], Value]) -> Value:
        """Does `action` in the first process, and then in the others, which find in the cache what it has made."""
        if not self.is_main:
            distributed.barrier()
        value = action()
        if self.is_main and self.size > 1:
            distributed.barrier()
        return value

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model`, with gradients that are the mean over the processes."""
        if self.size == 1:
            return model
        on_gpu = next(model.parameters()).device.type == "cuda"
        with warnings.catch_warnings():
            # The argument that follows broadcast_buffers is not there in the oldest torch that serves.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                model,
                device_ids=[self.local_rank] if on_gpu else None,
                broadcast_buffers=False,  # the only buffers are constants
                gradient_as_bucket_view=True,
            )


def without_exchange(model: nn.Module) -> AbstractContextManager[object]:
    """Inside, gradients add up in each process; the next backward pass outside exchanges them all at once."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()


def _is_lost_connection(error: RuntimeError) -> bool:
    kinds = (distributed.DistBackendError, distributed.DistNetworkError)
    return isinstance(error, kinds) or "gloo/transport" in str(error) or "Gloo" in str(error)
