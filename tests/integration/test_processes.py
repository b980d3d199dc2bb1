"""Several processes under torchrun, on a CPU: the work is shared, the result is the same."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nmt
from nmt.run import RunFolder

ROOT = Path(nmt.__file__).parents[1]

pytestmark = pytest.mark.slow

SETTINGS = [
    "trainer.max_steps=8",
    "trainer.validate_every=4",
    "trainer.log_every=1",
    "trainer.accumulate=2",
    "trainer.average_checkpoints=2",
    "loader.batch_tokens=64",
    "loader.subword_alpha=0.3",
    "model.dropout=0.0",
    "schedule.learning_rate=0.01",
    "schedule.warmup_steps=2",
]

Torchrun = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def torchrun(
    tmp_path: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str]
) -> Torchrun:
    """`nmt train` into the folder `name` by `processes`; or the script `through`, which calls it."""

    def run(
        name: str, *words: str, processes: int, model: str = "lstm_bahdanau", through: tuple[str, ...] = ("-m", "nmt")
    ) -> subprocess.CompletedProcess[str]:
        start = [sys.executable]
        if processes > 1:
            start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / name}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [*start, *through, "train", *common, *tiny_models[model], *tiny_training, *SETTINGS, *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def records(folder: Path, kind: str, key: str) -> list[float]:
    found = [json.loads(line) for line in RunFolder(folder).history.read_text().splitlines()]
    return [record[key] for record in found if record["kind"] == kind]


def assert_same_run(one: Path, other: Path) -> None:
    """Losses, gradients and scores are the same to rounding.

    Not every weight: the gradient of a key's bias is nothing but rounding, which Adam makes large.
    """
    for kind, key in (("train", "loss"), ("train", "gradient_norm"), ("validation", "loss"), ("validation", "bleu")):
        assert records(one, kind, key) == pytest.approx(records(other, kind, key), rel=1e-4), (kind, key)


@pytest.mark.parametrize("model", ["lstm_bahdanau", "transformer"])
def test_two_processes_train_as_one(torchrun: Torchrun, tmp_path: Path, model: str) -> None:
    alone, together = (torchrun(str(count), processes=count, model=model) for count in (1, 2))
    assert (alone.returncode, together.returncode) == (0, 0), together.stderr
    assert_same_run(tmp_path / "1", tmp_path / "2")
    assert len(set(records(tmp_path / "2", "train", "loss"))) == 8
    assert {path.name for path in (tmp_path / "1").rglob("*")} == {path.name for path in (tmp_path / "2").rglob("*")}
    assert together.stderr.count("best validation BLEU") == 1  # one of them speaks


def test_a_run_goes_on_with_another_number_of_processes(torchrun: Torchrun, tmp_path: Path) -> None:
    assert torchrun("whole", processes=1).returncode == 0
    for count, steps, more in ((2, 3, []), (1, 5, ["resume=true"]), (3, 8, ["resume=true"])):
        done = torchrun("parts", f"trainer.max_steps={steps}", "trainer.validate_every=1000", *more, processes=count)
        assert done.returncode == 0, done.stderr
    losses = [records(tmp_path / name, "train", "loss") for name in ("whole", "parts")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "ZeroDivisionError: a defect of the second process"),
        ("dies", "SIGKILL"),
        ("memory", "nmt train (process 2 of 2): step 3: out of memory on a batch of"),
    ],
)
def test_a_process_that_fails_takes_the_others_down(torchrun: Torchrun, tmp_path: Path, how: str, message: str) -> None:
    script = str(Path(__file__).parent / "misbehaving.py")
    done = torchrun("run", "trainer.save_every=2", processes=2, through=(script, how))
    assert done.returncode != 0
    assert message in done.stderr
    again = torchrun("run", "resume=true", processes=1)
    assert again.returncode == 0, again.stderr
    assert records(tmp_path / "run", "train", "step") == list(range(1, 9))


def test_a_mistake_is_said_and_ends_all(torchrun: Torchrun, tmp_path: Path) -> None:
    done = torchrun("run", "tokenizer.vocab_size=100000", processes=2)
    assert done.returncode != 0
    assert "tokenizer.vocab_size=100000 is more than this corpus allows" in done.stderr
    assert not (tmp_path / "run").exists()
