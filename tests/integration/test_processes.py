"""Several processes of torchrun on a CPU: they share the work, and the result is that of one process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt
from nmt.data.batch import Batch
from nmt.run import RunFolder
from nmt.training.update import PendingUpdate, Updater

ROOT = Path(nmt.__file__).parents[1]

pytestmark = pytest.mark.slow

SETTINGS = [
    "trainer.max_steps=8",
    "trainer.validate_every=4",
    "trainer.log_every=1",
    "trainer.accumulate=2",
    "trainer.average_checkpoints=2",
    "trainer.ema_decay=0.9",
    "loader.batch_tokens=64",
    "loader.subword_alpha=0.3",
    "model.dropout=0.0",
    "schedule.learning_rate=0.01",
    "schedule.warmup_steps=2",
]


@dataclass(frozen=True)
class Finished:
    """A training that has ended: its exit code and its messages."""

    code: int
    error: str


Train = Callable[..., Finished]


@pytest.fixture
def train(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    fork_command: Callable[..., int],
    fork_workers: Callable[..., int],
) -> Train:
    """Trains into the folder `name` with `processes` processes and waits for the end.

    Arguments: `model`, one of `tiny_models`; `setup`, called in every process before the command; `start_torchrun`, to
    start the program `torchrun` instead of forked workers.
    """

    def run(
        name: str,
        *words: str,
        processes: int,
        model: str = "lstm_bahdanau",
        start_torchrun: bool = False,
        **options: Any,
    ) -> Finished:
        command = ["train", "data=files", f"data.path={corpus_folder}", f"run={tmp_path / name}"]
        command += [*tiny_models[model], *tiny_training, *SETTINGS, *words]
        if start_torchrun:
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [*torchrun, "-m", "nmt", *command], env=environment, capture_output=True, text=True, timeout=300
            )
            return Finished(done.returncode, done.stderr)
        stderr = tmp_path / f"{name}.stderr"
        if processes == 1:
            pid = fork_command(command, stderr=stderr, **options)
        else:
            pid = fork_workers(command, num_workers=processes, stderr=stderr, **options)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return Finished(code, stderr.read_text(encoding="utf-8"))

    return run


def values(folder: Path, kind: str, key: str) -> list[float]:
    """One value of every history record of a kind."""
    records = [json.loads(line) for line in RunFolder(folder).history.read_text(encoding="utf-8").splitlines()]
    return [record[key] for record in records if record["kind"] == kind]


def assert_same_run(one: Path, other: Path) -> None:
    """Losses, gradients and scores agree up to rounding.

    Weights need not agree: the gradient of an attention key's bias is nothing but rounding error, which Adam enlarges.
    """
    for kind, key in (("train", "loss"), ("train", "gradient_norm"), ("validation", "loss"), ("validation", "bleu")):
        assert values(one, kind, key) == pytest.approx(values(other, kind, key), rel=1e-4), (kind, key)


@pytest.mark.parametrize(("model", "start_torchrun"), [("lstm_bahdanau", True), ("transformer", False)])
def test_two_processes_train_like_one(train: Train, tmp_path: Path, model: str, start_torchrun: bool) -> None:
    one = train("one", processes=1, model=model)
    two = train("two", processes=2, model=model, start_torchrun=start_torchrun)
    assert (one.code, two.code) == (0, 0), two.error
    assert_same_run(tmp_path / "one", tmp_path / "two")
    assert len(set(values(tmp_path / "two", "train", "loss"))) == 8
    files = [{path.name for path in (tmp_path / name).rglob("*")} for name in ("one", "two")]
    assert files[0] == files[1]
    assert two.error.count("best validation BLEU") == 1  # only the first process prints


def test_two_processes_start_with_the_weights_of_another_run(
    lstm_run: Path,
    corpus_folder: Path,
    tiny_training: list[str],
    tmp_path: Path,
    fork_command: Callable[..., int],
    fork_workers: Callable[..., int],
    remove_progress: Callable[[Path], None],
) -> None:
    settings = [word for word in tiny_training if not word.startswith("tokenizer.")]
    settings += ["trainer.max_steps=3", "trainer.log_every=1", "loader.batch_tokens=64"]
    settings += ["model.dropout=0.0", "model.embedding_dropout=0.0"]
    common = ["train", "data=files", f"data.path={corpus_folder}", f"init={lstm_run}", *settings]
    one, two = ([*common, f"run={tmp_path / name}"] for name in ("one", "two"))
    stderr = tmp_path / "stderr"
    pids = [fork_command(one, stderr=stderr), fork_workers(two, num_workers=2, stderr=stderr)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0, 0], stderr.read_text(encoding="utf-8")
    losses = [values(tmp_path / name, "train", "loss") for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # Without a checkpoint, a resumed run starts again with the same weights.
    remove_progress(tmp_path / "two")
    pid = fork_workers([*two, "resume=true"], num_workers=2, stderr=stderr)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, stderr.read_text(encoding="utf-8")
    assert values(tmp_path / "two", "train", "loss") == pytest.approx(losses[1], rel=1e-6)


def test_two_processes_pretrain_like_one(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
    fork_command: Callable[..., int],
    fork_workers: Callable[..., int],
) -> None:
    """With masked pieces, which train a part of the model and count a part of the pieces."""
    settings = [*tiny_models["lstm"], *tiny_training, "trainer.max_steps=3", "trainer.log_every=1"]
    settings += ["loader.batch_tokens=64", "model.dropout=0.0", "trainer.validate_every=3"]
    common = ["train", "objective=masked", "data=text", f"data.path={corpus_folder}", *settings]
    one, two = ([*common, f"run={tmp_path / name}"] for name in ("one", "two"))
    stderr = tmp_path / "stderr"
    pids = [fork_command(one, stderr=stderr), fork_workers(two, num_workers=2, stderr=stderr)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0, 0], stderr.read_text(encoding="utf-8")
    for kind, key in (("train", "loss"), ("train", "gradient_norm"), ("validation", "loss")):
        losses = [values(tmp_path / name, kind, key) for name in ("one", "two")]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4), (kind, key)


def test_a_run_resumes_with_another_number_of_processes(train: Train, tmp_path: Path) -> None:
    assert train("uninterrupted", processes=1).code == 0
    for processes, steps, resume in ((2, 3, []), (1, 5, ["resume=true"]), (3, 8, ["resume=true"])):
        words = [f"trainer.max_steps={steps}", "trainer.validate_every=1000", *resume]
        session = train("resumed", *words, processes=processes)
        assert session.code == 0, session.error
    losses = [values(tmp_path / name, "train", "loss") for name in ("uninterrupted", "resumed")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def raise_a_defect(updater: Updater) -> None:
    """The process has a defect."""
    raise ZeroDivisionError("a defect of the second process")


def kill_the_process(updater: Updater) -> None:
    """The process is killed, as the system does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory(updater: Updater) -> None:
    """The next forward pass raises what torch's allocator raises."""

    def exhaust_memory(module: torch.nn.Module, inputs: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    encoder: Any = updater.model.encoder
    encoder.register_forward_pre_hook(exhaust_memory)


def fail_in_the_second_process(fail: Callable[[Updater], None]) -> None:
    """Makes the second process call `fail` before its third update."""
    update = Updater.update

    def update_or_fail(updater: Updater, batches: Sequence[Batch], *, rate: float, step: int) -> PendingUpdate:
        if updater.processes.rank == 1 and step == 3:
            fail(updater)
        return update(updater, batches, rate=rate, step=step)

    Updater.update = update_or_fail  # type: ignore[assignment, method-assign]


@pytest.mark.parametrize(
    ("fail", "messages"),
    [
        (raise_a_defect, ["ZeroDivisionError: a defect of the second process"]),
        # It depends on their timing whether the agent or the first process notices the death of the second one.
        (kill_the_process, ["SIGKILL", "another process of this run has ended"]),
        (run_out_of_memory, ["nmt train (process 2 of 2): step 3: out of memory on a batch of"]),
    ],
)
def test_a_failing_process_ends_the_others_and_the_run_can_resume(
    train: Train, tmp_path: Path, fail: Callable[[Updater], None], messages: list[str]
) -> None:
    failed = train("run", "trainer.save_every=2", processes=2, setup=lambda: fail_in_the_second_process(fail))
    assert failed.code != 0
    assert any(message in failed.error for message in messages)
    resumed = train("run", "resume=true", processes=1)
    assert resumed.code == 0, resumed.error
    assert values(tmp_path / "run", "train", "step") == list(range(1, 9))


def test_a_users_mistake_is_reported_and_ends_all_processes(train: Train, tmp_path: Path) -> None:
    failed = train("run", "tokenizer.vocab_size=100000", "tokenizer.exact_size=true", processes=2)
    assert failed.code != 0
    assert "tokenizer.vocab_size=100000 is more than this corpus allows" in failed.error
    assert not (tmp_path / "run").exists()


def test_a_sweep_starts_its_runs_and_leaves_finished_ones_alone(train: Train, tmp_path: Path) -> None:
    sweep = ["resume=auto", "trainer.max_steps=1", "-m", f"run={tmp_path}/${{seed}}", "seed=1,2"]
    for expected in ("ended after step 1", "is finished after step 1"):
        result = train("sweep", *sweep, processes=2)
        assert result.code == 0, result.error
        assert result.error.count(expected) == 2
