"""docs/architecture.md is true: its map names every file, and its new architecture works exactly as printed.

The walkthrough is followed in a copy of the project: the page's files are written, its diffs applied and its commands
run, on a tiny corpus with few steps.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MAP = PAGE.partition("\n## A map of the files\n")[2].partition("\n## ")[0]
WALKTHROUGH = PAGE.partition("\n## Add an architecture\n")[2]
COPIED = ("nmt", "conf", "tests", "pyproject.toml")
MAX_LINES = 80
"""How long the new architecture's file may be, blank lines not counted."""

TINY_SIZES = ["model.embedding_size=16", "model.hidden_size=16"]

RUN_COMMANDS = (
    "import json, sys; from nmt.cli import main; sys.exit(any(main(words) for words in json.load(sys.stdin)))"
)
"""A program that runs several commands of `nmt` in one process."""


def mapped_paths() -> list[str]:
    """Every path in the map, a tree in which two spaces of indentation lead into a folder."""
    paths, folders = [], [""]
    for line in MAP.splitlines():
        if match := re.match(r"( *)((?:\w+(?:\.py|/)\s+)+)", f"{line} "):
            depth = len(match[1]) // 2
            del folders[depth + 1 :]
            for name in match[2].split():
                paths.append(folders[depth] + name)
            folders.append(paths[-1])
    return paths


def named_blocks(language: str) -> list[tuple[str, str]]:
    """(path, text) of every code block in a language whose preceding line is the path of a file."""
    return re.findall(rf"^`([\w./]+)`[^\n`]*:\n\n```{language}\n(.*?)^```", WALKTHROUGH, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """The words of every line in the walkthrough's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", WALKTHROUGH, re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def apply_diff(path: Path, diff: str) -> None:
    """Replaces the lines of each hunk that start with " " or "-" by those that start with " " or "+"."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = [line or " " for line in hunk.splitlines()]
        old = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        new = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        if not lines:
            continue
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path.name} does not contain these lines once:\n{old}"
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the walkthrough has been followed."""
    folder = tmp_path_factory.mktemp("walkthrough") / "project"
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for language in ("python", "yaml"):
        for path, text in named_blocks(language):
            assert not (folder / path).exists(), path
            (folder / path).write_text(text, encoding="utf-8")
    for path, diff in named_blocks("diff"):
        apply_diff(folder / path, diff)
    return folder


def run_in(folder: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs Python on the copy of the project in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, input=text, capture_output=True, text=True
    )


def test_the_map_names_only_what_exists() -> None:
    paths = mapped_paths()
    assert len(paths) == len(set(paths)) > 50
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_map_names_every_file() -> None:
    """Every module is in the map, or in a folder of which the map shows no files."""
    paths = mapped_paths()
    summarised = [
        path for path in paths if path.endswith("/") and not any(p.startswith(path) for p in paths if p != path)
    ]
    files = [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "nmt").rglob("*.py") if not path.stem.startswith("__")
    ]
    missing = [file for file in files if file not in paths and not file.startswith(tuple(summarised))]
    assert sorted(missing) == []


def test_the_walkthrough_is_short() -> None:
    (_, text), *others = named_blocks("python")
    assert others == []
    assert len([line for line in text.splitlines() if line.strip()]) <= MAX_LINES


def test_the_new_files_follow_the_style(project: Path) -> None:
    paths = [path for language in ("python", "diff") for path, _ in named_blocks(language)]
    assert len(paths) == 3
    for command in (["check"], ["format", "--check"]):
        process = run_in(project, "-m", "ruff", *command, *paths)
        assert process.returncode == 0, process.stdout


@pytest.mark.slow
def test_the_new_architecture_keeps_the_contract(project: Path) -> None:
    """The same tests as for every other architecture, by the command that the page names."""
    [(script, *options)] = [words for words in commands() if words[0] == "./scripts/test.sh"]
    assert script == "./scripts/test.sh"
    process = run_in(project, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *options)
    assert process.returncode == 0, process.stdout
    passed = re.search(r"(\d+) passed", process.stdout)
    assert passed and int(passed[1]) >= 30, process.stdout


@pytest.mark.slow
def test_the_new_architecture_trains_and_translates(
    project: Path, corpus_folder: Path, tiny_training: list[str]
) -> None:
    """Every `nmt` command of the walkthrough, word for word but for the corpus and the sizes."""
    lines = []
    for words in commands():
        if words[0] != "nmt":
            continue
        words = [f"data.path={corpus_folder}" if word == "data.path=my-text" else word for word in words[1:]]
        lines.append([*words, *TINY_SIZES, *tiny_training, "trainer.max_steps=3"] if words[0] == "train" else words)
    assert [words[0] for words in lines] == ["train", "evaluate", "plot"]
    process = run_in(project, "-c", RUN_COMMANDS, text=json.dumps(lines))
    assert process.returncode == 0, process.stderr
    assert "BLEU" in process.stdout
    assert (project / "runs" / "bag" / "model.json").read_text(encoding="utf-8").count("BagOfWordsLSTM") == 1
    assert (project / "bag.png").stat().st_size > 0
