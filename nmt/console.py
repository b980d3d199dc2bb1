"""Rich consoles that treat a stream that cannot be written like the rest of the program."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from nmt.streams import discard_output


class ResultConsole(Console):
    """Prints tables to standard output.

    Raises:
        BrokenPipeError: the reader has closed the pipe, as `head` does. Rich's own class would end the program with
            exit code 1.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, **options)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class MessageConsole(Console):
    """Prints progress and messages to standard error. If it cannot be written any more, the work continues without."""

    def __init__(self, **options: Any) -> None:
        super().__init__(stderr=True, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output(sys.stderr)

    def __exit__(self, *error: Any) -> None:
        """Rich writes what it has collected at the end of a `with` block; every `print` is one."""
        try:
            super().__exit__(*error)
        except OSError:  # such as a full disk
            self.on_broken_pipe()
