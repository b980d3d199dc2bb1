"""Measures time on a device, the peak speed of its matrix products, and describes it."""

from __future__ import annotations

import time

import torch

NUM_PEAK_PRODUCTS = 10
"""Number of matrix products in one measurement of the peak speed."""


class Clock:
    """Consecutive times on a device. A GPU records them itself, so the CPU does not wait for it in between."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.events: list[torch.cuda.Event] = []
        self.times: list[float] = []
        synchronize(device)
        self.mark()

    def mark(self) -> None:
        """Records the time; on a GPU, the time at which it has finished all work that it was given so far."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self.device))
            self.events.append(event)
        else:
            self.times.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Returns the seconds between consecutive marks; the constructor made the first mark."""
        synchronize(self.device)
        if self.events:
            pairs = zip(self.events, self.events[1:], strict=False)
            return [start.elapsed_time(end) / 1000 for start, end in pairs]
        return [end - start for start, end in zip(self.times, self.times[1:], strict=False)]


def synchronize(device: torch.device) -> None:
    """Waits until the device has finished all work that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measures the floating-point operations per second of products of large square matrices."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    torch.mm(left, right)  # not measured: the first product is slower
    clock = Clock(device)
    for _ in range(NUM_PEAK_PRODUCTS):
        torch.mm(left, right)
    clock.mark()
    return NUM_PEAK_PRODUCTS * 2 * size**3 / clock.seconds()[0]


def device_description(device: torch.device) -> dict[str, str | int]:
    """The facts about a device that a measurement on it should state."""
    if device.type == "cuda":
        return {"type": "cuda", "name": torch.cuda.get_device_name(device), "torch": torch.__version__}
    return {"type": "cpu", "threads": torch.get_num_threads(), "torch": torch.__version__}
