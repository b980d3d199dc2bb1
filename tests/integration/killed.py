"""`nmt train`, killed by SIGKILL at a given point: python killed.py POINT:N WORD...

The process ends itself when it comes to POINT for the N-th time:

    update      before the optimizer's step
    writing     a file is half written beside its place
    renaming    a file is whole beside its place
    validation  the search has begun
    recorded    a record has been added to the history
    never       does not come
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import nmt.training.history
from nmt.cli import main
from nmt.translator import Translator


def kill_before(owner: Any, name: str, count: int, *, after: bool = False) -> None:
    """Makes the `count`-th call of owner.name the last thing that this process does."""
    action: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def replacement(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = action(*arguments, **named)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, replacement)


def half_written(count: int) -> None:
    """The `count`-th file that is written beside its place is cut to half of its bytes, and stays so."""
    fsync, calls = os.fsync, 0

    def cut(descriptor: int) -> None:
        nonlocal calls
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith("."):
            calls += 1
            if calls == count:
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = cut


if __name__ == "__main__":
    point, _, number = sys.argv[1].partition(":")
    torch.set_num_threads(1)
    if point == "update":
        kill_before(torch.optim.Adam, "step", int(number))
    elif point == "writing":
        half_written(int(number))
    elif point == "renaming":
        kill_before(Path, "replace", int(number))
    elif point == "validation":
        kill_before(Translator, "translate", int(number))
    elif point == "recorded":
        kill_before(nmt.training.history, "append", int(number), after=True)
    else:
        assert point == "never"
    sys.exit(main(sys.argv[2:]))
