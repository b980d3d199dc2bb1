"""`nmt train`, called through the program's entry point."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.cli import main

Train = Callable[..., int]


@pytest.fixture
def train(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Train:
    """Calls `nmt train` with a tiny model, corpus and training, into the folder `run`; later words override."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str, model: str = "lstm") -> int:
        common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / 'run'}"]
        return main(["train", *common, *tiny_models[model], *tiny_training, *words])

    return run


@pytest.fixture(scope="session")
def two_way_run(
    corpus_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
) -> Path:
    """The run folder of a tiny LSTM, trained for one step in both directions; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "both"
    words = [*tiny_models["lstm"], *tiny_training, "tokenizer.vocab_size=60"]
    words += ["data=mix", f"data.path={corpus_folder}", "data.parts=[{languages: [en, de]}]"]
    assert main(["train", f"run={folder}", *words]) == 0
    return folder


@pytest.fixture
def error_line(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Calls `nmt train` with a mistake, checks exit code 2, one line and no folder, and returns the line."""

    def run(*words: str, model: str = "lstm") -> str:
        assert train(*words, model=model) == 2
        output, error = capsys.readouterr()
        assert output == ""
        assert error.startswith("nmt train: ") and error.endswith("\n") and error.count("\n") == 1, error
        assert not (tmp_path / "run").exists()
        return error.removeprefix("nmt train: ").rstrip("\n")

    return run


@pytest.fixture
def read_files() -> Callable[[Path], dict[str, bytes]]:
    """Returns the content of every file in a folder."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read
