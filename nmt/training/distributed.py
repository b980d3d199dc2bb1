"""Several processes that train one model together: each computes its share of every batch, and one of them writes.

torchrun starts them, on one machine or several, and describes each by environment variables:

    torchrun --nproc-per-node=2 -m nmt train …

Only the work is divided: a batch holds the same sentences whatever the number of processes.
"""

from __future__ import annotations

import atexit
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

from nmt.errors import Failure, UserError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """The processes that train together, as seen by one of them.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        local_rank: number of this process on its machine, and of the GPU that it uses.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    @contextmanager
    def join(cls) -> Iterator[Processes]:
        """Connects to the processes that torchrun started; without torchrun there is only this one.

        Raises:
            UserError: the environment variables of torchrun are incomplete or wrong.
            Failure: another process ended inside the block; it printed the reason itself.
        """
        if os.environ.get("WORLD_SIZE", "1") == "1":
            yield cls()
            return
        try:
            # gloo exchanges tensors on CPUs, NCCL those on GPUs.
            if not distributed.is_initialized():  # a sweep trains several runs in the same processes
                distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
                atexit.register(distributed.destroy_process_group)
            local_rank = int(os.environ.get("LOCAL_RANK", "0"))
            processes = cls(distributed.get_rank(), distributed.get_world_size(), local_rank)
        except ValueError as error:  # a variable of the environment is missing or is not a number
            raise UserError(f"WORLD_SIZE is set, but torchrun did not start this process: {error}") from error
        try:
            yield processes
        except BaseException as error:
            atexit.unregister(distributed.destroy_process_group)  # it could wait for a process that has ended
            if isinstance(error, RuntimeError) and _is_lost_connection(error):
                raise Failure("another process of this run has ended; its own message says why") from None
            raise
        distributed.barrier()  # a process that left earlier would close connections that others still use
        gc.collect()  # DistributedDataParallel refers to the group and must be deleted before it

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and prints the messages."""
        return self.rank == 0

    def local_device(self, device: torch.device) -> torch.device:
        """The device of this process: with several processes and "cuda", the GPU of its local rank."""
        if self.size > 1 and device.type == "cuda":
            device = torch.device("cuda", self.local_rank)
            torch.cuda.set_device(device)
        return device

    def sum(self, *numbers: float) -> list[float]:
        """Returns each number summed over the processes."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64)  # (len(numbers),)
        distributed.all_reduce(total)
        return total.tolist()

    def all_reduce(self, number: Tensor) -> Tensor:
        """Sums a tensor () over the processes in place, on its device; on a GPU the host does not wait."""
        if self.size > 1:
            distributed.all_reduce(number)
        return number

    def broadcast(self, value: Value) -> Value:
        """Returns the value of the main process in all processes."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    @torch.no_grad()
    def broadcast_weights(self, model: nn.Module) -> None:
        """Copies the weights of the main process to all processes."""
        if self.size > 1:
            for parameter in model.parameters():
                distributed.broadcast(parameter, src=0)

    def gather(self, share: Sequence[Value]) -> list[Value]:
        """Returns a complete sequence in all processes, from the shares `sequence[rank::size]` that they hold."""
        if self.size == 1:
            return list(share)
        shares: list[Any] = [None] * self.size
        distributed.all_gather_object(shares, list(share))
        sequence: list[Any] = [None] * sum(map(len, shares))
        for rank, items in enumerate(shares):
            sequence[rank :: self.size] = items
        return sequence

    def main_first(self, action: Callable[[], Value]) -> Value:
        """Calls `action` in the main process, then in the others, which find its work in the cache."""
        if not self.is_main:
            distributed.barrier()
        value = action()
        if self.is_main and self.size > 1:
            distributed.barrier()
        return value

    def wrap(self, module: nn.Module) -> nn.Module:
        """With several processes, wraps a module so that its gradients become means over the processes."""
        if self.size == 1:
            return module
        on_gpu = next(module.parameters()).device.type == "cuda"
        with warnings.catch_warnings():
            # torch warns of broadcast_buffers, but its successor is missing in the oldest supported version.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                module,
                device_ids=[self.local_rank] if on_gpu else None,
                broadcast_buffers=False,  # our only buffers are constants
                gradient_as_bucket_view=True,
            )


def no_gradient_sync(module: nn.Module) -> AbstractContextManager[object]:
    """Inside, each process accumulates its own gradients; the next backward pass outside exchanges them."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


def _is_lost_connection(error: RuntimeError) -> bool:
    """Whether torch reports that another process is gone; gloo has no error class for it."""
    kinds = (distributed.DistBackendError, distributed.DistNetworkError)
    return isinstance(error, kinds) or "gloo/transport" in str(error) or "Gloo" in str(error)
