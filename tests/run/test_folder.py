"""A run folder is created, locked, resumed and opened only where that is possible; otherwise the message says why."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import nmt.run
from nmt.errors import Failure, UserError
from nmt.models import LuongRNN
from nmt.run import RunFolder
from nmt.run.weights import read_weights, save_weights
from nmt.search import BeamSearch
from nmt.translator import Translator

ROOT = Path(nmt.run.__file__).parents[2]


def test_checking_a_folder_writes_nothing(tmp_path: Path) -> None:
    RunFolder.check_available(tmp_path / "run", resume=False)
    assert list(tmp_path.iterdir()) == []


def test_create_makes_the_folder_and_its_parents(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a" / "b", resume=False)
    assert run.path.is_dir()
    assert run.name == "b"


def test_an_empty_folder_is_available(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, resume=False)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for make in (RunFolder.check_available, RunFolder.create):
        with pytest.raises(UserError, match="holds other files: name another folder"):
            make(tmp_path, resume=False)
        with pytest.raises(UserError, match="holds no run to continue"):
            make(tmp_path, resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_is_refused(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file: name a folder"):
        RunFolder.check_available(tmp_path / "file", resume=resume)


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run to continue: leave resume=true out"):
        RunFolder.check_available(tmp_path / "missing", resume=True)
    (tmp_path / "model.json").touch()
    assert RunFolder.check_available(tmp_path, resume=True).path == tmp_path


def test_another_process_is_locked_out(tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    code = (
        "import sys; from nmt.run import RunFolder\n"
        "try: RunFolder.create(sys.argv[1], resume=True)\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    call = [sys.executable, "-c", code, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = RunFolder.create(tmp_path, resume=True)
    refused = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == f"run={tmp_path} is in use: another process is training in it\n"
    assert run._lock is not None
    run._lock.close()  # as the end of the process does
    assert subprocess.run(call, env=environment).returncode == 0


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # takes the lock and is killed
        RunFolder.create(tmp_path, resume=False)
        os.write(writer, b"x")
        os.kill(os.getpid(), 9)
    assert os.read(reader, 1) == b"x"
    os.waitpid(child, 0)
    run = RunFolder.create(tmp_path, resume=False)
    assert run._lock is not None and not run._lock.closed
    with (tmp_path / ".lock").open("wb") as again, pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_never_became_a_run_is_available(tmp_path: Path) -> None:
    """The disk was full, or the process was killed, before model.json was written."""
    RunFolder.create(tmp_path, resume=False)
    for name in ("tokenizer.model", "tokenizer.json", "config.yaml", "search.json", ".corpus.json.abcd1234.partial"):
        (tmp_path / name).write_text("half")
    RunFolder.create(tmp_path, resume=False)
    assert not list(tmp_path.glob(".*.partial"))
    for name in ("model.json", "notes.txt", "checkpoints/best.safetensors"):
        (tmp_path / name).touch()
        with pytest.raises(UserError, match=r"(is in use|holds other files): name another folder"):
            RunFolder.check_available(tmp_path, resume=False)
        (tmp_path / name).unlink()
    (tmp_path / ".lock").unlink()  # the folder of another program, whose config.yaml must not be overwritten
    with pytest.raises(UserError, match=r"(is in use|holds other files): name another folder"):
        RunFolder.check_available(tmp_path, resume=False)


def test_a_failure_says_what_is_intact_and_how_to_continue(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", resume=False)
    assert run.recovery_hint() == "there is no checkpoint yet: start again with the same command"
    run.write_description("model", {"class": "PlainRNN", "arguments": {}})
    assert run.recovery_hint().endswith("start again with the same command and resume=true")
    save_weights({"a": torch.zeros(1)}, run.best, step=5)
    assert "the weights of step 5" in run.recovery_hint() and "they can translate" in run.recovery_hint()
    save_weights({"a": torch.zeros(1)}, run.last, step=7)
    assert run.recovery_hint() == f"the checkpoint of step 7 ({run.last}) is intact: continue with resume=true"
    run.last.write_bytes(run.last.read_bytes()[:-1])
    assert "step 5" in run.recovery_hint()
    with pytest.raises(Failure, match=r"the disk is full; the weights of step 5"), run.with_recovery_hint():
        raise Failure("the disk is full")
    shutil.rmtree(run.path)
    assert "itself is gone: put it back and continue with resume=true" in run.recovery_hint()


def test_open_says_what_is_missing(tmp_path: Path, trained_run: Path) -> None:
    with pytest.raises(UserError, match="is not a folder: name one that nmt train wrote"):
        RunFolder.open(tmp_path / "missing")
    with pytest.raises(UserError, match=r"is not a run folder: it has no model\.json"):
        RunFolder.open(tmp_path)
    (tmp_path / "model.json").touch()
    with pytest.raises(UserError, match="has no checkpoint yet"):
        RunFolder.open(tmp_path)
    assert RunFolder.open(trained_run).path == trained_run


def test_a_trained_run_holds_everything_that_translation_needs(run_copy: RunFolder) -> None:
    model = run_copy.model()
    assert type(model) is LuongRNN and not model.training
    assert run_copy.tokenizer().source_size == 40
    assert type(Translator.load(run_copy.path, device="cpu").search) is BeamSearch
    assert run_copy.best_step() in (80, 120, 160)
    for name in ("config.yaml", "log.txt", "corpus.json", "search.json", "model.json", "tokenizer.json"):
        assert (run_copy.path / name).is_file()
    assert not any("_target_" in file.read_text() for file in run_copy.path.glob("*.json"))


def test_the_model_has_the_weights_of_the_file(run_copy: RunFolder) -> None:
    weights = read_weights(run_copy.best)
    own = run_copy.model().state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in weights.items())


def test_the_corpus_can_be_built_with_other_arguments(run_copy: RunFolder, corpus_folder: Path) -> None:
    corpus = run_copy.corpus()
    assert (corpus.source, corpus.target) == ("en", "de")
    assert len(corpus.split("test")) == 8
    assert run_copy.corpus(source="de", target="en").source == "de"
    with pytest.raises(UserError, match="elsewhere"):
        run_copy.corpus(path=str(corpus_folder / "elsewhere")).split("test")


@pytest.mark.parametrize("name", ["model", "search", "corpus"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing|has no model"),
        ("", "is damaged"),
        ("[1]", "is damaged"),
        ('{"class": "PlainRNN", "arguments": {}}', "is damaged"),
        ('{"format": "1", "class": "PlainRNN"}', "is damaged"),
        ('{"format": 3, "class": "PlainRNN"}', "has format 3, this program reads 2: update nmt"),
        ('{"format": 2}', "class"),
        ('{"format": 2, "class": "Unknown"}', "has no class"),
        ('{"format": 2, "class": "Unknown", "arguments": 3}', "is damaged"),
    ],
)
def test_a_damaged_description_is_refused_in_one_line(
    run_copy: RunFolder, name: str, content: str | None, message: str
) -> None:
    path = run_copy.path / f"{name}.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        run_copy.corpus() if name == "corpus" else Translator.load(run_copy.path, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [[1, 2], 3, None, "path"])
def test_damaged_arguments_of_a_corpus_are_refused(run_copy: RunFolder, arguments: Any) -> None:
    run_copy.write_description("corpus", {"class": "FilesCorpus", "arguments": arguments})
    with pytest.raises(UserError):
        run_copy.corpus()


def test_step_paths_are_in_the_order_of_steps(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, resume=False)
    for step in (900, 1000, 99):
        save_weights({"a": torch.zeros(1)}, run.step_path(step), step=step)
    assert run.step_paths() == [run.step_path(99), run.step_path(900), run.step_path(1000)]


def test_a_description_is_plain_json_with_its_format(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_description("model", {"class": "PlainRNN", "arguments": {"a": 1}})
    assert json.loads((tmp_path / "model.json").read_text()) == {
        "format": 2,
        "class": "PlainRNN",
        "arguments": {"a": 1},
    }
    assert RunFolder(tmp_path).description("model")["class"] == "PlainRNN"
