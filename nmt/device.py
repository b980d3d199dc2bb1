"""The device that computes: choosing it, its memory, timing on it, and subnormal numbers."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nmt.errors import UserError

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container's own limit."""

PEAK_CALLS = 10
"""Products of one measurement of the peak."""


def pick_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` (also `cuda:1`) stands for.

    Raises:
        ValueError: there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name} is unknown: use auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device={name} is not there: this machine has {torch.cuda.device_count()} CUDA devices; use cpu"
        )
    return device


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Inside, or in the function that it decorates, what is nearer to zero than any normal number is zero.

    That is 1.2e-38 in 32 bits and 2.2e-308 in 64. A gradient that goes back through some hundred steps of an LSTM fades
    into such subnormal numbers, with which processors calculate several times slower; to whatever they are added, they
    do not count.

    It is a state of a thread and of those that it starts from then on. torch starts its threads with its first larger
    operation, so this belongs around all of a command, not around its steps alone. numpy and Python calculate likewise
    there. A processor that cannot do so (torch can on x86 with SSE3 and on ARM64) is left as it is.
    """
    before = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def free_memory(device: torch.device) -> int:
    """Bytes that are left on a device; on a CPU without the page cache's, and within the container's limit."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    about = Path("/proc/meminfo")
    if about.is_file():
        facts = dict(line.split(":") for line in about.read_text().splitlines())
        free = int(facts["MemAvailable"].split()[0]) * 1024
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.is_file() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def peak_memory(device: torch.device) -> int:
    """Bytes: on a CPU the most that this process has had so far, on a GPU that torch has had since the last reset."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Clock:
    """Times that follow one another on a device. A GPU notes them itself, so that nothing waits for it meanwhile."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.events: list[torch.cuda.Event] = []
        self.times: list[float] = []
        wait_for(device)
        self.mark()

    def mark(self) -> None:
        """Notes the time, on a GPU when all work given to it so far is done."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self.device))
            self.events.append(event)
        else:
            self.times.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """The time from each mark to the next, the first since the clock was made."""
        wait_for(self.device)
        if self.events:
            between = zip(self.events, self.events[1:], strict=False)
            return [first.elapsed_time(second) / 1000 for first, second in between]
        return [second - first for first, second in zip(self.times, self.times[1:], strict=False)]


def wait_for(device: torch.device) -> None:
    """Returns when the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of square matrix products, as fast as this device does them now."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    torch.mm(left, right)
    clock = Clock(device)
    for _ in range(PEAK_CALLS):
        torch.mm(left, right)
    clock.mark()
    return PEAK_CALLS * 2 * size**3 / clock.seconds()[0]


def describe(device: torch.device) -> dict[str, str | int]:
    """What to know about the device beside a figure measured on it."""
    if device.type == "cuda":
        return {"type": "cuda", "name": torch.cuda.get_device_name(device), "torch": torch.__version__}
    return {"type": "cpu", "threads": torch.get_num_threads(), "torch": torch.__version__}
