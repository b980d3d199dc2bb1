"""The progress bar of a running command, and its lines for the terminal and the log."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from nmt.console import MessageConsole
from nmt.files import append


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 3 min 20 s, 1 h 05 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{total // 3600} h {total % 3600 // 60:02d} min"


def spinner(text: str) -> AbstractContextManager[object]:
    """On a terminal, shows the text with a spinner while the block runs."""
    console = MessageConsole()
    return console.status(text, spinner="dots" if console.encoding.startswith("utf") else "line")


class ProgressBar:
    """A progress bar and lines above it, on standard error. Without a terminal there are only the lines.

    Args:
        title: text before the bar.
        log: file to which the lines are appended; None = nothing is shown or logged, as in a process that is not the
            main one.
    """

    def __init__(self, title: str, *, log: Path | None) -> None:
        self.console = MessageConsole(quiet=log is None)
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

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, *, fraction: float, loss: float, tokens_per_second: float, seconds_left: float) -> None:
        """Moves the bar to `fraction` of the run, from 0 to 1; the loss is in nats per target token."""
        facts = f"loss {loss:.2f}  {tokens_per_second:,.0f} tok/s  {duration(seconds_left)} left"
        self._bar.update(self._task, completed=fraction, facts=facts)

    def print(self, line: str) -> None:
        """Prints a line above the bar, and logs it with date and time.

        Raises:
            Failure: the log cannot be written.
        """
        self.console.print(line, markup=False, soft_wrap=True)
        if self.log is not None:
            append(self.log, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")
