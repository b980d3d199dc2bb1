"""Tests of nmt/threads.py: what /proc/stat says, the decisions, and that several processes come to rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nmt import threads
from nmt.errors import UserError
from nmt.threads import (
    CoreTimes,
    ThreadPolicy,
    check_threads,
    cpu_quota,
    keep_threads,
    limit_threads,
    sum_busy_seconds,
)

CPU = torch.device("cpu")

# Two moments of a machine with four cores, recorded ten seconds apart and shortened. In between, core 0 was idle, core
# 1 computed for 10 s, core 2 waited for a disk, and core 3 was taken away by the host of the virtual machine (steal).
EARLIER = """\
cpu  1000 200 300 4000 50 6 7 8 90 10
cpu0 100 20 30 400 5 1 2 3 9 1
cpu1 200 20 30 400 5 1 2 3 9 1
cpu2 300 20 30 400 5 1 2 3 9 1
cpu3 400 20 30 400 5 1 2 3 9 1
intr 8103325 0 0
ctxt 14320693
"""
LATER = """\
cpu  1700 300 500 5000 1050 6 7 1008 790 10
cpu0 100 20 30 1400 5 1 2 3 9 1
cpu1 900 120 130 400 5 51 52 3 709 1
cpu2 300 20 30 400 1005 1 2 3 9 1
cpu3 400 20 30 400 5 1 2 1003 9 1
intr 8103999 0 0
ctxt 14320999
"""


@pytest.mark.parametrize(
    ("cores", "seconds"), [({0}, 0.0), ({1}, 10.0), ({2}, 0.0), ({3}, 10.0), ({0, 1, 2, 3}, 20.0), ({7}, 0.0)]
)
def test_busy_time_is_that_of_the_given_cores_with_interrupts_and_steal(cores: set[int], seconds: float) -> None:
    earlier, later = (sum_busy_seconds(text, cores, ticks_per_second=100) for text in (EARLIER, LATER))
    assert later - earlier == pytest.approx(seconds)


def test_others_are_all_programs_without_this_process() -> None:
    earlier = CoreTimes(clock=100.0, all_programs=50.0, this_process=20.0)
    assert CoreTimes(102.0, 54.0, 23.0).used_by_others(earlier) == pytest.approx(0.5)  # (4 - 3) seconds in 2 seconds
    assert CoreTimes(102.0, 54.0, 24.5).used_by_others(earlier) == 0.0  # clocks of different precision


def decisions(policy: ThreadPolicy, others: list[float]) -> list[int]:
    return [policy.update(cores) for cores in others]


@pytest.mark.parametrize(
    ("num_cores", "others", "num_threads"),
    [(2, 0.0, 2), (2, 0.35, 2), (2, 0.5, 1), (2, 1.0, 1), (2, 2.0, 1), (8, 0.1, 8), (8, 1.5, 6), (8, 3.0, 5)],
)
def test_the_first_number_leaves_out_the_cores_that_others_occupy(
    num_cores: int, others: float, num_threads: int
) -> None:
    assert ThreadPolicy(num_cores=num_cores, max_threads=num_cores).start(others) == num_threads


def test_threads_on_half_of_the_cores_ignore_others_that_fit_beside_them() -> None:
    """As with two hardware threads per core, where torch computes with half as many threads."""
    policy = ThreadPolicy(num_cores=8, max_threads=4)
    assert [policy.start(others) for others in (0.0, 4.0, 5.0)] == [4, 4, 3]


def test_a_quiet_machine_keeps_all_its_cores_despite_short_bursts() -> None:
    policy = ThreadPolicy(num_cores=2, max_threads=2)
    assert set(decisions(policy, [0.0, 0.02, 0.9, 0.05, 0.0, 0.6, 0.3, 0.3, 0.1] * 20)) == {2}


def test_a_core_is_released_while_another_program_occupies_it_and_used_again_afterwards() -> None:
    policy = ThreadPolicy(num_cores=2, max_threads=2)
    assert decisions(policy, [0.0, 0.6, 0.6, 1.0, 1.0, 0.9, 0.0, 0.0, 0.0, 0.0]) == [2, 2, 1, 1, 1, 1, 1, 1, 2, 2]


def test_a_load_between_both_thresholds_changes_nothing() -> None:
    for start, kept in ((0.0, 2), (1.0, 1)):
        policy = ThreadPolicy(num_cores=2, max_threads=2)
        policy.start(start)
        assert set(decisions(policy, [0.3] * 50)) == {kept}


@pytest.mark.parametrize(("num_cores", "num_processes"), [(2, 2), (4, 2), (4, 3), (8, 3), (8, 5), (16, 3), (2, 5)])
@pytest.mark.parametrize("phases", [1, 3])
def test_several_processes_come_to_rest(num_cores: int, num_processes: int, phases: int) -> None:
    """They start with all cores, or one after the other, and measure at the same time or in turn.

    Runnable threads share the cores evenly. At rest, at most one change happens in 50 windows, and no core is wasted
    for long: the threads fill the cores, except for one that nobody can take without crowding the others.
    """
    policies = [ThreadPolicy(num_cores=num_cores, max_threads=num_cores) for _ in range(num_processes)]
    changes, totals = [], []
    for window in range(600):
        for index, policy in enumerate(policies):
            if phases > 1 and window % phases != index % phases:
                continue
            threads_of_others = sum(other.num_threads for other in policies) - policy.num_threads
            share = min(1.0, num_cores / (threads_of_others + policy.num_threads))
            before = policy.num_threads
            if policy.update(threads_of_others * share) != before:
                changes.append(window)
        totals.append(sum(policy.num_threads for policy in policies))
    assert len([window for window in changes if window >= 300]) <= 6 * num_processes
    later = totals[300:]
    assert sum(later) / len(later) == pytest.approx(max(num_cores, num_processes), abs=num_processes / 2)


def test_a_container_limit_of_computing_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "CGROUP", tmp_path)
    assert cpu_quota() is None
    for text, quota in (("max 100000\n", None), ("250000 100000\n", 2), ("50000 100000\n", 1)):
        (tmp_path / "cpu.max").write_text(text)
        assert cpu_quota() == quota


@pytest.mark.parametrize("setting", ["0", "-1", "1.5", "true", "two", ""])
def test_a_wrong_number_of_threads_is_refused(setting: str) -> None:
    with pytest.raises(UserError, match=f"threads={setting} must be a whole number of at least 1, or auto"):
        check_threads(setting)


def test_a_number_holds_inside_the_block_only() -> None:
    before = torch.get_num_threads()
    with limit_threads(str(before + 2), CPU) as adapt:
        assert torch.get_num_threads() == before + 2
        assert adapt is keep_threads
    assert torch.get_num_threads() == before


def test_threads_follow_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the whole class, with a machine of two cores whose other programs use `others` cores."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "FIRST_WINDOW", 0.0)
    monkeypatch.setattr(threads, "WINDOW", 0.0)
    monkeypatch.setattr(threads, "cpu_quota", lambda: None)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    clock, used, others = 0.0, 0.0, 0.0

    def read_core_times(cores: object) -> CoreTimes:
        nonlocal clock, used
        clock, used = clock + 1, used + others
        return CoreTimes(clock, used, 0.0)

    monkeypatch.setattr(threads, "read_core_times", read_core_times)
    monkeypatch.setattr("time.monotonic", lambda: clock + 1)
    messages: list[str] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with limit_threads("auto", CPU, report=messages.append) as adapt:
            seen = []
            for others in [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]:  # noqa: B007 - read_core_times uses it
                adapt()
                seen.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert seen == [2, 2, 1, 1, 1, 1, 2]
    assert messages == [
        "other programs use the cores; threads from here on: 1",
        "a core is free again; threads from here on: 2",
    ]


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "no /proc/stat", "GPU"])
def test_auto_leaves_the_number_alone(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With OMP_NUM_THREADS, on a system that does not say what other programs do, and for a GPU."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable == "OMP_NUM_THREADS":
        monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    elif variable == "no /proc/stat":
        monkeypatch.setattr(threads, "PROC_STAT", tmp_path / "stat")
    before = torch.get_num_threads()
    with limit_threads("auto", torch.device("cuda") if variable == "GPU" else CPU) as adapt:
        assert torch.get_num_threads() == before
        assert adapt is keep_threads


@pytest.mark.skipif(not threads.PROC_STAT.is_file(), reason="only Linux says what other programs do")
def test_this_process_and_another_one_are_measured() -> None:
    cores = {0}
    busy = subprocess.Popen(["taskset", "-c", "0", sys.executable, "-c", "while True: pass"])
    try:
        earlier = later = threads.read_core_times(cores)
        # This process computes as well, but much more slowly on a busy machine.
        while later.clock < earlier.clock + 0.5 or later.this_process == earlier.this_process:
            later = threads.read_core_times(cores)
    finally:
        busy.kill()
        busy.wait()
    assert later.all_programs - earlier.all_programs > 0.3
