"""`nmt train -m` by launchers and sweepers of Hydra: the runs, the table of results, and a sweep that was killed."""

import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.run import RunFolder
from nmt.training.update import Updater

Train = Callable[..., int]
ErrorLine = Callable[..., str]

DROPOUTS = "model.dropout=0.0,0.3"


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative: without run=, the runs are in runs/, and so is what a launcher writes."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sweep(corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str]) -> Train:
    """Calls `nmt train -m` with a tiny model, corpus and training, into the folder runs/NAME; later words override."""

    def run(*words: str, name: str = "sweep") -> int:
        common = ["data=files", f"data.path={corpus_folder}", f"name={name}", "resume=auto"]
        return main(["train", "-m", *common, *tiny_models["lstm"], *tiny_training, *words])

    return run


def rows(table: str) -> list[list[str]]:
    """The cells of a printed table, without heading and line."""
    return [re.split(r"\s{2,}", line.strip()) for line in table.strip().splitlines()[2:]]


def test_lines_are_commands_that_train_the_same_runs(
    sweep: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(DROPOUTS, "seed=1,2", "--lines") == 0
    lines = capsys.readouterr().out.splitlines()
    assert not (tmp_path / "runs").exists()
    assert len(lines) == 4
    program, *words = shlex.split(lines[3])
    assert program == "nmt" and main(words) == 0
    assert [path.name for path in (tmp_path / "runs" / "sweep").iterdir()] == ["lstm-seed2-dropout=0.3"]


def kill_in_second_run() -> None:
    """Makes this process kill itself at the second update of the second run."""
    update, num_updates = Updater.update, 0

    def counted(updater: Updater, *args: object, **kwargs: object) -> object:
        nonlocal num_updates
        num_updates += 1
        if num_updates == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return update(updater, *args, **kwargs)  # type: ignore[arg-type]

    Updater.update = counted  # type: ignore[assignment, method-assign]


@pytest.mark.slow
def test_a_killed_sweep_that_joblib_continues_ends_with_the_same_table(
    sweep: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["schedule.learning_rate=1e-9,0.02,0.001", "schedule.warmup_steps=1", "trainer.select=loss"]
    words += ["trainer.max_steps=3", "trainer.save_every=1", "threads='1'"]
    if (pid := os.fork()) == 0:
        kill_in_second_run()
        sweep(*words, name="killed")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    folders = sorted(path.name for path in (tmp_path / "runs" / "killed").iterdir())
    assert folders == ["lstm-seed1-learning_rate=0.02", "lstm-seed1-learning_rate=1e-09"]

    assert sweep(*words, name="steady") == 0
    expected = capsys.readouterr().out
    assert expected.split()[:6] == ["schedule.learning_rate", "BLEU", "chrF", "loss", "step", "run"]
    best_first = rows(expected)  # in a few steps, the model learns the more, the higher the rate
    assert [row[0] for row in best_first] == ["0.02", "0.001", "1e-09"]
    assert [float(row[3]) for row in best_first] == sorted(float(row[3]) for row in best_first)
    assert best_first[0][4:] == ["3", "runs/steady/lstm-seed1-learning_rate=0.02"]
    context = pytest.importorskip("joblib.externals.loky.backend.context")
    context.set_start_method("fork", force=True)  # a new process would need seconds to load torch
    try:
        assert sweep(*words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", name="killed") == 0
    finally:
        context.set_start_method(None, force=True)
    output, error = capsys.readouterr()
    assert output.replace("runs/killed", "runs/steady") == expected
    assert "nmt train: 3 runs by hydra/launcher=joblib\n" in error


@pytest.mark.slow
def test_submitit_runs_each_run_in_a_process_of_its_own(
    sweep: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    assert sweep("hydra/launcher=submitit_local", "hydra.sweep.dir=logs", "trainer.max_steps=2") == 0
    [[*_, step, folder]] = rows(capsys.readouterr().out)
    assert (step, folder) == ("2", "runs/sweep/lstm-seed1")
    [log] = (tmp_path / "logs" / ".submitit").rglob("*_log.err")
    assert "ended after step 2" in log.read_text(encoding="utf-8")


def test_the_error_of_each_run_is_reported(sweep: Train, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "validation_split=nothing,none"]
    assert sweep(*words) == 2
    output, error = capsys.readouterr()
    assert "nmt train (validation_split=nothing): " in error and "Traceback" not in error
    assert error.endswith("nmt train: 2 of 2 runs failed\n")
    assert [row[:2] for row in rows(output)] == [["nothing", "–"], ["none", "–"]]


def test_optuna_chooses_the_same_runs_when_it_is_started_again(
    sweep: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweep.dir=logs"]
    words += ["model.dropout=interval(0.1,0.3)", "model.hidden_size=choice(8,16)", "trainer.max_steps=2"]
    assert sweep(*words) == 0
    table = capsys.readouterr().out
    assert len(rows(table)) == 3
    for dropout, size, *_, folder in rows(table):
        assert 0.1 <= float(dropout) <= 0.3 and len(dropout) <= 6
        assert folder == f"runs/sweep/lstm-seed1-dropout={dropout}-hidden_size={size}"
        assert RunFolder(folder).description("model")["arguments"]["hidden_size"] == int(size)
    assert sweep(*words) == 0
    output, error = capsys.readouterr()
    assert output == table
    assert error.count("is finished after step 2 (max_steps=2): there is nothing to do\n") == 3
    assert sweep(*words, "validation_split=null") == 2  # before it trains
    output, error = capsys.readouterr()
    assert output == "" and "hydra/sweeper chooses by validation, but validation_split=null has none" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hydra/launcher=joblib"], "hydra/launcher=joblib is for the runs of -m: add -m"),
        (["-m", "hydra/launcher=joblob"], "hydra/launcher=joblob: no such choice; did you mean joblib?"),
        (["-m", "hydra/sweeper=optuna"], "hydra/sweeper=optuna can choose the same values twice: add resume=auto"),
        (
            ["-m", "--lines", "hydra/sweeper=optuna", "resume=auto"],
            "--lines cannot list runs that hydra/sweeper=optuna chooses one after the other",
        ),
        (["-m", "hydra.launcher.jobs=2"], "Could not override 'hydra.launcher.jobs'"),
        (["--lines"], "--lines lists the runs of -m: add -m"),
    ],
)
def test_mistakes(error_line: ErrorLine, words: list[str], message: str) -> None:
    assert message in error_line(*words)


def test_a_plugin_that_is_not_installed_is_named(error_line: ErrorLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hydra._internal.config_loader_impl.ConfigLoaderImpl.get_group_options", lambda *_, **__: ["basic"]
    )
    assert "hydra/launcher=ray is not installed: pip install 'nmt[ray]'" in error_line("-m", "hydra/launcher=ray")
