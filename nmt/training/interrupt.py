"""Ending a run tidily on Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While entered, the first SIGINT or SIGTERM only raises a flag, and the second ends the process as usual.

    Args:
        alone: False where torchrun has started several processes. It hands on each signal, so that one Ctrl-C comes
            twice: there the second is not heard, and torchrun itself ends what does not end within 30 seconds.
    """

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self.alone:
            self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)
