"""What a run survives: real processes, and real faults that the system raises, in the middle of training.

NMT_FAULTS=20 pytest tests/integration/test_faults.py -s      each fault so many times, at changing moments; a table
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
from collections.abc import Iterator
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.files import is_partial
from nmt.run import RunFolder
from nmt.run.weights import read_step

TIMES = int(os.environ.get("NMT_FAULTS", "1"))
OUTCOMES: Counter[str] = Counter()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    if TIMES > 1:
        print("\n" + "\n".join(f"{count:>5} × {what}" for what, count in sorted(OUTCOMES.items())))


def drop_capabilities() -> None:
    """Makes root an ordinary owner of its files, who may not write where the permissions say so."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the interface's version, this process
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0


class Training:
    """`nmt train` with everything tiny and no end in sight, in a process of its own."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.run = RunFolder(folder)
        self.words = ["train", f"run={folder}", *words]
        self.said = folder.parent / "stderr"

    def start(self, *words: str, humble: bool = False) -> int:
        """Forked: what takes seconds to import is there already."""
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            with self.said.open("w") as error:
                os.dup2(error.fileno(), 2)
                sys.stderr = error
                if humble:
                    drop_capabilities()
                code = main([*self.words, *words])
                error.flush()
        finally:
            os._exit(code)

    def wait_for_checkpoint(self, pid: int) -> None:
        """Until the second checkpoint: the first has been replaced."""
        while (read_step(self.run.last) or 0) < 2:
            done, status = os.waitpid(pid, os.WNOHANG)
            assert done == 0, (status, self.said.read_text())
            time.sleep(0.01)

    def end(self, pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def resume(self) -> None:
        """Goes on for two steps, to the end."""
        step = read_step(self.run.last)
        assert step is not None
        assert self.end(self.start("resume=true", f"trainer.max_steps={step + 2}")) == 0, self.said.read_text()
        assert read_step(self.run.last) == step + 2
        steps = [record["step"] for record in self.run.records() if record["kind"] == "train"]
        assert steps == list(range(1, step + 3))
        assert not list(self.run.best.parent.rglob("*.partial"))
        self.run.model()


@pytest.fixture
def training(
    tmp_path: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str]
) -> Training:
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models["lstm"], *tiny_training]
    words += ["trainer.max_steps=1000000", "trainer.patience=null", "trainer.validate_every=1", "trainer.log_every=1"]
    (tmp_path / "disk").mkdir()
    return Training(tmp_path / "disk" / "run", words)


def whole_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not is_partial(path.name)}


def check_one_line(training: Training, code: int, said: str) -> None:
    """Exit code 1, one line besides those of progress, what is good is told and is whole, and no debris."""
    error = training.said.read_text()
    assert code == 1, error
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("nmt train: ")]
    assert len(lines) == 1 and error.endswith(lines[0] + "\n"), error
    assert said in lines[0]
    assert f"the checkpoint of step {read_step(training.run.last)} " in lines[0], lines[0]
    assert lines[0].endswith("is intact: continue with resume=true")
    training.run.model()
    OUTCOMES[said] += 1


@pytest.mark.parametrize("time_", range(TIMES))
def test_a_limit_of_file_sizes(training: Training, time_: int) -> None:
    """Stands for a full disk where nobody may mount one: the system refuses all further bytes of a file."""
    pid = training.start()
    training.wait_for_checkpoint(pid)
    time.sleep(random.Random(time_).random() / 5)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2000 + 3000 * (time_ % 7), resource.RLIM_INFINITY))
    check_one_line(training, training.end(pid), "would exceed the size limit")
    assert not list(training.run.path.rglob("*.partial"))
    training.resume()


@pytest.mark.parametrize("time_", range(TIMES))
def test_a_full_disk(training: Training, tmp_path: Path, time_: int) -> None:
    disk = tmp_path / "disk"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount a disk that can be filled")
    try:
        pid = training.start()
        training.wait_for_checkpoint(pid)
        time.sleep(random.Random(time_).random() / 5)
        with (disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError) as full:
            while True:
                ballast.write(bytes(512))
        assert full.value.errno == errno.ENOSPC
        check_one_line(training, training.end(pid), "the disk is full: make room there")
        assert not list(training.run.path.rglob("*.partial"))
        (disk / "ballast").unlink()
        training.resume()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("time_", range(TIMES))
def test_a_vanished_folder(training: Training, tmp_path: Path, time_: int) -> None:
    pid = training.start()
    training.wait_for_checkpoint(pid)
    time.sleep(random.Random(time_).random() / 5)
    away = training.run.path.rename(tmp_path / "away")
    assert training.end(pid) == 1
    error = training.said.read_text()
    assert "Traceback" not in error
    assert [line for line in error.splitlines() if line.startswith("nmt train: ")] == [error.splitlines()[-1]]
    assert "its folder has vanished: put it back" in error
    assert not training.run.path.exists()  # and is not made again, with most of it missing
    away.rename(training.run.path)
    OUTCOMES["its folder has vanished"] += 1
    training.resume()


@pytest.mark.parametrize("time_", range(TIMES))
def test_a_folder_that_became_read_only(training: Training, time_: int) -> None:
    pid = training.start(humble=True)
    training.wait_for_checkpoint(pid)
    time.sleep(random.Random(time_).random() / 5)
    checkpoints = training.run.best.parent
    checkpoints.chmod(0o555)
    before = whole_files(checkpoints)
    check_one_line(training, training.end(pid), "writing there is not permitted")
    assert whole_files(checkpoints) == before
    checkpoints.chmod(0o755)
    training.resume()


@pytest.mark.parametrize("time_", range(TIMES))
def test_a_killed_run_leaves_no_lock_and_its_debris_goes(training: Training, time_: int) -> None:
    """At any moment, also while a checkpoint is written: the files are whole, and the same folder goes on at once."""
    pid = training.start()
    training.wait_for_checkpoint(pid)
    time.sleep(random.Random(time_).random() / 3)
    os.kill(pid, signal.SIGKILL)
    assert training.end(pid) == -signal.SIGKILL
    debris = len(list(training.run.path.rglob("*.partial")))
    assert all(read_step(path) is not None for path in training.run.best.parent.glob("*.safetensors"))
    (training.run.best.parent / ".best.safetensors.0123abcd.partial").write_bytes(b"half")
    (training.run.path / ".a.partial").write_bytes(b"not ours")
    training.resume()
    assert [path.name for path in training.run.path.rglob("*.partial")] == [".a.partial"]
    OUTCOMES[f"killed, {debris} half-written files"] += 1


def test_of_two_runs_on_one_folder_the_second_is_refused(training: Training) -> None:
    first = training.start()
    training.wait_for_checkpoint(first)
    progress = training.said.read_text()
    second = Training(training.run.path, training.words[2:])
    second.said = training.said.with_name("second")
    for words in ([], ["resume=true"]):
        assert second.end(second.start(*words)) == 2
        assert second.said.read_text().count("\n") == 1
        assert "is in use" in second.said.read_text()
    os.kill(first, signal.SIGKILL)
    assert training.end(first) == -signal.SIGKILL
    assert "Traceback" not in progress
    training.resume()


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


@pytest.mark.parametrize(
    ("named", "words"), [(False, "standard output cannot be written"), (True, "the disk is full: make room there")]
)
def test_translating_onto_a_full_device(named: bool, words: str, trained_run: Path, tmp_path: Path) -> None:
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("no device that is always full")
    (tmp_path / "full").symlink_to(device)
    done = subprocess.run(
        [sys.executable, "-m", "nmt", "translate", f"run={trained_run}", "device=cpu"]
        + ([f"output={tmp_path / 'full'}"] if named else []),
        input=b"one two\n",
        stdout=device.open("wb"),
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        stderr=subprocess.PIPE,
    )
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert said.count("\n") == 1 and words in said


def test_translating_into_a_full_disk_leaves_the_old_file(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").write_text("one two\n" * 50)
    (tmp_path / "out").write_text("old\n")
    words = ["translate", f"run={trained_run}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "device=cpu"]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert main(words) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "out").read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    assert main(words) == 0
    assert (tmp_path / "out").read_text().count("\n") == 50
