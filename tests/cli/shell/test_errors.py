"""What becomes of an exception: a user's mistake is one line and 2, a defect is a traceback and 1."""

import errno
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli.shell.errors import nearest
from nmt.errors import Failure

Replace = Callable[[Callable[[DictConfig], None]], None]


class Heads:
    """A class as the configuration names one."""

    def __init__(self, *, count: int) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        if count > 99:
            raise TypeError("a defect deeper down")


@pytest.fixture
def raising(body: Replace) -> Callable[[BaseException], None]:
    def prepare(error: BaseException) -> None:
        def run(config: DictConfig) -> None:
            raise error

        body(run)

    return prepare


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("runs/x is not whole"), "runs/x is not whole"),
        (ValueError("two\n  lines"), "two lines"),
        (ValueError(), "ValueError"),
        (FileNotFoundError("there is no runs/x"), "there is no runs/x"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), "a.txt: no such file or directory"),
        (FileExistsError("runs/x is in use"), "runs/x is in use"),
        (IsADirectoryError(21, "Is a directory", "runs"), "runs: is a directory"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "runs"), "runs: file name too long"),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "a"), "a: too many levels of symbolic links"),
    ],
)
def test_a_users_mistake(
    error: Exception, text: str, raising: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert main(["greet", "run=x"]) == 2
    assert capsys.readouterr() == ("", f"nmt greet: {text}\n")


def test_a_failure_is_one_line_and_1(raising: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_disk_that_fails_is_one_line_and_1(
    error: Exception, text: str, raising: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    raising(error)
    assert main(["greet", "run=x"]) == 1
    output, said = capsys.readouterr()
    assert output == "" and said.count("\n") == 1 and said.startswith(f"nmt greet: {text}")


def test_a_message_cannot_steer_the_terminal(raising: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    raising(ValueError("a class \x1b[2J\x07\u202e of Straße 日本 “…”"))
    assert main(["greet", "run=x"]) == 2
    assert capsys.readouterr().err == "nmt greet: a class \\x1b[2J\\x07\\u202e of Straße 日本 “…”\n"


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_trouble_in_a_thread_is_left_to_the_one_that_meets_it(
    body: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard's writer works in a thread, and hands its error on with the next record."""

    def run(config: DictConfig) -> None:
        def refuse() -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        thread = threading.Thread(target=refuse)
        thread.start()
        thread.join()
        raise Failure("the disk is full")

    body(run)
    assert main(["greet", "run=x"]) == 1
    assert capsys.readouterr() == ("", "nmt greet: the disk is full\n")


def test_hydra_full_error_shows_where_it_came_from(
    raising: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(ValueError("no"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert main(["greet", "run=x"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and error.endswith("nmt greet: no\n")


@pytest.mark.parametrize(
    "defect", [RuntimeError("broken"), KeyError("k"), AssertionError(), BrokenPipeError("a worker")]
)
def test_a_defect(defect: Exception, raising: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    raising(defect)
    assert main(["greet", "run=x"]) == 1
    output, error = capsys.readouterr()
    assert output == "" and "Traceback" in error and type(defect).__name__ in error


def test_interrupted(raising: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    raising(KeyboardInterrupt())
    assert main(["greet", "run=x"]) == 130
    assert capsys.readouterr() == ("", "nmt greet: interrupted\n")


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        ("{_target_: HERE.Heads, count: 0}", "voice: count must be at least 1, not 0"),
        ("{_target_: HERE.Heads}", "voice: Heads.__init__() missing 1 required keyword-only argument: 'count'"),
        ("{_target_: HERE.Heads, count: 1, x: 1}", "voice: Heads.__init__() got an unexpected keyword argument 'x'"),
        ("{_target_: HERE.Haeds}", "voice: there is no HERE.Haeds"),
        ("{inner: {_target_: HERE.Heads, count: -1}}", "voice.inner: count must be at least 1, not -1"),
    ],
)
def test_a_constructor_that_refuses_its_arguments(
    voice: str, text: str, conf: Path, body: Replace, capsys: pytest.CaptureFixture[str], here: str
) -> None:
    (conf / "voice" / "calm.yaml").write_text(voice.replace("HERE", here))
    body(lambda config: instantiate(config.voice))
    assert main(["greet", "run=x"]) == 2
    assert capsys.readouterr() == ("", f"nmt greet: {text.replace('HERE', here)}\n")


def test_a_defect_inside_a_constructor(
    conf: Path, body: Replace, capsys: pytest.CaptureFixture[str], here: str
) -> None:
    (conf / "voice" / "calm.yaml").write_text(f"{{_target_: {here}.Heads, count: 100}}")
    body(lambda config: instantiate(config.voice))
    assert main(["greet", "run=x"]) == 1
    assert "a defect deeper down" in capsys.readouterr().err


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which the configuration finds this file's classes."""
    module = ModuleType("cli_error_classes")
    module.Heads = Heads  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def test_a_reader_that_leaves_is_no_error(program: Path) -> None:
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
def test_nearest(word: str, found: list[str]) -> None:
    keys = ["trainer", "trainer.max_steps", "model.dropout", "embedding.dropout", "model.size"]
    assert nearest(word, keys) == found
