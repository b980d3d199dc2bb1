"""What a person sees of a run while it goes on: on a terminal a bar with loss, speed and time left, else lines."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from nmt.files import append


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def waiting(line: str) -> AbstractContextManager[object]:
    """Shows a line on the terminal, if there is one, for as long as the block takes."""
    return Console(stderr=True, highlight=False).status(line)


class ProgressBar:
    """Writes to standard error; everything said is also kept in a log file.

    Args:
        title: stands before the bar.
        log: the file that lines are appended to; None = nothing is shown or kept, as in a process that does not speak.
    """

    def __init__(self, title: str, *, log: Path | None) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=log is None)
        self.log = log
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f}% {task.fields[facts]}"),
            console=self.console,
            transient=True,
            disable=log is None or not self.console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task(title, total=1.0, facts="")
        self._began = time.monotonic()

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, *, share: float, loss: float, tokens_per_second: float, seconds_left: float) -> None:
        """Moves the bar to `share` of the run; the loss is in nats per target token."""
        facts = f"loss {loss:.2f}  {tokens_per_second:,.0f} tok/s  {duration(seconds_left)} left"
        self._bar.update(self._task, completed=share, facts=facts)

    def say(self, line: str) -> None:
        """Shows a line, above the bar if there is one, and logs it with the time of day."""
        self.console.print(line, markup=False, soft_wrap=True)
        if self.log is not None:
            append(self.log, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")
