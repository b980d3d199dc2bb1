"""`nmt train` as one of several processes, of which one fails: misbehaving.py HOW WORD...

raises    the second process has a defect at its third update
dies      it is killed there
memory    it runs out of memory there
"""

import os
import signal
import sys
from typing import Any

import torch

from nmt.cli import main
from nmt.training.trainer import Trainer

train_step = Trainer.train_step


def fail(how: str) -> None:
    if how == "raises":
        raise ZeroDivisionError("a defect of the second process")
    if how == "dies":
        os.kill(os.getpid(), signal.SIGKILL)


def misbehave(trainer: Trainer, batches: Any) -> None:
    if trainer.parts.processes.rank == 1 and trainer.progress.step == 2:
        if how == "memory":
            raise_out_of_memory(trainer)
        fail(how)
    train_step(trainer, batches)


def raise_out_of_memory(trainer: Trainer) -> None:
    """From inside the model, as the allocator does."""

    def exhaust(module: torch.nn.Module, _: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    trainer.parts.model.encoder.register_forward_pre_hook(exhaust)


if __name__ == "__main__":
    how = sys.argv[1]
    Trainer.train_step = misbehave  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))
