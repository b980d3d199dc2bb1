"""Reads files that are not trusted, and writes files atomically, so that a reader never sees half of one.

Every function that writes turns an error of the system (a full disk, a folder that was deleted, a failing disk) into a
`Failure` that names the file, says what happened and what to do. Every function that reads turns what is wrong with a
file into a `UserError`, because run folders and corpora may come from anyone.
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
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from nmt.errors import Failure, UserError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Record = TypeVar("Record")

MAX_FILE_BYTES = 2**28
"""Maximum size of a file that is read into memory at once. Weights have no such limit: they are memory-mapped."""

MACHINE_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}
MACHINE_ERRNOS |= {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Error numbers that mean that the machine is in trouble, whatever the user asked for."""

_WRITE_ERROR_TEXTS = {
    errno.ENOSPC: "the disk is full: make room there",
    errno.EDQUOT: "the disk quota is used up: make room there",
    errno.EFBIG: "the file would exceed the size limit: raise the limit (ulimit -f), or use another disk",
    errno.EROFS: "the file system is read-only: mount it for writing (a disk with errors turns read-only)",
    errno.EACCES: "writing there is not permitted: change the permissions",
    errno.EPERM: "writing there is not permitted: change the permissions",
    errno.ENOENT: "its folder has vanished: put it back",
    errno.ENOTDIR: "its folder has vanished: put it back",
    errno.EIO: "the disk reports an error: check it",
    errno.ESTALE: "the network file system is gone: mount it again",
    errno.EISDIR: "a folder has that name: move it away",
}
_WRONG_FOLDER_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_WRONG_FOLDER_ERRNOS |= {errno.ENAMETOOLONG, errno.ELOOP}
_PARTIAL_NAME = re.compile(r"\..+\.[a-z0-9_]{8}\.partial")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns any error of the system inside the block into a `Failure` that names `path`."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{path} cannot be written: {describe_os_error(error)}") from error


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns any error of the system inside the block into one that names `path`, which the user chose.

    Raises:
        UserError: the path does not exist, is of the wrong kind, or may not be read.
        Failure: the disk fails, or the machine is out of memory or file handles.
    """
    if "\0" in str(path):
        raise UserError(f"{path} cannot be read: a path cannot contain a NUL character")
    try:
        yield
    except OSError as error:
        if error.errno in MACHINE_ERRNOS:
            raise Failure(f"{path} cannot be read: {describe_os_error(error)}") from error
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def describe_os_error(error: OSError) -> str:
    """Says in plain words what the system refused, and what to do."""
    text = _WRITE_ERROR_TEXTS.get(error.errno or 0)
    return text or (error.strerror or str(error) or type(error).__name__).lower()


def make_folder(path: Path) -> None:
    """Creates the folder that the user named for results, with its parents, if it does not exist.

    Raises:
        UserError: the path is not a folder, or the user may not write there.
        Failure: the disk is full or fails.
    """
    if "\0" in str(path):
        raise UserError(f"{path} cannot be written to (it contains a NUL character): name another folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if error.errno in _WRONG_FOLDER_ERRNOS:
            reason = (error.strerror or "").lower()
            raise UserError(f"{path} cannot be written to ({reason}): name another folder") from None
        raise Failure(f"{path} cannot be created: {describe_os_error(error)}") from error


class _PartialFile(io.FileIO):
    """A temporary file whose write errors are `Failure`s that name the file it will replace."""

    def __init__(self, descriptor: int, final_path: Path) -> None:
        super().__init__(descriptor, "wb")
        self._final_path = final_path

    def write(self, data: ReadableBuffer) -> int:
        with writing(self._final_path):
            return super().write(data)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that replaces `path` when the block ends without an error, and never before.

    The bytes are written to .NAME.XXXXXXXX.partial in the same folder, flushed to the disk, and renamed to `path`. If
    an error occurs, the old file stays. The folder must exist: a run folder that was deleted during training is not
    created again, because most of its files would be missing. A pipe or a device, such as /dev/stdout or /dev/null,
    cannot be replaced, and is written to directly.

    Raises:
        Failure: the system refuses to write.
    """
    # A pipe or a device is written to directly.
    if is_stream(path):
        with writing(path):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        with io.BufferedWriter(_PartialFile(descriptor, path)) as stream:
            yield stream
        return
    # Any other file: write a temporary file in the same folder …
    with writing(path):
        # Only the start of the name: a long name with the additions would exceed the file system's limit.
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".partial", dir=path.parent)
    partial = Path(name)
    file = io.BufferedWriter(_PartialFile(descriptor, path))
    try:
        yield file
        # … and rename it when its bytes are on the disk.
        with writing(path):
            file.flush()
            umask = os.umask(0)  # the only way to read the mask is to set it
            os.umask(umask)
            os.fchmod(descriptor, 0o666 & ~umask)  # mkstemp makes private files, but run folders are shared
            os.fsync(descriptor)
            file.close()
            partial.replace(path)
            _sync_folder(path.parent)
    except BaseException:
        # An error: remove the temporary file, and keep the old one.
        with suppress(OSError, Failure):
            file.close()
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def is_stream(path: Path) -> bool:
    """Tells whether `path` is a pipe or a device, which a rename would destroy."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    # If standard output goes to a file, /dev/stdout is a link to a regular file, which must not be replaced either.
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or path.absolute().parent == Path("/dev")


def _sync_folder(path: Path) -> None:
    """Makes a rename survive a power failure, where the file system supports it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def remove_partials(folder: Path) -> None:
    """Removes the temporary files that a killed process left in a folder; no other process may be writing there."""
    with writing(folder):
        for path in folder.iterdir():
            if is_partial(path.name):
                path.unlink()


def is_partial(name: str) -> bool:
    """Tells whether a file name belongs to a temporary file of `atomic_write`."""
    return _PARTIAL_NAME.fullmatch(name) is not None


def append(path: Path, text: str) -> None:
    """Appends `text` to a file: all of it, or nothing if the disk is full.

    It is one write, so another process sees all of the text or none. A process killed during it may leave a part.

    Raises:
        Failure: the system refuses to write.
    """
    data = text.encode("utf-8", errors="replace")
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size_before = os.fstat(descriptor).st_size
            try:
                while data:  # a nearly full disk accepts a part and refuses the rest
                    data = data[os.write(descriptor, data) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size_before)
                raise
        finally:
            os.close(descriptor)


def flush(path: Path) -> None:
    """Waits until everything that was appended to a file is on the disk. Raises `Failure` if the system refuses."""
    with writing(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 by `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON by `atomic_write`."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file of a run folder.

    Raises:
        UserError: the file is missing, is not a regular file (a pipe or a device may never end), is too large, or
            cannot be read.
        Failure: the disk fails.
    """
    with reading(path):
        try:
            status = path.stat()
        except FileNotFoundError:
            raise UserError(f"{path} is missing: is {path.parent} a complete run folder?") from None
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is damaged: it is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise UserError(f"{path} is damaged: no file of its kind has {status.st_size:,} bytes")
        return path.read_bytes()


def read_text(path: Path) -> str:
    """Returns the text of a file, line ends unchanged. Raises UserError as `read_bytes`, or if it is not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: {error}") from None


def parse_json(text: str) -> Any:
    """Returns the JSON value of `text`. Raises UserError if it is not JSON, or is nested too deeply."""
    try:
        return json.loads(text)
    except ValueError as error:  # also an integer with thousands of digits
        raise UserError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise UserError("it is nested too deeply") from None


def read_record(path: Path, kind: type[Record]) -> Record:
    """Returns the JSON value in a file as a `kind`, a class that msgspec can check.

    Raises:
        UserError: the file cannot be read, is not JSON, or a field is missing or has the wrong type.
    """
    import msgspec  # only here: `nmt --help` does without it

    content = read_bytes(path)
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError:
        raise UserError(f"{path} is damaged: it is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
