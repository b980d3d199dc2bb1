"""The lock of a run folder: at most one process trains in it."""

from __future__ import annotations

import fcntl
import os
import weakref
from functools import partial
from pathlib import Path
from typing import BinaryIO

from nmt.errors import Failure, UserError
from nmt.files import describe_os_error, writing

LOCK_NAME = ".lock"


def is_locked(folder: Path) -> bool:
    """Whether a process is training in the folder."""
    path = folder / LOCK_NAME
    if not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # the file system has no locks; training will say so
            return False
    return False


def lock(folder: Path) -> BinaryIO:
    """Locks the folder as long as the returned file is open. The system closes it with this process, even if killed.

    Raises:
        UserError: another process has locked it.
        Failure: the system refuses to write or to lock.
    """
    path = folder / LOCK_NAME
    with writing(path):
        file = path.open("wb")
    # A forked child inherits the lock, and would keep it if it outlived this process. So children close the file.
    os.register_at_fork(after_in_child=partial(_close, weakref.ref(file)))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"run={folder} is in use: another process is training in it") from None
    except OSError as error:
        raise Failure(f"{folder} cannot be locked: {describe_os_error(error)}") from None
    return file


def _close(file: weakref.ref[BinaryIO]) -> None:
    if (open_file := file()) is not None:
        open_file.close()
