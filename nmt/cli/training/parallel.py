"""Trains several systems at the same time, each by a `nmt train` command in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from nmt.cli.shell.errors import EXIT_INTERRUPTED
from nmt.console import MessageConsole
from nmt.errors import UserError
from nmt.run.history import HistoryRecord, read_history
from nmt.training.interrupt import Interrupt
from nmt.training.progress import duration

POLL_SECONDS = 0.2
"""Seconds between two looks at the running processes."""

MAX_ERROR_LINES = 15
"""Maximum number of lines of a failed command's output that are shown: its last ones."""


@dataclass
class TrainingCommand:
    """A `nmt train` command, which this object starts and follows by the history that it writes.

    Attributes:
        name: of the system, for people.
        arguments: the words after `nmt`.
        run: the run folder that the command writes.
    """

    name: str
    arguments: Sequence[str]
    run: Path
    num_shown: int = 0  # validations that have been printed
    _process: subprocess.Popen[bytes] | None = None
    _output: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    def start(self) -> None:
        """Starts the command. It ignores Ctrl-C on the terminal, which only this process receives; see `interrupt`."""
        self.num_shown = len(self.records("validation"))  # those of an earlier, interrupted training
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nmt", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code; None if the command has not been started or has not ended."""
        return None if self._process is None else self._process.poll()

    def interrupt(self) -> None:
        """Ends the command after its current update, with a checkpoint."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends the command at once."""
        if self._process is not None and self.is_running:
            self._process.kill()
            self._process.wait()

    def output(self) -> list[str]:
        """The lines that the command has printed so far."""
        self._output.seek(0)
        return self._output.read().decode("utf-8", errors="replace").splitlines()

    def records(self, kind: str) -> list[HistoryRecord]:
        """The records of this kind in the history of the run; an empty list before there is one."""
        with suppress(UserError):  # there is no history yet, or it is just being rewritten
            history = read_history(self.run / "history.jsonl")
            return {"train": history.train, "validation": history.validation}[kind]
        return []


class ParallelTraining:
    """Runs commands, several at the same time, in the given order. Shows a bar and the validations of each system.

    Args:
        commands: to run.
        num_steps: the number of updates of each.
        num_parallel: how many may run at the same time.
        announce: called with the arguments of each command before it starts.
    """

    def __init__(
        self,
        commands: Sequence[TrainingCommand],
        *,
        num_steps: Sequence[int],
        num_parallel: int,
        announce: Callable[[Sequence[str]], None],
    ) -> None:
        self.commands = commands
        self.num_parallel = num_parallel
        self.announce = announce
        console = MessageConsole()
        self._width = max(len(command.name) for command in commands)
        self._bars = Progress(
            TextColumn(f"{{task.description:<{self._width}}}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[facts]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: list[TaskID] = [
            self._bars.add_task(command.name, total=steps, facts="waits")
            for command, steps in zip(commands, num_steps, strict=True)
        ]

    def __enter__(self) -> ParallelTraining:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for command in self.commands:
            command.kill()
        self._bars.stop()

    def run(self) -> int:
        """Runs all commands. If one fails, or on Ctrl-C, the others end with a checkpoint.

        Returns:
            0, or the exit code of the first command that failed.

        Raises:
            KeyboardInterrupt: the user interrupted.
        """
        waiting = list(self.commands)
        running: list[TrainingCommand] = []
        code, is_stopping = 0, False
        with Interrupt(single_process=True) as interrupt:
            while running or (waiting and not is_stopping):
                while waiting and not is_stopping and len(running) < self.num_parallel:
                    running.append(waiting.pop(0))
                    self.announce(running[-1].arguments)
                    running[-1].start()
                time.sleep(POLL_SECONDS)
                for command in list(running):
                    has_ended = not command.is_running  # first, so that what it wrote last is shown below
                    self._show(command)
                    if has_ended:
                        running.remove(command)
                        if command.exit_code not in (0, EXIT_INTERRUPTED) or not (is_stopping or interrupt.requested):
                            code = code or self._report_end(command)
                if not is_stopping and (interrupt.requested or code != 0):
                    is_stopping = True
                    for command in running:
                        command.interrupt()
        if interrupt.requested:
            raise KeyboardInterrupt
        return code

    def _show(self, command: TrainingCommand) -> None:
        """Moves the bar of a system, and prints the validations that are new."""
        validations = command.records("validation")
        for record in validations[command.num_shown :]:
            self._print(
                command,
                f"step {record.step}, {duration(record.seconds)}: validation loss {record.loss:.3f}, "
                f"BLEU {record.bleu:.1f}",
            )
        command.num_shown = max(command.num_shown, len(validations))
        task, facts = self._tasks[self.commands.index(command)], "starts"
        if steps := command.records("train"):
            last = steps[-1]
            total = self._bars.tasks[task].total or last.step
            seconds_left = last.seconds / last.step * max(0, total - last.step)
            facts = f"loss {last.loss:.2f}, {duration(seconds_left)} left"
            self._bars.update(task, completed=last.step)
        self._bars.update(task, facts=facts)

    def _report_end(self, command: TrainingCommand) -> int:
        """Prints the last line of a command's output, or more of it if it failed. Returns its exit code."""
        lines, code = command.output(), command.exit_code or 0
        for line in lines[-MAX_ERROR_LINES:] if code else lines[-1:]:
            self._print(command, line)
        self._bars.update(self._tasks[self.commands.index(command)], facts="failed" if code else "has ended")
        return code

    def _print(self, command: TrainingCommand, line: str) -> None:
        self._bars.console.print(f"{command.name:<{self._width}}  {line}", markup=False, soft_wrap=True)
