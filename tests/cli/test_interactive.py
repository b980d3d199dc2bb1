"""`nmt translate` on a terminal: real processes on a pseudo-terminal, which are sent keys and wait for the prompt."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("readline")

CTRL_C, CTRL_D, CTRL_Z = b"\x03", b"\x04", b"\x1a"
BACKSPACE, UP, LEFT = b"\x7f", b"\x1b[A", b"\x1b[D"

TIMEOUT = 60.0
"""Seconds to wait for output; a test that fails takes this long, any other a fraction."""


SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP)
"""The signals of a terminal. A program that runs the tests in the background may ignore some of them."""

ENVIRONMENT = {"TERM": "xterm", "LC_ALL": "C.UTF-8", "INPUTRC": os.devnull, "PROMPT_COMMAND": ""}
"""What readline and bash depend on, whatever the user has set."""


def prepare_process() -> None:
    """Makes the terminal the one that controls the process, and lets its signals reach the process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """A pseudo-terminal with a process that it controls."""

    def __init__(self, command: list[str], *, env: dict[str, str], piped: bool) -> None:
        self.master, self.slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            stdin=self.slave,
            stdout=subprocess.PIPE if piped else self.slave,
            stderr=self.slave,
            env={**os.environ, **ENVIRONMENT, **env},
            start_new_session=True,
            preexec_fn=prepare_process,
        )
        self.shown = b""

    def type(self, keys: bytes) -> None:
        """Types keys, and reads meanwhile what the terminal shows, so that neither side waits for the other."""
        while keys:
            readable, writable, _ = select.select([self.master], [self.master], [], TIMEOUT)
            if readable:
                self.shown += os.read(self.master, 65536)
            if writable:
                keys = keys[os.write(self.master, keys[:256]) :]

    def wait_for(self, text: bytes) -> str:
        """Reads what the terminal shows up to `text`, and returns it."""
        deadline = time.monotonic() + TIMEOUT
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown!r}"
            if not select.select([self.master], [], [], 0.1)[0]:
                assert self.process.poll() is None, f"ended with {self.shown!r}"
            else:
                self.shown += os.read(self.master, 65536)
        result, _, self.shown = self.shown.partition(text)
        return result.decode("utf-8", "replace")

    def answer_to(self, keys: bytes) -> str:
        """Types keys, and returns the lines between theirs and the next prompt."""
        self.type(keys)
        lines = self.wait_for(b"\n> ").split("\n")[1:]
        return "\n".join(line.strip("\r") for line in lines)

    def press(self, key: bytes, expected: bytes) -> str:
        """Presses a key until the terminal shows that its signal arrived, and returns what it shows up to there.

        Python and readline miss a signal that arrives just before they wait for a key, until the next key.
        """
        deadline = time.monotonic() + TIMEOUT
        while expected not in self.shown:
            assert time.monotonic() < deadline, f"no {expected!r} in {self.shown!r}"
            self.type(key)
            if select.select([self.master], [], [], 3.0)[0]:
                self.shown += os.read(self.master, 65536)
        return self.wait_for(expected)

    def is_canonical(self) -> bool:
        """Whether the terminal itself edits lines, as a shell left it."""
        return bool(termios.tcgetattr(self.slave)[3] & termios.ICANON)


Start = Callable[..., Terminal]


@pytest.fixture
def start(trained_run: Path) -> Iterator[Start]:
    """Starts `nmt translate`, or another command line of bash, on a terminal."""
    terminals: list[Terminal] = []

    def start(*arguments: str, shell: bool = False, piped: bool = False, **env: str) -> Terminal:
        command = [sys.executable, "-m", "nmt", "translate", f"run={trained_run}", "device=cpu", *arguments]
        if shell:
            command = ["bash", "--norc", "-i"]
        terminals.append(Terminal(command, env=env, piped=piped))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.process.kill()
        terminal.process.wait()
        if terminal.process.stdout is not None:
            terminal.process.stdout.close()
        os.close(terminal.master)
        os.close(terminal.slave)


SHORT = ["search=greedy", "search.max_length_factor=0.0", "search.max_length_margin=3"]


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_lines_are_edited_recalled_and_cancelled(start: Start, locale: str) -> None:
    terminal = start(*SHORT, LC_ALL=locale)
    terminal.wait_for(b"> ")
    assert terminal.answer_to(b"one twox" + BACKSPACE + b"\n") == "eins zwei"
    assert terminal.answer_to(UP + 4 * LEFT + BACKSPACE * 3 + b"two\n") == "zwei zwei"  # "one two" with another start
    assert terminal.answer_to("nineü你".encode() + 2 * BACKSPACE + b"\n") == "neun"  # whole characters are deleted
    assert terminal.answer_to(b"\n") == ""
    assert "line 5: byte 5 is not UTF-8 and was replaced" in terminal.answer_to(b"two \xff\n")
    terminal.type(b"three")
    terminal.wait_for(b"three")
    terminal.press(CTRL_C, b"^C")
    terminal.wait_for(b"\n> ")
    assert terminal.answer_to(b"one\n") == "eins"
    terminal.type(CTRL_D)
    assert terminal.process.wait(TIMEOUT) == 0
    assert terminal.is_canonical()


def test_long_and_several_pasted_lines_are_complete(start: Start) -> None:
    """A terminal that is left to itself drops everything behind the 4,095th byte of a line."""
    terminal = start(*SHORT, "format=jsonl")
    terminal.wait_for(b"> ")
    pasted = b"one " * 1500 + b"\n" + b"two " * 1600 + b"\nthree\n"
    counts = r"line 1: 1500 pieces.*line 2: 1600 pieces"
    terminal.type(pasted)
    assert re.search(counts, terminal.wait_for(b'"drei'), re.DOTALL)
    terminal.wait_for(b"\n> ")
    terminal.type(b"\x1b[200~" + pasted.replace(b"\n", b"\r") + b"\x1b[201~\n")  # as a terminal marks a paste
    assert re.search(counts.replace("1:", "4:").replace("2:", "5:"), terminal.wait_for(b'"drei'), re.DOTALL)


def test_ctrl_c_interrupts_a_translation_but_not_the_program(start: Start) -> None:
    terminal = start()
    terminal.wait_for(b"> ")
    terminal.type(b"one " * 1200 + b"\n")  # beam search takes a second for it
    terminal.wait_for(b"the rest is cut off")
    terminal.press(CTRL_C, b"^C")
    terminal.wait_for(b"\n> ")
    assert terminal.answer_to(b"one\n") == "eins"


def test_results_go_to_a_pipe_and_the_prompt_to_the_terminal(start: Start) -> None:
    terminal = start(*SHORT, piped=True)
    assert terminal.process.stdout is not None
    terminal.wait_for(b"> ")
    terminal.type(b"one\n")
    assert terminal.process.stdout.readline() == b"eins\n"
    terminal.wait_for(b"> ")
    terminal.type(UP + b"\n\n")
    terminal.wait_for(b"> ")
    terminal.wait_for(b"> ")
    terminal.type(CTRL_D)
    assert terminal.process.stdout.read() == b"eins\n\n"
    assert terminal.process.wait(TIMEOUT) == 0


def test_ctrl_z_returns_the_terminal_to_the_shell_and_fg_continues(start: Start, trained_run: Path) -> None:
    terminal = start(shell=True, PS1="shell$ ")
    terminal.wait_for(b"shell$ ")
    command = f"{sys.executable} -m nmt translate run={trained_run} device=cpu {' '.join(SHORT)}"
    terminal.type(command.encode() + b"\n")
    terminal.wait_for(b"> ")
    terminal.type(b"one tw")
    terminal.wait_for(b"tw")
    terminal.press(CTRL_Z, b"Stopped")
    terminal.wait_for(b"shell$ ")
    terminal.type(b"fg\n")
    terminal.wait_for(b"> one tw")
    assert terminal.answer_to(b"o\n") == "eins zwei"
    terminal.type(CTRL_D)
    terminal.wait_for(b"shell$ ")
    terminal.type(b"exit\n")
    assert terminal.process.wait(TIMEOUT) == 0
    assert terminal.is_canonical()
