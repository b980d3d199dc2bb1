"""Ctrl-C, SIGTERM, and the signals of schedulers end a run after the current update, with a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

WARNING_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""What a scheduler can send before the time of a job is over: `sbatch --signal=USR1@120`; submitit asks for SIGUSR2."""


class Interrupt:
    """Inside the `with` block, the first signal only sets `requested`; the second acts as usual.

    The signals are SIGINT, SIGTERM and `WARNING_SIGNALS`.

    Args:
        single_process: False where torchrun started several processes. It forwards each signal, so one Ctrl-C arrives
            twice. The second signal is therefore ignored too, and torchrun kills what has not ended after 30 seconds.
    """

    def __init__(self, *, single_process: bool) -> None:
        self.single_process = single_process
        self.received: int | None = None  # the first signal
        self._previous_handlers: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has asked the run to end."""
        return self.received is not None

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM, *WARNING_SIGNALS):
            self._previous_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore_handlers()

    def pass_on(self) -> None:
        """Calls the handler that another program had for the warning that ended the run; call it after the block.

        submitit has one, which puts the job back into the queue and ends the process. SIGTERM is not passed on: after
        it, a scheduler that preempts the job queues it again by itself, and one whose user cancelled it must not.
        """
        if self.received in WARNING_SIGNALS and callable(handler := signal.getsignal(self.received)):
            handler(self.received, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number
        if self.single_process:
            self._restore_handlers()

    def _restore_handlers(self) -> None:
        while self._previous_handlers:
            number, handler = self._previous_handlers.popitem()
            signal.signal(number, handler)
