"""`resume=auto` starts a run, continues it, or leaves it alone if it is finished."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.training.checkpoint import read_progress

Train = Callable[..., int]
Files = Callable[[Path], dict[str, bytes]]


def test_auto_starts_leaves_alone_and_continues(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert train("resume=auto") == 0  # a new run
    before = read_files(folder)
    capsys.readouterr()
    assert train("resume=auto") == 0  # a finished one
    output, error = capsys.readouterr()
    reason = f"run={folder} is finished after step 1 (max_steps=1): there is nothing to do"
    assert (output, error) == ("", f"nmt train: {reason}\n")
    assert read_files(folder) == before
    assert train("resume=auto", "trainer.max_steps=2") == 0  # a higher limit
    assert read_progress(RunFolder(folder).last).step == 2
    assert [record.step for record in read_history(folder / "history.jsonl").validation] == [1, 2]


def test_auto_leaves_a_finished_run_alone_without_its_corpus(train: Train, own_corpus: Path) -> None:
    assert train(f"data.path={own_corpus}") == 0
    shutil.rmtree(own_corpus)
    assert train(f"data.path={own_corpus}", "resume=auto") == 0


def test_a_sweep_can_be_started_again(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-m", "resume=auto", "run=" + str(tmp_path / "${seed}"), "seed=1,2"]
    assert train(*words) == 0
    capsys.readouterr()
    assert train(*words[:-1], "seed=1,2,3") == 0
    error = capsys.readouterr().err
    assert error.count(" is finished after step 1 (max_steps=1): there is nothing to do\n") == 2
    assert error.count("ended after step 1") == 1
    assert read_progress(RunFolder(tmp_path / "3").last).step == 1


@pytest.mark.parametrize("num_files", [0, 1, 6])
def test_auto_starts_again_after_a_kill_during_the_first_files(train: Train, tmp_path: Path, num_files: int) -> None:
    folder = tmp_path / "run"
    if num_files > 0:
        folder.mkdir()
    first_files = [
        ".lock",
        "checkpoints",
        "tokenizer.json",
        "tokenizer.model",
        "config.yaml",
        ".corpus.json.abcdefgh.partial",
    ]
    for name in first_files[:num_files]:
        (folder / name).mkdir() if name == "checkpoints" else (folder / name).write_text("half")
    assert train("resume=auto") == 0
    assert read_progress(RunFolder(folder).last).step == 1


def test_auto_continues_a_run_without_a_checkpoint(
    train: Train, tmp_path: Path, remove_progress: Callable[[Path], None]
) -> None:
    assert train() == 0
    remove_progress(tmp_path / "run")
    assert train("resume=auto") == 0
    assert [record.step for record in read_history(tmp_path / "run" / "history.jsonl").validation] == [1]


@pytest.mark.parametrize("is_new", [True, False])
def test_auto_refuses_a_folder_in_which_another_process_trains(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_new: bool
) -> None:
    if not is_new:
        assert train() == 0
    holder = RunFolder.create(tmp_path / "run", resume=not is_new)
    capsys.readouterr()
    assert train("resume=auto") == 2
    assert capsys.readouterr().err == f"nmt train: run={holder.path} is in use: another process is training in it\n"


@pytest.mark.parametrize("mode", ["auto", "true", "false"])
def test_a_folder_with_other_files_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert train(f"resume={mode}") == 2
    what = (
        "holds no run to continue: leave resume=true out"
        if mode == "true"
        else "holds other files: name another folder"
    )
    assert capsys.readouterr().err == f"nmt train: run={tmp_path / 'run'} {what}\n"


def test_another_value_of_resume_is_refused(error_line: Callable[..., str]) -> None:
    assert error_line("resume=maybe") == "resume=maybe must be true, false or auto"
