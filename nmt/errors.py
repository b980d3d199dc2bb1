"""The two errors that end a command with one line instead of a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake of the user: one line that names the key, path or line, and the remedy. Exit code 2.

    Any other ValueError is a defect of the program and shows its traceback.
    """


class Failure(RuntimeError):
    """Neither the user's fault nor a bug: the machine failed, or training diverged. Exit code 1.

    One line says what happened, what is still intact, and what may help.
    """
