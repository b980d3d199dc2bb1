"""docs/attention.md and docs/attention.ipynb are true: code, commands, figures of exercises, and the notebook runs."""

import importlib.util
import os
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from nmt.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "docs" / "attention.ipynb"
COMMANDS = [
    re.sub(r"\s+#.*", "", line)
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
CHAPTERS = re.findall(r"^## (\d+\. .*)", PAGE, flags=re.MULTILINE)
MAX_NOTEBOOK_BYTES = 300_000


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/guide.py as a module."""
    spec = importlib.util.spec_from_file_location("guide", ROOT / "scripts" / "guide.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_code_is_that_of_the_source(script: ModuleType) -> None:
    assert script.with_code(PAGE) == PAGE, "python scripts/guide.py copies the present code into docs/attention.md"
    assert len(script.BLOCK.findall(PAGE)) == PAGE.count("\n```python\n") >= len(CHAPTERS)


SOURCE = '''
class A:
    """Class."""

    @cache
    def f(self) -> int:
        """Method.

        More.
        """

        return 1  # one
'''


def test_code_is_shown_without_docstrings(script: ModuleType) -> None:
    assert script.extract(SOURCE, "A.f") == "@cache\ndef f(self) -> int:\n    return 1  # one"
    assert script.extract(SOURCE, "A") == "class A:\n    @cache\n    def f(self) -> int:\n        return 1  # one"
    with pytest.raises(ValueError):
        script.extract(SOURCE, "A.g")


def test_every_chapter_is_in_the_contents_and_complete() -> None:
    anchors = [re.sub(r"[^\w -]", "", chapter.lower()).replace(" ", "-") for chapter in CHAPTERS]
    assert re.findall(r"^\d+\. \[.*\]\(#(.*)\)$", PAGE, flags=re.MULTILINE) == anchors
    for chapter, text in zip(CHAPTERS, re.split(r"^## .*", PAGE, flags=re.MULTILINE)[1:], strict=True):
        has_code = "```python" in text or "attention_with_weights" in text  # chapter 5 explains a line of chapter 4
        assert has_code, chapter
        for part in ("```sh\n", "](pictures/", "**Exercise.**", "<summary>Solution</summary>", "</details>"):
            assert part in text, f"{chapter} lacks {part}"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("nmt train")])
def test_the_trainings_have_valid_settings(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(command)[1:] if not word.startswith("init=")]  # the run of the line before
    assert main([*words, "--cfg", "job"]) == 0, capsys.readouterr().err
    assert yaml.safe_load(capsys.readouterr().out)["run"].startswith("runs/")


def test_the_plots_can_be_drawn(
    trained_run: Path,
    transformer_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With tiny runs in place of those that the guide names, and as data, which takes less time than pictures."""
    plots = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("nmt plot")]
    for name in {name for words in plots for name in re.findall(r"runs/\w+/\w+", " ".join(words))}:
        shutil.copytree(trained_run if "lstm" in name else transformer_run, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    plots = [words for words in plots if words[1] != "run=runs/scenes"]  # its sentence is in a file
    for words in plots:
        assert words[-1].endswith(".png")
        assert main([*words[:-1], words[-1].replace(".png", ".json"), "device=cpu"]) == 0, capsys.readouterr().err
    assert len(plots) == len(list(tmp_path.glob("*.json"))) == 8


@pytest.mark.parametrize("command", sorted({command.split()[0] + " " + command.split()[1] for command in COMMANDS}))
def test_the_commands_and_scripts_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, name = command.split()
    if program == "python":
        assert (ROOT / name).is_file()
    else:
        assert program == "nmt"
        assert main([name, "--help"]) == 0


def test_the_notebook_runs(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell with its assertions, on systems that are trained for a few steps."""
    [parameters] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert parameters.source.endswith("STEPS, SENTENCES = 1_500, 20_000")
    parameters.source = "STEPS, SENTENCES = 10, 1_000"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("text/html" in output.get("data", {}) for output in outputs) >= 6  # drawn by the program's own display
    assert sum(cell.source.count("assert ") for cell in notebook.cells) >= 20


def test_the_notebook_is_small_and_has_no_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < MAX_NOTEBOOK_BYTES
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)


def test_the_notebook_has_a_part_for_every_chapter(notebook: Any) -> None:
    parts = [line[3:] for cell in notebook.cells for line in cell.source.splitlines() if re.match(r"## \d+\. ", line)]
    assert parts == CHAPTERS
