"""What a person is told when something goes wrong: one line on standard error, and the exit code that goes with it.

Of what the system refuses, it is the user's mistake (2) where something that the user named cannot be read (input=,
data.path=, a run), or cannot be the place of results (run=, out=, output=): a look at the command line mends it. What
fails later in writing is the machine's trouble (1), a `Failure`: the disk is full, the folder has gone.
"""

from __future__ import annotations

import errno
import os
import re
import select
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import SequenceMatcher
from typing import TextIO, TypeGuard

from nmt.errors import Failure, UserError
from nmt.files import trouble

USER_ERRORS = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
"""What the library raises for a mistake of its user; anything else is a defect, or the machine's trouble."""

TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}
"""What the system says of a disk that is full or fails, wherever it is met: on standard output, in a cache."""

NO_NAMES = {errno.ENAMETOOLONG, errno.ELOOP}
"""What the system says of names that cannot be any file's; Python has no class for these."""


def say(program: str, text: str) -> None:
    """One line to the person at the terminal. Standard output is for results.

    Where standard error cannot be written any more, the work goes on unheard.
    """
    try:
        print(f"{program}: {text}", file=sys.stderr, flush=True)
    except OSError:
        _let_go(sys.stderr)


def attempt(program: str, action: Callable[[], int]) -> int:
    """Does `action` and answers for its errors.

    A user's mistake becomes one line (HYDRA_FULL_ERROR=1 in the environment shows where it came from as well), and so
    does a `Failure`; a defect becomes a traceback.

    Returns:
        The action's exit code, or 2 for a user's mistake, 130 when interrupted, 1 for anything else. A reader of
        standard output that has left, as `head` does, is no error: 0.
    """
    threading.excepthook = _in_a_thread
    try:
        code = action()
        if sys.stdout is not None:  # None: the caller closed it
            sys.stdout.flush()  # here, not at the interpreter's end: a broken pipe must meet the handler below
        return code
    except KeyboardInterrupt:
        say(program, "interrupted")
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            _let_go(sys.stdout)
            return 0
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError:  # such as a full disk's; the interpreter would try again at its end, and have the last word
            _let_go(sys.stdout)
        if isinstance(error, Failure):
            say(program, one_line(str(error)))
            return 1
        if _is_trouble(error):
            _let_go(sys.stdout)
            say(program, one_line(f"{_place(error)}: {trouble(error)}"))
            return 1
        text = line(error)
        if text is None or os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exception(error)
        if text is None:
            return 1
        say(program, text)
        return 2


def line(error: BaseException) -> str | None:
    """The one line that tells a user's mistake, or None when `error` is not one."""
    if isinstance(error, UserError):
        return one_line(str(error))
    from hydra.errors import InstantiationException  # a defect before hydra is there can wait for it

    if isinstance(error, InstantiationException):
        return _instantiation(error)
    if not isinstance(error, USER_ERRORS) and getattr(error, "errno", None) not in NO_NAMES:
        return None
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return one_line(f"{error.filename}: {error.strerror.lower()}")
    return one_line(str(error) or type(error).__name__)


def one_line(text: str) -> str:
    """The text without line ends, and with whatever could steer a terminal written out: it may quote a stranger."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)


def nearest(word: str, candidates: Iterable[str]) -> list[str]:
    """The candidates that `word` may have meant: all whose last part is the same, or else the most similar one.

    The parts of a name are separated by dots, so that `max_steps` finds `trainer.max_steps`. At most three, maybe none.
    """

    def last(name: str) -> str:
        return name.rpartition(".")[2]

    candidates = list(dict.fromkeys(candidates))
    same = [candidate for candidate in candidates if last(candidate) == last(word)]
    if same:
        return same[:3]

    def likeness(candidate: str) -> tuple[float, float]:
        pairs = ((last(word), last(candidate)), (word, candidate))
        part, whole = (SequenceMatcher(None, mine.lower(), theirs.lower()).ratio() for mine, theirs in pairs)
        return part, whole

    best = max(candidates, key=likeness, default="")
    return [best] if likeness(best)[0] > 0.6 else []


def _instantiation(error: BaseException) -> str | None:
    """The line of the error that a class, made from the configuration, raised about its arguments."""
    message = str(error)
    found = re.search(r"^full_key: (.+)$", message, re.MULTILINE)
    key = f"{found[1]}: " if found else ""
    target = re.match(r"Error locating target '(.+?)'", message)
    if target:
        return f"{key}there is no {target[1]}"
    cause = error.__cause__
    if cause is None:
        return one_line(f"{key}{message.splitlines()[0]}")
    if isinstance(cause, TypeError):
        # No frame below the call itself: the arguments did not fit the constructor, which therefore never began.
        fits = cause.__traceback__ is not None and cause.__traceback__.tb_next is not None
        return None if fits else one_line(f"{key}{cause}")
    text = line(cause)
    return None if text is None else f"{key}{text}"


def _is_trouble(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno in TROUBLE


def _place(error: OSError) -> str:
    """What could not be written or read: a file, or the stream that has no name."""
    return str(error.filename) if error.filename is not None else "the output cannot be written"


def _let_go(stream: TextIO | None) -> None:
    """Sends what a stream still holds, and all that is yet to come, to nowhere."""
    if stream is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _in_a_thread(arguments: threading.ExceptHookArgs) -> None:
    """TensorBoard writes in a thread, whose trouble is met again, and told, where the next record is handed over."""
    if arguments.exc_value is None or not _is_trouble(arguments.exc_value):
        threading.__excepthook__(arguments)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has gone."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError):  # None where the caller closed it
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are reported unasked
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
