"""Files that appear whole or not at all, and are read with care.

Whoever writes goes through this module: what the system refuses (a full disk, a folder that is gone, a disk that fails)
becomes a `Failure` that names the file, says what happened, and what to do.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from nmt.errors import Failure, UserError

LARGEST = 2**28
"""The most bytes of a file that is read as a whole; the weights, which are mapped, have no such limit."""

_TROUBLE = {
    errno.ENOSPC: "the disk is full: make room there",
    errno.EDQUOT: "the disk quota is used up: make room there",
    errno.EFBIG: "files may not grow so large there: raise the limit (ulimit -f), or use another disk",
    errno.EROFS: "the file system is read-only: mount it for writing (a disk with errors turns read-only)",
    errno.EACCES: "writing there is not permitted: change the permissions",
    errno.EPERM: "writing there is not permitted: change the permissions",
    errno.ENOENT: "its folder has vanished: put it back",
    errno.ENOTDIR: "its folder has vanished: put it back",
    errno.EIO: "the disk reports an error: check it",
    errno.ESTALE: "the network's file system is gone: mount it again",
    errno.EISDIR: "a folder has that name: move it away",
}
_MISTAKES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP}
_PARTIAL = re.compile(r"\..+\.[a-z0-9_]{8}\.partial")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever the system refuses inside becomes a `Failure` that names `path`."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{path} cannot be written: {trouble(error)}") from error


def trouble(error: OSError) -> str:
    """What the system refused, and what to do, in plain words."""
    said = _TROUBLE.get(error.errno or 0)
    return said or (error.strerror or str(error) or type(error).__name__).lower()


def make_folder(path: Path) -> None:
    """Makes a folder that a person named for results, with its parents, where it is missing.

    Raises:
        ValueError: there is no such place, or none where this person may write.
        Failure: the disk is full or fails.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno in _MISTAKES:
            reason = (error.strerror or "").lower()
            raise UserError(f"{path} cannot be written to ({reason}): name another folder") from None
        raise Failure(f"{path} cannot be made: {trouble(error)}") from error


class _Beside(io.FileIO):
    """A file whose writes raise `Failure`, in the name of the file whose place it will take."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor, "wb")
        self._path = path

    def write(self, data: Any) -> int:
        with writing(self._path):
            return super().write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes `path`'s place when the block ends well, whole or not at all.

    The bytes are written beside the place, as .NAME.XXXXXXXX.partial, flushed to the disk and renamed into it; on an
    error the old file stays. The folder must be there: one that vanished in the middle of a run is not made again,
    for it would be a run folder with most of its files missing. A pipe or a device, such as /dev/stdout or /dev/null,
    has no place to take, and is written to as it stands.

    Raises:
        Failure: the system refuses to write.
    """
    if is_stream(path):
        with writing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        with io.BufferedWriter(_Beside(descriptor, path)) as stream:
            yield stream
        return
    with writing(path):
        # A part of the name: with the rest of it a long name would be too long.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".partial", dir=path.parent)
    beside = Path(name)
    file = io.BufferedWriter(_Beside(descriptor, path))
    try:
        yield file
        with writing(path):
            file.flush()
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(descriptor, 0o666 & ~umask)  # mkstemp's files are private; a run folder is handed on
            os.fsync(descriptor)
            file.close()
            beside.replace(path)
            _flush_folder(path.parent)
    except BaseException:
        with suppress(OSError, Failure):
            file.close()
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe's or a device's: renaming a file over it would destroy it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    # The devices' folder holds links to regular files too, when standard output goes to one.
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or path.absolute().parent == Path("/dev")


def _flush_folder(path: Path) -> None:
    """Makes a renaming last through a power failure, where the file system can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove_partials(folder: Path) -> None:
    """Removes what `replacing` left in a folder when its process was killed; nobody else may be writing there."""
    with writing(folder):
        for path in folder.iterdir():
            if is_partial(path.name):
                path.unlink()


def is_partial(name: str) -> bool:
    """Whether a file is one that `replacing` had not yet moved into its place."""
    return _PARTIAL.fullmatch(name) is not None


def append(path: Path, text: str) -> None:
    """Adds text at a file's end: all of it, or nothing where the disk is full.

    It is one write, so that another process reads it whole or not yet; a process killed in the middle may leave a part.

    Raises:
        Failure: the system refuses to write.
    """
    data = text.encode("utf-8", errors="replace")
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            before = os.fstat(descriptor).st_size
            try:
                while data:  # a nearly full disk takes a part, and refuses the rest
                    data = data[os.write(descriptor, data) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)


def flush(path: Path) -> None:
    """Returns when what was appended to a file is on the disk.

    Raises:
        Failure: the system refuses to write.
    """
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8, whole or not at all. Raises what `replacing` raises."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all. Raises what `replacing` raises."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_bytes(path: Path) -> bytes:
    """The content of a file of a run folder, which may come from anybody.

    Raises:
        ValueError: it is missing, no regular file (a pipe or a device may never end), too large, or cannot be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is damaged: it is no file")
        if found.st_size > LARGEST:
            raise UserError(f"{path} is damaged: no file of its kind has {found.st_size:,} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: is {path.parent} a whole run folder?") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None


def read_text(path: Path) -> str:
    """The text of a file, with its line ends as they are. Raises ValueError as `read_bytes`, or if it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def read_json(path: Path) -> Any:
    """The JSON value in `path`.

    Raises:
        ValueError: the file cannot be read, or is not JSON in UTF-8.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def parse_json(text: str) -> Any:
    """The JSON value of a text. Raises ValueError where there is none, or it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError("it is nested too deeply") from None
