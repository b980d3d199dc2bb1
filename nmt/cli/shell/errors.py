"""How a command ends when something goes wrong: one line on standard error, or a traceback, and the exit code.

- `UserError`: the user can correct it on the command line or in a file that the command reads. One line, exit code 2.
- `Failure`, or an error of the system that means a full or failing disk: one line, exit code 1.
- Anything else is a defect of the program: the traceback, exit code 1.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from typing import TypeGuard

from nmt.errors import Failure, UserError
from nmt.files import MACHINE_ERRNOS, describe_os_error
from nmt.streams import discard_output

EXIT_FAILURE = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
"""As a shell reports a program that Ctrl-C has ended: 128 + SIGINT."""

MIN_SIMILARITY = 0.6
"""Minimum similarity, from 0 to 1, of a misspelt word and the one that is suggested instead."""

MAX_SUGGESTIONS = 3

MAX_SHOWN_CHARACTERS = 100
"""Maximum length of a quotation from the command line in an error message."""


def print_message(program: str, text: str) -> None:
    """Prints one line to standard error; standard output is reserved for results.

    If standard error cannot be written any more, the work continues without messages.
    """
    try:
        print(f"{program}: {one_line(text)}", file=sys.stderr, flush=True)
    except OSError:
        discard_output(sys.stderr)


def run_catching_errors(program: str, action: Callable[[], int]) -> int:
    """Runs `action`, prints the error that ends it, if any, and returns the exit code.

    With HYDRA_FULL_ERROR=1 in the environment, a user error shows its traceback too.

    Args:
        program: the words before the colon in every message, such as "nmt train".

    Returns:
        The action's exit code; or 2 for a user error, 130 if interrupted, 1 for anything else. If the reader of
        standard output has closed the pipe, as `head` does, that is no error: 0.
    """
    threading.excepthook = _report_thread_error
    try:
        code = action()
        if sys.stdout is not None:  # None: the caller closed it
            sys.stdout.flush()  # here, not when the interpreter exits: the handler below must see a broken pipe
        return code
    except KeyboardInterrupt:
        print_message(program, "interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            discard_output(sys.stdout)
            return 0
        # The results that were printed so far come before the message.
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:  # for example a full disk; the interpreter would try again at exit and print a second error
            discard_output(sys.stdout)
        if isinstance(error, Failure):
            print_message(program, one_line(str(error)))
            return EXIT_FAILURE
        if _is_machine_error(error):
            discard_output(sys.stdout)
            print_message(program, one_line(f"{_subject(error)}: {describe_os_error(error)}"))
            return EXIT_FAILURE
        is_user_error = isinstance(error, UserError)
        if not is_user_error or os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exception(error)
        if not is_user_error:
            return EXIT_FAILURE
        print_message(program, one_line(str(error)))
        return EXIT_USER_ERROR


def one_line(text: str) -> str:
    """Joins the lines of a text and escapes control characters: it may quote a file that somebody else provided."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def shorten(text: str) -> str:
    """The beginning of a text that a message quotes."""
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """Returns the candidates that `word` may have meant, at most three, perhaps none.

    These are all candidates with the same last part, or else the most similar one. The parts of a name are separated
    by dots, so `max_steps` finds `trainer.max_steps`.
    """

    def last_part(name: str) -> str:
        return name.rpartition(".")[2]

    candidates = list(dict.fromkeys(candidates))
    same = [candidate for candidate in candidates if last_part(candidate) == last_part(word)]
    if same:
        return same[:MAX_SUGGESTIONS]

    def similarity(candidate: str) -> tuple[float, float]:
        """Of the last parts, and of the full names."""
        pairs = ((last_part(word), last_part(candidate)), (word, candidate))
        last, full = (SequenceMatcher(None, first.lower(), second.lower()).ratio() for first, second in pairs)
        return last, full

    best = max(candidates, key=similarity, default="")
    return [best] if similarity(best)[0] > MIN_SIMILARITY else []


def _is_machine_error(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno in MACHINE_ERRNOS


def _subject(error: OSError) -> str:
    """What could not be written or read: a file, or a stream, which has no name."""
    return str(error.filename) if error.filename is not None else "the output cannot be written"


def _report_thread_error(arguments: threading.ExceptHookArgs) -> None:
    """Prints the traceback of a thread's error, unless the machine is in trouble.

    TensorBoard writes in a thread. If the disk is full, the main thread meets the same error with its next record, and
    reports it there.
    """
    if arguments.exc_value is None or not _is_machine_error(arguments.exc_value):
        threading.__excepthook__(arguments)


def _reader_has_gone() -> bool:
    """Tells whether standard output is a pipe whose reader has closed it."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError):  # AttributeError: it is None, because the caller closed it
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are reported without being requested
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
