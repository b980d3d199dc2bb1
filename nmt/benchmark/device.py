"""What a device shows of itself: time, memory, and the most that its matrix products reach."""

from __future__ import annotations

import time

import torch

PEAK_CALLS = 10
"""Products of one measurement of the peak."""


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
