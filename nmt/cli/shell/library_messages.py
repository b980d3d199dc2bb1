"""Warnings of libraries as messages of this program: one line each, and each only once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from nmt.cli.shell.errors import one_line, print_message


class _MessageHandler(logging.Handler):
    """Prints the warnings and errors that a library logs, each text once."""

    def __init__(self, program: str) -> None:
        super().__init__(logging.WARNING)
        self.program = program
        self.printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.print(record.name.partition(".")[0], record.getMessage())

    def print(self, library: str, text: str) -> None:
        line = f"{library}: {one_line(text)}"
        if line not in self.printed:
            self.printed.add(line)
            print_message(self.program, line)


@contextmanager
def library_messages(program: str) -> Iterator[None]:
    """Prints what libraries log, and Python's warnings, by `print_message` inside the block.

    Otherwise a warning shows two lines with a path and a line of code, and a logged one does not say where it is from.
    """
    handler = _MessageHandler(program)

    def show_warning(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        handler.print(category.__name__, str(message))

    root = logging.getLogger()
    has_handlers = bool(root.handlers)  # such as those of pytest, which show the messages themselves
    previous: Any = warnings.showwarning
    if not has_handlers:
        root.addHandler(handler)
    warnings.showwarning = show_warning
    try:
        yield
    finally:
        warnings.showwarning = previous
        root.removeHandler(handler)
