"""Ctrl-C and SIGTERM end a run after the current update, with a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Inside the `with` block, the first SIGINT or SIGTERM only sets `requested`; the second acts as usual.

    Args:
        single_process: False where torchrun started several processes. It forwards each signal, so one Ctrl-C arrives
            twice. The second signal is therefore ignored too, and torchrun kills what has not ended after 30 seconds.
    """

    def __init__(self, *, single_process: bool) -> None:
        self.single_process = single_process
        self.requested = False
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore_handlers()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self.single_process:
            self._restore_handlers()

    def _restore_handlers(self) -> None:
        while self._previous_handlers:
            number, handler = self._previous_handlers.popitem()
            signal.signal(number, handler)
