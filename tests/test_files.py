"""Files are written completely or not at all, and errors of the system name the file and the remedy."""

import errno
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from nmt.errors import Failure, UserError
from nmt.files import (
    append,
    atomic_write,
    describe_os_error,
    flush,
    is_partial,
    is_stream,
    make_folder,
    parse_json,
    read_bytes,
    read_record,
    read_text,
    reading,
    remove_partials,
    write_json,
    write_text,
    writing,
)


def test_writing_leaves_no_other_file_behind(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "Straße\n")
    assert path.read_bytes() == "Straße\n".encode()
    assert [file.name for file in path.parent.iterdir()] == ["text"]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [None, "old"])
def test_an_error_during_writing_changes_nothing(
    tmp_path: Path, before: str | None, error: type[BaseException]
) -> None:
    path = tmp_path / "text"
    if before is not None:
        path.write_text(before)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["text"])
    assert before is None or path.read_text() == before


def test_a_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Failure, match="folder cannot be written: a folder has that name"):
        write_text(tmp_path / "folder", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "text", "")
        assert os.umask(mask) == mask  # and the process's own mask is as it was
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "text").stat().st_mode) == mode


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    value = {"ä": [1, 2.5, None, "\u2028"], "b": {}}
    write_json(tmp_path / "value.json", value)
    assert parse_json(read_text(tmp_path / "value.json")) == value
    assert "ä" in (tmp_path / "value.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", '{"a": 1', "[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 10_000 + "}"])
def test_text_that_is_not_json_is_a_user_error_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"it is not JSON|nested too deeply") as caught:
        parse_json(text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_its_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"value\.json is missing: is {tmp_path} a complete run folder"):
        read_text(tmp_path / "value.json")


def test_text_that_is_not_utf8_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a\xff")
    with pytest.raises(UserError, match="text is damaged: 'utf-8' codec can't decode byte 0xff"):
        read_text(tmp_path / "text")


# Errors of the system


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 1,000 bytes: what a full disk does, without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("num_bytes", [1001, 100_000, 5_000_000])
def test_bytes_that_do_not_fit_leave_the_old_file(tmp_path: Path, small_files: None, num_bytes: int) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(Failure, match="text cannot be written: the file would exceed the size limit") as caught:
        write_text(path, "x" * num_bytes)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["text"]
    assert path.read_text() == "old"


def test_a_full_disk_is_reported_before_the_last_byte(tmp_path: Path, small_files: None) -> None:
    with pytest.raises(Failure), atomic_write(tmp_path / "text") as file:
        for _ in range(10_000):
            file.write(b"a line of a translation\n")
        raise AssertionError("no error was raised")


@pytest.mark.parametrize("size", ["64k", "1m"])
def test_a_full_disk_leaves_every_file_as_it_was(tmp_path: Path, size: str) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk that can be filled")
    try:
        write_text(tmp_path / "text", "old")
        append(tmp_path / "log", "a line\n")
        with (tmp_path / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError):
            while True:
                ballast.write(bytes(1000))
        for write, name in ((write_text, "text"), (append, "log")):
            with pytest.raises(Failure, match="the disk is full: make room there"):
                write(tmp_path / name, "x" * 9000)
        assert (tmp_path / "text").read_text() == "old"
        assert (tmp_path / "log").read_text() == "a line\n"
        assert sorted(file.name for file in tmp_path.iterdir()) == ["ballast", "log", "text"]
        (tmp_path / "ballast").unlink()
        write_text(tmp_path / "text", "new")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "writing there is not permitted"),
        (errno.EIO, "the disk reports an error"),
        (errno.ENOENT, "its folder has vanished"),
        (errno.ENAMETOOLONG, "file name too long"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_every_error_of_the_system_is_described_in_plain_words(
    tmp_path: Path, code: int, text: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    (tmp_path / "text").write_text("old")
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(Failure, match=f"text cannot be written: {text}"):
        write_text(tmp_path / "text", "new")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_was_deleted_is_not_created_again(tmp_path: Path) -> None:
    for write in (write_text, append):
        with pytest.raises(Failure, match="b cannot be written: its folder has vanished: put it back"):
            write(tmp_path / "a" / "b", "text")
    with pytest.raises(Failure, match="vanished"):
        flush(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_read_error_inside_the_block_is_not_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "text"):
        (tmp_path / "missing").read_bytes()


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the name is on the disk before the call returns: first the file, then the rename, then the folder."""
    calls = []
    rename, fsync = Path.replace, os.fsync

    def record_replace(self: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(self, target)

    def record_fsync(descriptor: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", record_replace)
    monkeypatch.setattr(os, "fsync", record_fsync)
    write_text(tmp_path / "text", "x")
    assert calls == ["file", "rename", "folder"]


def test_a_file_name_of_the_maximum_length_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 255), "text")
    write_text(tmp_path / ("ß" * 127), "text")
    assert len(list(tmp_path.iterdir())) == 2


def test_temporary_files_of_a_killed_process_are_recognised_and_removed(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with atomic_write(tmp_path / "best.safetensors"):
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    (partial,) = tmp_path.iterdir()
    assert is_partial(partial.name) and partial.name.startswith(".best.safetensors.")
    others = ["notes.partial", ".partial", ".notes.ABCDEFGH.partial", ".notes.txt", "a.b.abcdefgh.partial"]
    for name in others:
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(others)


def test_a_device_or_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """The test writes to links in its own folder, so that no device is replaced if the protection fails."""
    (tmp_path / "null").symlink_to("/dev/null")
    write_text(tmp_path / "null", "nothing")
    assert (tmp_path / "null").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_standard_output_is_a_stream_even_if_it_goes_to_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    assert stat.S_ISREG(os.fstat(1).st_mode)  # pytest's own file, as in `nmt … output=/dev/stdout > file`
    assert is_stream(Path("/dev/stdout"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device_is_reported(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(Failure, match="full cannot be written: the disk is full"):
        write_text(tmp_path / "full", "text")


# Appending


def test_lines_are_appended(tmp_path: Path) -> None:
    for line in ("one\n", "zwei ß\n", "\ud800\n"):
        append(tmp_path / "log", line)
    flush(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "one\nzwei ß\n?\n"


def test_a_line_that_does_not_fit_is_not_written_in_part(tmp_path: Path, small_files: None) -> None:
    append(tmp_path / "log", "x" * 900 + "\n")
    with pytest.raises(Failure, match="log cannot be written"):
        append(tmp_path / "log", "y" * 200 + "\n")
    assert (tmp_path / "log").read_text() == "x" * 900 + "\n"
    append(tmp_path / "log", "z\n")
    assert (tmp_path / "log").read_text() == "x" * 900 + "\nz\n"


# Folders for results


def test_a_folder_is_created_with_its_parents(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_created_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match=r"cannot be written to \(.*\): name another folder"):
            make_folder(path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for any user but root in a read-only folder
    with pytest.raises(UserError, match=r"\(permission denied\)"):
        make_folder(tmp_path)


def test_a_full_disk_is_not_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Failure, match="a cannot be created: the disk is full"):
        make_folder(tmp_path / "a")


# Reading


def test_only_regular_files_up_to_a_maximum_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.files.MAX_FILE_BYTES", 10)
    (tmp_path / "file").write_bytes(b"x" * 11)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name, text in (("file", "11 bytes"), ("pipe", "regular"), ("endless", "regular"), (".", "regular")):
        with pytest.raises(UserError, match=text):
            read_bytes(tmp_path / name)
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_bytes(tmp_path / "file") == b"x" * 10


def test_an_error_without_a_number_is_quoted() -> None:
    assert describe_os_error(OSError("Odd Thing")) == "odd thing"
    with pytest.raises(Failure, match="x cannot be written: odd thing"), writing(Path("x")):
        raise OSError("Odd Thing")


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        (errno.ENOENT, UserError, "x cannot be read: no such file or directory"),
        (errno.EACCES, UserError, "x cannot be read: permission denied"),
        (errno.EISDIR, UserError, "x cannot be read: is a directory"),
        (errno.ENAMETOOLONG, UserError, "x cannot be read: file name too long"),
        (errno.EIO, Failure, "x cannot be read: the disk reports an error: check it"),
        (errno.ESTALE, Failure, "x cannot be read: the network file system is gone: mount it again"),
        (errno.EMFILE, Failure, "x cannot be read: too many open files"),
    ],
)
def test_a_path_that_cannot_be_read_is_a_user_error_unless_the_machine_fails(
    code: int, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text) as caught, reading(Path("x")):
        raise OSError(code, os.strerror(code))
    assert type(caught.value) is error


def test_a_path_with_a_nul_character_is_a_user_error() -> None:
    with pytest.raises(UserError, match="NUL"), reading("a\0b"):
        raise AssertionError("it was opened")
    with pytest.raises(UserError, match="NUL"):
        make_folder(Path("a\0b"))


class Point(msgspec.Struct):
    x: int
    tags: list[str]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"x": 1}', "Object missing required field `tags`"),
        (b'{"x": 1, "tags": ["a", 2]}', "Expected `str`, got `int` - at `\\$.tags\\[1\\]`"),
        (b'{"x": 1, "tags": "\xff"}', "Expected|utf-8"),
        (b'{"x": NaN, "tags": []}', "malformed"),
        (b"[" * 100_000, "Expected|nested too deeply"),
        (b'{"x": 1, "y": ' + b"[" * 100_000, "nested too deeply"),
        (b"", "truncated"),
    ],
)
def test_a_record_of_the_wrong_shape_is_a_user_error_that_names_the_field(
    tmp_path: Path, content: bytes, text: str
) -> None:
    (tmp_path / "point.json").write_bytes(content)
    with pytest.raises(UserError, match=f"point.json is damaged: .*({text})") as caught:
        read_record(tmp_path / "point.json", Point)
    assert "\n" not in str(caught.value)


def test_a_record_comes_back_as_its_class(tmp_path: Path) -> None:
    write_json(tmp_path / "point.json", {"x": 1, "tags": ["a"], "other": None})
    assert read_record(tmp_path / "point.json", Point) == Point(1, ["a"])
