"""Interactive translation: lines are typed, edited and recalled on a terminal.

Python's `input` edits lines with the module `readline`, if Python was built with it. Three things need care:

- readline draws on standard output. If that is a pipe or a file, the terminal takes its place during the session.
- A terminal that is left to itself keeps at most 4,095 bytes of a line and drops the rest. readline turns this mode off
  while it reads; here it stays off, since lines may be pasted while the one before is being translated.
- readline edits characters of the locale's encoding, but the input of this command is always UTF-8.
"""

from __future__ import annotations

import codecs
import io
import locale
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import BinaryIO

PROMPT = "> "

LOCAL_MODES = 3
"""Index of the flags in the list of `termios.tcgetattr` that hold ICANON."""


def converse(answer: Callable[[bytes], None]) -> None:
    """Reads lines from the terminal until Ctrl-D, and calls `answer` with the bytes of each, without its end.

    Ctrl-C cancels the line that is being typed, or interrupts `answer`; then the next line is read. Previous lines can
    be recalled and edited. They are forgotten at the end, since they may be confidential.
    """
    use_utf8()
    try:
        import readline  # only now: it reads the locale
    except ImportError:
        readline = None  # type: ignore[assignment]
    else:
        readline.set_auto_history(False)
    with keep_long_lines(has_editor=readline is not None):
        while True:
            try:
                # A paste may contain line ends, which readline keeps inside the text.
                for line in input(PROMPT).split("\n"):
                    if readline is not None and line.strip():
                        with suppress(UnicodeEncodeError):  # the locale cannot represent it
                            readline.add_history(line)
                    answer(line.encode("utf-8", "surrogateescape"))
            except KeyboardInterrupt:
                print("^C", flush=True)
            except EOFError:
                print(flush=True)  # so that the shell's prompt begins on a new line
                return


@contextmanager
def terminal_as_standard_output() -> Iterator[BinaryIO]:
    """Lets `input` and `print` write to the terminal inside the block; yields the real standard output, for results."""
    if sys.stdout is None:  # the caller has closed it
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stdout.flush()
    results = os.fdopen(os.dup(1), "wb")
    if not os.isatty(1):
        terminal = os.open(os.ttyname(0), os.O_WRONLY | os.O_NOCTTY)
        os.dup2(terminal, 1)
        os.close(terminal)
    try:
        yield results
    finally:
        sys.stdout.flush()
        os.dup2(results.fileno(), 1)
        with suppress(OSError):  # what could not be written has been reported
            results.close()


def use_utf8() -> None:
    """Makes `input` and readline take the bytes of the terminal for UTF-8; other bytes become surrogates."""
    assert isinstance(sys.stdin, io.TextIOWrapper)
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    with suppress(locale.Error):  # the system does not know the locale
        locale.setlocale(locale.LC_CTYPE, "")
        if codecs.lookup(locale.nl_langinfo(locale.CODESET)).name != "utf-8":
            os.environ["LC_ALL"] = "C.UTF-8"  # readline reads it from the environment
            locale.setlocale(locale.LC_CTYPE, "")


@contextmanager
def keep_long_lines(*, has_editor: bool) -> Iterator[None]:
    """Turns off the terminal's own editing of lines inside the block, and restores it whenever the shell takes over.

    Args:
        has_editor: readline edits lines. Otherwise the terminal's own editing is needed, with its limit of a line.
    """
    original = termios.tcgetattr(0)
    mode = termios.tcgetattr(0)
    if has_editor:
        mode[LOCAL_MODES] &= ~termios.ICANON

    def suspend(number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: returns the terminal to the shell, stops, and takes the terminal again after `fg`."""
        current = termios.tcgetattr(0)
        termios.tcsetattr(0, termios.TCSADRAIN, original)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # returns after `fg`
        signal.signal(signal.SIGTSTP, suspend)
        termios.tcsetattr(0, termios.TCSADRAIN, current)
        if current != mode:  # readline was reading: show its line again
            import readline

            print(PROMPT + readline.get_line_buffer(), end="", flush=True)

    previous = signal.getsignal(signal.SIGTSTP)
    if previous is signal.SIG_DFL:  # otherwise there is no shell that could continue the program
        signal.signal(signal.SIGTSTP, suspend)
    termios.tcsetattr(0, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, original)
        signal.signal(signal.SIGTSTP, previous)
