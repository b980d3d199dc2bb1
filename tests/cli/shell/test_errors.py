"""How a command ends: a user error is one line and exit code 2, a defect is a traceback and exit code 1."""

import errno
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli.shell.errors import nearest
from nmt.errors import Failure, UserError

Replace = Callable[[Callable[[DictConfig], None]], None]
Raising = Callable[[BaseException], None]


@pytest.fixture
def raising(replace_greet: Replace) -> Raising:
    """Makes the command `greet` raise an error."""

    def prepare(error: BaseException) -> None:
        def run(config: DictConfig) -> None:
            raise error

        replace_greet(run)

    return prepare


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("runs/x is not complete"), "runs/x is not complete"),
        (UserError("two\n  lines"), "two lines"),
        (UserError("a class \x1b[2J\x07\u202e of Straße 日本 “…”"), "a class \\x1b[2J\\x07\\u202e of Straße 日本 “…”"),
    ],
)
def test_a_user_error_is_one_printable_line_and_exit_code_2(
    error: Exception, text: str, raising: Raising, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert main(["greet", "run=x"]) == 2
    assert capsys.readouterr() == ("", f"nmt greet: {text}\n")


@pytest.mark.parametrize(
    "defect",
    [
        *(ValueError("a bug"), UnicodeDecodeError("utf-8", b"x", 0, 1, "why"), RuntimeError("broken"), KeyError("k")),
        *(TypeError("t"), AssertionError(), BrokenPipeError("a worker"), FileNotFoundError(2, "No such file", "a.txt")),
        *(PermissionError(13, "Permission denied", "a"), OSError(errno.ENAMETOOLONG, "File name too long", "runs")),
    ],
)
def test_any_other_error_is_a_defect_with_a_traceback_and_exit_code_1(
    defect: Exception, raising: Raising, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(defect)
    assert main(["greet", "run=x"]) == 1
    output, error = capsys.readouterr()
    assert output == "" and "Traceback" in error and type(defect).__name__ in error


def test_a_failure_is_one_line_and_exit_code_1(raising: Raising, capsys: pytest.CaptureFixture[str]) -> None:
    raising(Failure("the disk is full;\n the last checkpoint is good"))
    assert main(["greet", "run=x"]) == 1
    assert capsys.readouterr() == ("", "nmt greet: the disk is full; the last checkpoint is good\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left", "cache/x"), "cache/x: the disk is full: make room there"),
        (OSError(errno.EIO, "Input/output error"), "the output cannot be written: the disk reports an error: check it"),
        (OSError(errno.EROFS, "Read-only", "a"), "a: the file system is read-only: mount it for writing"),
    ],
)
def test_a_failing_disk_is_one_line_and_exit_code_1(
    error: Exception, text: str, raising: Raising, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert main(["greet", "run=x"]) == 1
    output, said = capsys.readouterr()
    assert output == "" and said.count("\n") == 1 and said.startswith(f"nmt greet: {text}")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_error_in_a_thread_is_reported_by_the_main_thread_alone(
    replace_greet: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard writes in a thread, and raises the thread's error when it is given the next record."""

    def run(config: DictConfig) -> None:
        def refuse() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        thread = threading.Thread(target=refuse)
        thread.start()
        thread.join()
        raise Failure("the disk is full")

    replace_greet(run)
    assert main(["greet", "run=x"]) == 1
    assert capsys.readouterr() == ("", "nmt greet: the disk is full\n")


def test_hydra_full_error_shows_the_traceback_of_a_user_error_too(
    raising: Raising, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(UserError("no"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert main(["greet", "run=x"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and error.endswith("nmt greet: no\n")


def test_an_interrupted_command_has_exit_code_130(raising: Raising, capsys: pytest.CaptureFixture[str]) -> None:
    raising(KeyboardInterrupt())
    assert main(["greet", "run=x"]) == 130
    assert capsys.readouterr() == ("", "nmt greet: interrupted\n")


def test_a_reader_that_closes_the_pipe_is_no_error(program: Path) -> None:
    line = f"{program} greet run=x | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n0\n", "")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("trainer.max_step", ["trainer.max_steps"]),
        ("max_steps", ["trainer.max_steps"]),
        ("dropout", ["model.dropout", "embedding.dropout"]),
        ("TRAINER.Max_Steps", ["trainer.max_steps"]),
        ("trainer.xx", []),
        ("zebra", []),
    ],
)
def test_nearest_finds_the_same_last_part_or_else_the_most_similar_name(word: str, found: list[str]) -> None:
    keys = ["trainer", "trainer.max_steps", "model.dropout", "embedding.dropout", "model.size"]
    assert nearest(word, keys) == found
