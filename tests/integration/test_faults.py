"""A run survives real errors of the system in the middle of training, in processes of its own.

    NMT_FAULTS=20 pytest tests/integration/test_faults.py -s

injects every fault twenty times, at different moments, and prints how often each happened.
"""

import ctypes
import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.files import is_partial
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.run.weights import read_step

REPEATS = int(os.environ.get("NMT_FAULTS", "1"))
OUTCOMES: Counter[str] = Counter()

RESUME_HINT = "is intact: continue with resume=true"
"""How the message about a fault ends if a checkpoint is left."""

pytestmark = pytest.mark.slow

repeated = pytest.mark.parametrize("repeat", range(REPEATS))


@pytest.fixture(scope="module", autouse=True)
def print_outcomes() -> Iterator[None]:
    yield
    if REPEATS > 1:
        print("\n" + "\n".join(f"{count:>5} × {outcome}" for outcome, count in sorted(OUTCOMES.items())))


def drop_capabilities() -> None:
    """Makes root an ordinary user in this process, who may not write where the permissions forbid it."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3 of the interface, this process
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0


def wait(pid: int) -> int:
    """The exit code of a process; -N if signal N ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Training:
    """`nmt train` with a tiny model, endless, in a process of its own.

    Args:
        folder: the run folder.
        words: its other overrides.
        fork_command: starts a command in a new process.
        stderr: the file with the messages of the process that was started last.
    """

    def __init__(self, folder: Path, words: list[str], fork_command: Callable[..., int], stderr: Path) -> None:
        self.run = RunFolder(folder)
        self.words = ["train", f"run={folder}", *words]
        self.fork_command = fork_command
        self.stderr = stderr

    def start(self, *words: str, setup: Callable[[], object] = lambda: None) -> int:
        """Starts training with further overrides and returns the process's id."""
        return self.fork_command([*self.words, *words], stderr=self.stderr, setup=setup)

    def start_and_wait(self, repeat: int, *, setup: Callable[[], object] = lambda: None) -> int:
        """Starts training, and returns the process's id at a random moment after its first checkpoint was replaced."""
        pid = self.start(setup=setup)
        while (read_step(self.run.last) or 0) < 2:
            ended, status = os.waitpid(pid, os.WNOHANG)
            assert ended == 0, (status, self.messages())
            time.sleep(0.01)
        time.sleep(random.Random(repeat).random() / 5)
        return pid

    def messages(self) -> str:
        return self.stderr.read_text(encoding="utf-8")

    def check_resume(self) -> None:
        """Resumes for two steps, to the end, and checks that the run is complete and has no temporary files."""
        step = read_step(self.run.last)
        assert step is not None
        assert wait(self.start("resume=true", f"trainer.max_steps={step + 2}")) == 0, self.messages()
        assert read_step(self.run.last) == step + 2
        steps = [record.step for record in read_history(self.run.history).train]
        assert steps == list(range(1, step + 3))
        assert not list(self.run.best.parent.rglob("*.partial"))
        self.run.model()

    def check_failure(self, code: int, message: str) -> None:
        """Checks that training ended with exit code 1 and one line, which names the fault and a loadable checkpoint."""
        error = self.messages()
        assert code == 1, error
        assert "Traceback" not in error
        lines = [line for line in error.splitlines() if line.startswith("nmt train: ")]
        assert len(lines) == 1 and error.endswith(lines[0] + "\n"), error
        assert message in lines[0]
        assert f"the checkpoint of step {read_step(self.run.last)} " in lines[0], lines[0]
        assert lines[0].endswith(RESUME_HINT)
        self.run.model()
        OUTCOMES[message] += 1


@pytest.fixture
def training(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    fork_command: Callable[..., int],
) -> Training:
    """A training that has not started, into disk/run, where a test may mount another disk."""
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models["lstm"], *tiny_training]
    words += ["trainer.max_steps=1000000", "trainer.patience=null", "trainer.validate_every=1", "trainer.log_every=1"]
    (tmp_path / "disk").mkdir()
    return Training(tmp_path / "disk" / "run", words, fork_command, tmp_path / "stderr")


def complete_files(folder: Path) -> dict[str, bytes]:
    """The contents of all files of a folder, except temporary ones."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not is_partial(path.name)}


# Training


@repeated
def test_a_run_survives_a_limit_of_file_sizes(training: Training, repeat: int) -> None:
    """Like a full disk, for users who may not mount one: the system refuses further bytes of a file."""
    pid = training.start_and_wait(repeat)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2000 + 3000 * (repeat % 7), resource.RLIM_INFINITY))
    training.check_failure(wait(pid), "would exceed the size limit")
    assert not list(training.run.path.rglob("*.partial"))
    training.check_resume()


@repeated
def test_a_run_survives_a_full_disk(training: Training, tmp_path: Path, repeat: int) -> None:
    disk = tmp_path / "disk"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount a disk that can be filled")
    try:
        pid = training.start_and_wait(repeat)
        with (disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError) as full:
            while True:
                ballast.write(bytes(512))
        assert full.value.errno == errno.ENOSPC
        training.check_failure(wait(pid), "the disk is full: make room there")
        assert not list(training.run.path.rglob("*.partial"))
        (disk / "ballast").unlink()
        training.check_resume()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@repeated
def test_a_run_survives_the_removal_of_its_folder(training: Training, tmp_path: Path, repeat: int) -> None:
    pid = training.start_and_wait(repeat)
    elsewhere = training.run.path.rename(tmp_path / "elsewhere")
    assert wait(pid) == 1
    error = training.messages()
    assert "Traceback" not in error
    assert [line for line in error.splitlines() if line.startswith("nmt train: ")] == [error.splitlines()[-1]]
    assert "its folder has vanished: put it back" in error
    assert not training.run.path.exists()  # no new folder was created, which would lack most files
    elsewhere.rename(training.run.path)
    OUTCOMES["its folder has vanished"] += 1
    training.check_resume()


@repeated
def test_a_run_survives_a_folder_that_becomes_read_only(training: Training, repeat: int) -> None:
    pid = training.start_and_wait(repeat, setup=drop_capabilities)
    checkpoints = training.run.best.parent
    checkpoints.chmod(0o555)
    before = complete_files(checkpoints)
    training.check_failure(wait(pid), "writing there is not permitted")
    assert complete_files(checkpoints) == before
    checkpoints.chmod(0o755)
    training.check_resume()


@repeated
def test_a_killed_run_leaves_no_lock_and_its_temporary_files_are_deleted(training: Training, repeat: int) -> None:
    """It is killed at any moment, also while it writes a checkpoint; all other files are complete."""
    pid = training.start_and_wait(repeat)
    os.kill(pid, signal.SIGKILL)
    assert wait(pid) == -signal.SIGKILL
    num_partial = len(list(training.run.path.rglob("*.partial")))
    assert all(read_step(path) is not None for path in training.run.best.parent.glob("*.safetensors"))
    (training.run.best.parent / ".best.safetensors.0123abcd.partial").write_bytes(b"half")
    (training.run.path / ".a.partial").write_bytes(b"not a file of the run")
    training.check_resume()
    assert [path.name for path in training.run.path.rglob("*.partial")] == [".a.partial"]
    OUTCOMES[f"killed, {num_partial} half-written files"] += 1


def test_a_second_run_in_the_same_folder_is_refused(training: Training) -> None:
    first = training.start_and_wait(0)
    first_messages = training.messages()
    stderr = training.stderr.with_name("second")
    second = Training(training.run.path, training.words[2:], training.fork_command, stderr)
    for words in ([], ["resume=true"]):
        assert wait(second.start(*words)) == 2
        assert second.messages().count("\n") == 1
        assert "is in use" in second.messages()
    os.kill(first, signal.SIGKILL)
    assert wait(first) == -signal.SIGKILL
    assert "Traceback" not in first_messages
    training.check_resume()


def test_a_child_that_outlives_a_killed_run_does_not_keep_the_lock(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        run = RunFolder.create(tmp_path / "run", resume=False)
        if os.fork() == 0:
            assert run._lock is not None
            os.write(writer, str(os.getpid()).encode() + b"\n")
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL)
    child = int(os.read(reader, 20))
    os.waitpid(pid, 0)
    try:
        RunFolder.create(tmp_path / "run", resume=False)
    finally:
        os.kill(child, signal.SIGKILL)


# Translating

full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")


@full_device
def test_translating_to_a_full_standard_output_ends_in_one_line(trained_run: Path) -> None:
    """In a new Python process, which must not report its standard output a second time when it exits."""
    command = [sys.executable, "-m", "nmt", "translate", f"run={trained_run}", "device=cpu"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, input=b"one two\n", stdout=full, stderr=subprocess.PIPE, env=environment)
    error = done.stderr.decode()
    assert done.returncode == 1, error
    assert error.count("\n") == 1 and "standard output cannot be written" in error


@full_device
def test_translating_to_a_file_on_a_full_device_ends_in_one_line(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_text("one two\n")
    (tmp_path / "full").symlink_to("/dev/full")
    words = [f"run={trained_run}", "device=cpu", f"input={tmp_path / 'in'}", f"output={tmp_path / 'full'}"]
    assert main(["translate", *words]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "the disk is full: make room there" in error


def test_translating_to_a_full_disk_leaves_the_old_file(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_text("one two\n" * 50)
    (tmp_path / "out").write_text("old\n")
    words = ["translate", f"run={trained_run}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "device=cpu"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        assert main(words) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "out").read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert main(words) == 0
    assert (tmp_path / "out").read_text().count("\n") == 50
