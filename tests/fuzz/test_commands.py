"""Whatever a path, a name or a file on the command line is, a command ends well, or in one line that says why.

`test_readers.py` damages what is inside a file. Here every key that names something gets odd values, through the
program's own entry point: a few values in an ordinary test run, and all of them in a campaign (see conftest.py).
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.evaluation import significance
from nmt.report import comparison

Run = Callable[..., None]

IS_CAMPAIGN = "NMT_FUZZ_EXAMPLES" in os.environ


@pytest.fixture
def odd_paths(tmp_path: Path) -> list[str]:
    """Paths that cannot be what a command expects; in a campaign, some too that only look so."""
    (tmp_path / "empty file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    inside = ["empty file", "folder", "loop", "empty file/below", "x" * 300, "\udcff"]
    if IS_CAMPAIGN:
        inside += ["dangling", "binary", "missing", "loop/below", "missing/below", "Straße 日本 😀", "folder/" * 1000]
        inside += ["../../../../../../../../../../dev/null", "../../../../../../../../../../proc/self/mem"]
    return [*(f"{tmp_path}/{name}" for name in inside), "~nobody-of-this-name/x", *([""] if IS_CAMPAIGN else [])]


ODD_NAMES = ["", "x" * 300, "\udcff", "../../etc/passwd"]
if IS_CAMPAIGN:
    ODD_NAMES += [".", "..", "日本", "null", "None", "1e400", "-1", "cuda:9" * 9]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command line: it must not end in a traceback, and must say in one line why it fails."""
    monkeypatch.setattr(significance, "NUM_RESAMPLES", 2)
    monkeypatch.setattr(comparison, "NUM_RESAMPLES", 2)
    monkeypatch.chdir(tmp_path)  # some values are relative paths
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))

    def call(*words: str) -> None:
        capsys.readouterr()
        code = main(words)
        error = capsys.readouterr().err
        assert "Traceback" not in error, (words, error)
        assert code in (0, 1, 2), (words, error)
        if code != 0:
            assert error.splitlines()[-1].startswith(f"nmt {words[0]}: "), (words, error)
        if code == 1:  # the system refuses to write
            assert "cannot be" in error, (words, error)

    return call


def quoted(value: str) -> str:
    """A value as hydra reads it, whatever characters are in it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@pytest.fixture
def words(
    trained_run: Path,
    corpus_folder: Path,
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
) -> dict[str, dict[str, str]]:
    """The keys and values by which each command works."""
    evaluated = shutil.copytree(trained_run, tmp_path / "evaluated")
    (evaluated / "evaluation").mkdir(exist_ok=True)
    (tmp_path / "input.txt").write_text("one two\n")
    shared = {"run": str(evaluated), "device": "cpu"}
    training = {"run": str(tmp_path / "new"), "device": "cpu", "data": "files", "data.path": str(corpus_folder)}
    training |= dict(word.split("=", 1) for word in [*tiny_models["lstm"], *tiny_training])
    training |= {"data.source": "en", "data.target": "de"}
    benchmark_keys = {"device", "data", "data.path", "model", "tokenizer.vocab_size"}
    return {
        "translate": {**shared, "input": str(tmp_path / "input.txt"), "output": str(tmp_path / "output.txt")},
        "evaluate": {**shared, "split": "test", "data.path": str(corpus_folder)},
        "compare": {"runs": f"[{evaluated}]", "split": "test", "out": str(tmp_path / "report"), "device": "cpu"},
        "plot": {**shared, "source": "one two", "out": str(tmp_path / "plot.json")},
        "train": training,
        "doctor": training,
        "benchmark": {
            **{key: value for key, value in training.items() if key in benchmark_keys},
            "steps": "0",
            "sentences": "0",
            "out": str(tmp_path / "speed.json"),
        },
    }


@pytest.mark.parametrize(
    ("command", "key"),
    [
        *(("benchmark", "data.path"), ("benchmark", "out")),
        *(("translate", "run"), ("translate", "input"), ("translate", "output")),
        *(("evaluate", "run"), ("evaluate", "data.path")),
        *(("compare", "runs"), ("compare", "out")),
        *(("plot", "run"), ("plot", "out")),
        *(("train", "run"), ("train", "data.path")),
        *([("doctor", "run"), ("doctor", "data.path")] if IS_CAMPAIGN else []),
    ],
)
def test_an_odd_path_is_refused_in_one_line(
    command: str, key: str, words: dict[str, dict[str, str]], odd_paths: list[str], run: Run
) -> None:
    for value in odd_paths:
        is_valid = (value.startswith("~") and key != "data.path") or (value.endswith("/folder") and command == "train")
        if is_valid and not IS_CAMPAIGN:
            continue
        changed = f"[{quoted(value)}]" if key == "runs" else quoted(value)
        if (command, key) in (("translate", "input"), ("translate", "output")):
            changed = value  # taken as it is typed
        run(command, *(f"{name}={changed if name == key else old}" for name, old in words[command].items()))


@pytest.mark.parametrize(
    ("command", "key"),
    [
        *(("translate", "device"), ("evaluate", "split"), ("evaluate", "device"), ("compare", "split")),
        *(("train", "device"), ("train", "data.source")),
    ],
)
def test_an_odd_name_is_refused_in_one_line(command: str, key: str, words: dict[str, dict[str, str]], run: Run) -> None:
    for value in ODD_NAMES:
        run(command, *(f"{name}={quoted(value) if name == key else old}" for name, old in words[command].items()))


@pytest.mark.parametrize(
    "variables",
    [
        {"WORLD_SIZE": "2"},
        {"WORLD_SIZE": "two", "RANK": "0"},
        {"WORLD_SIZE": "2", "RANK": "x", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"},
    ],
)
def test_odd_variables_of_torchrun_are_refused_in_one_line(
    variables: dict[str, str],
    words: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["train", *(f"{name}={value}" for name, value in words["train"].items())]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "torchrun did not start this process" in error
