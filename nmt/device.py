"""The device that computes: choosing it, its memory, and how it treats numbers close to zero."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from nmt.errors import UserError

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists the instruction sets of each core."""

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux states the memory limit of a container."""


def pick_device(name: str) -> torch.device:
    """Returns the device that `name` stands for: "auto", "cpu" or "cuda", also "cuda:1".

    "auto" is the first GPU, or the CPU if there is none.

    Raises:
        UserError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"device={name} is unknown: use auto, cpu or cuda")
    num_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        raise UserError(f"device={name} is not available: CUDA devices on this machine: {num_gpus}; use cpu")
    return device


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Makes the CPU treat subnormal numbers as zero, inside the block or in the function that this decorates.

    Subnormal numbers are closer to zero than any normal number: below 1.2e-38 in float32, and 2.2e-308 in float64. The
    gradient of an LSTM shrinks to them over some hundred steps, and processors compute with them several times more
    slowly. In sums with normal numbers they make no difference.

    The setting belongs to a thread, and to the threads that it starts afterwards. torch starts its threads with the
    first large operation, so use this around a complete command, not only around the training steps. It affects numpy
    and Python too. It has no effect on processors without such a setting; torch supports x86 with SSE3, and ARM64.
    """
    was_on = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_on)


def computes_bf16_fast(device: torch.device) -> bool:
    """Whether a model trains faster in bf16 than in fp32 on this device, because that has instructions for bf16.

    A CPU has them with AMX or AVX512-BF16; docs/performance.md has what each architecture gains from the latter.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if not CPUINFO.is_file():
        return False
    flags = next((line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")), "")
    return not {"amx_bf16", "avx512_bf16"}.isdisjoint(flags.split())


def device_name(device: torch.device) -> str:
    """The name of the GPU, or of the processor, such as "AMD EPYC 9354"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def free_memory(device: torch.device) -> int:
    """Returns the free memory of a device, in bytes.

    On a CPU, memory that the page cache uses counts as free, and a container's limit is respected.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024  # "123456 kB"
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.is_file() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def peak_memory(device: torch.device) -> int:
    """Returns the peak memory use in bytes: of this process on a CPU, of torch since its last reset on a GPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
