"""The number of threads that a CPU computes with: fixed, or as many as other programs leave free.

torch's threads wait for each other several times per layer, and they wait actively (OpenMP). If another program
occupies a core, all threads wait for the one that shares it: two threads then take several times as long as one. With
`threads: auto` a command therefore measures how much of the cores other programs use, and computes on the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from nmt.device import CGROUP
from nmt.errors import UserError

PROC_STAT = Path("/proc/stat")
"""Where Linux counts the time that each core has spent, by kind."""

IDLE_FIELDS = (3, 4)
"""Fields of a core's line in /proc/stat in which it did nothing: idle, and idle while waiting for a disk."""

NUM_FIELDS = 8
"""Fields of a core's line that add up to all time; those behind them (guest) are contained in the first two."""

FIRST_WINDOW = 0.2
"""Seconds that a command waits at its start to measure the other programs."""

WINDOW = 2.0
"""Minimum seconds between two measurements."""

BUSY_SHARE = 0.4
"""Others that use more than this share of a core occupy it. A program that competes for a core with one of our threads
receives only half of it."""

FREE_SHARE = 0.2
"""A core is free again once others use less than this share of it."""

WINDOWS_BEFORE_DECREASE = 2
"""Windows in a row in which others occupy a core, before it is given up: a short burst of work costs less than that."""

WINDOWS_BEFORE_INCREASE = 3
"""Windows in a row in which a core is free, before it is used again."""

MAX_PATIENCE = 32
"""Limit of the factor by which `WINDOWS_BEFORE_INCREASE` grows while increases turn out to be wrong."""


@dataclass(frozen=True)
class CoreTimes:
    """Seconds of computing time so far.

    Attributes:
        clock: the time of the measurement, on the monotonic clock.
        all_programs: on the cores that this process may use.
        this_process: of this process, its threads, and its children that have ended.
    """

    clock: float
    all_programs: float
    this_process: float

    def used_by_others(self, earlier: CoreTimes) -> float:
        """How many cores other programs have used since an earlier measurement, on average."""
        others = (self.all_programs - earlier.all_programs) - (self.this_process - earlier.this_process)
        return max(0.0, others / max(self.clock - earlier.clock, 1e-9))


class ThreadPolicy:
    """Decides how many threads to use, from the number of cores that other programs use.

    Several processes that follow this policy come to rest: each releases a core that another one uses, takes one more
    thread at a time, and waits twice as long after each time that this turned out to be one too many.

    Args:
        num_cores: cores that the process may use.
        max_threads: never use more threads.
    """

    def __init__(self, *, num_cores: int, max_threads: int) -> None:
        self.num_cores = num_cores
        self.max_threads = max_threads
        self.num_threads = max_threads
        self._windows_busy = 0
        self._windows_free = 0
        self._windows_since_increase = MAX_PATIENCE * WINDOWS_BEFORE_INCREASE
        self._patience = 1

    def start(self, others: float) -> int:
        """The number of threads at first, while this process is idle and `others` cores are used by other programs."""
        self.num_threads = self._fitting(others, BUSY_SHARE)
        return self.num_threads

    def update(self, others: float) -> int:
        """The number of threads from now on, after a window in which other programs used `others` cores."""
        busy = self._fitting(others, BUSY_SHARE) < self.num_threads
        free = self._fitting(others, FREE_SHARE) > self.num_threads
        self._windows_busy = self._windows_busy + 1 if busy else 0
        self._windows_free = self._windows_free + 1 if free else 0
        self._windows_since_increase += 1
        if self._windows_busy >= WINDOWS_BEFORE_DECREASE:
            was_wrong = self._windows_since_increase <= WINDOWS_BEFORE_INCREASE + WINDOWS_BEFORE_DECREASE
            self._patience = min(2 * self._patience, MAX_PATIENCE) if was_wrong else 1
            self._set(self._fitting(others, BUSY_SHARE))
        elif self._windows_free >= WINDOWS_BEFORE_INCREASE * self._patience:
            self._windows_since_increase = 0
            self._set(self.num_threads + 1)
        return self.num_threads

    def _fitting(self, others: float, share: float) -> int:
        """The number of threads for which there are cores, if others occupy a core by using more than `share` of it."""
        occupied = int(others + 1 - share)
        return max(1, min(self.max_threads, self.num_cores - occupied))

    def _set(self, num_threads: int) -> None:
        self.num_threads = num_threads
        self._windows_busy = self._windows_free = 0


class AdaptiveThreads:
    """Sets torch's number of threads at its creation, and whenever it is called, by what other programs leave free.

    Call it between updates or batches, in the thread that computes. It measures every `WINDOW` seconds at most, which
    takes less than a millisecond.

    Args:
        policy: decides.
        read_times: measures the computing time of the cores and of this process.
        report: receives a message when the number changes.
    """

    def __init__(
        self, policy: ThreadPolicy, read_times: Callable[[], CoreTimes], report: Callable[[str], None]
    ) -> None:
        self._policy = policy
        self._read_times = read_times
        self._report = report
        before = read_times()
        time.sleep(FIRST_WINDOW)
        self._last = read_times()
        torch.set_num_threads(policy.start(self._last.used_by_others(before)))

    def __call__(self) -> None:
        if time.monotonic() - self._last.clock < WINDOW:
            return
        now = self._read_times()
        before, num_threads = self._policy.num_threads, self._policy.update(now.used_by_others(self._last))
        self._last = now
        if num_threads != before:
            torch.set_num_threads(num_threads)
            reason = "other programs use the cores" if num_threads < before else "a core is free again"
            self._report(f"{reason}; threads from here on: {num_threads}")


@contextmanager
def limit_threads(
    setting: str, device: torch.device, *, report: Callable[[str], None] = lambda message: None
) -> Iterator[Callable[[], None]]:
    """Inside the block, torch computes on a CPU with the number of threads that `setting` says.

    Args:
        setting: the number as text; or "auto" for as many as other programs leave free, at most torch's default. If
            OMP_NUM_THREADS is set, "auto" is that number. Only Linux says what other programs do; elsewhere "auto" is
            torch's default.
        device: nothing changes for a GPU.
        report: receives a message when "auto" changes the number.

    Yields:
        A function that adapts the number; call it between updates or batches, in the thread that computes.
    """
    before = torch.get_num_threads()
    try:
        yield _start(setting, max_threads=before, report=report) if device.type == "cpu" else keep_threads
    finally:
        torch.set_num_threads(before)


def _start(setting: str, *, max_threads: int, report: Callable[[str], None]) -> Callable[[], None]:
    """Sets the number of threads, and returns a function that adapts it."""
    if setting != "auto":
        torch.set_num_threads(int(setting))
        return keep_threads
    if "OMP_NUM_THREADS" in os.environ or not PROC_STAT.is_file():
        return keep_threads
    cores = os.sched_getaffinity(0)
    max_threads = min(max_threads, cpu_quota() or max_threads)
    torch.set_num_threads(max_threads)
    if max_threads == 1:
        return keep_threads
    policy = ThreadPolicy(num_cores=len(cores), max_threads=max_threads)
    return AdaptiveThreads(policy, lambda: read_core_times(cores), report)


def check_threads(setting: str) -> None:
    """Checks a value of the key `threads`.

    Raises:
        UserError: it is neither a number of at least 1 nor "auto".
    """
    if setting != "auto" and not (setting.isdecimal() and int(setting) >= 1):
        raise UserError(f"threads={setting} must be a whole number of at least 1, or auto")


def keep_threads() -> None:
    """Adapts nothing: the number of threads is fixed."""


def num_usable_cores() -> int:
    """The number of cores that this process may use, by its affinity and the limit of its container."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(num_cores, cpu_quota() or num_cores)


def cpu_quota() -> int | None:
    """The number of cores that a container's limit of computing time amounts to, at least 1; None without a limit."""
    limit = CGROUP / "cpu.max"
    if not limit.is_file():
        return None
    quota, period = limit.read_text().split()  # "200000 100000" is 2 cores; "max 100000" is no limit
    return None if quota == "max" else max(1, int(quota) // int(period))


def read_core_times(cores: Collection[int]) -> CoreTimes:
    """The computing time so far of `cores`, by their numbers, and of this process."""
    own = os.times()
    return CoreTimes(
        clock=time.monotonic(),
        all_programs=sum_busy_seconds(PROC_STAT.read_text(), cores, ticks_per_second=os.sysconf("SC_CLK_TCK")),
        this_process=own.user + own.system + own.children_user + own.children_system,
    )


def sum_busy_seconds(stat: str, cores: Collection[int], *, ticks_per_second: int) -> float:
    """The seconds in which some of the cores computed, summed over them, from the text of /proc/stat.

    Time that a virtual machine wanted to compute but did not get (steal) counts as well: others used the core.
    """
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
            values = [int(field) for field in fields[:NUM_FIELDS]]
            ticks += sum(values) - sum(values[index] for index in IDLE_FIELDS)
    return ticks / ticks_per_second
