"""`-m`: which runs one command line stands for, and the folder of each. The command `greet` writes `folder`."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import hydra_initialized, plain_values
from nmt.cli.shell.sweep import configure_sweep

FOLDER = "runs/plain/calm-seed1"

Sweep = Callable[..., list[str]]
ErrorLine = Callable[..., str]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


@pytest.fixture
def folders(conf: Path, calls: list[DictConfig]) -> Sweep:
    """The folders of the runs that a command line of `greet` stands for; nothing runs."""
    command = Command("greet", "greet somebody", verbatim_keys=("source", "target"), output_key="folder")

    def sweep(*words: str) -> list[str]:
        with hydra_initialized() as folder:
            runs = configure_sweep(command, folder, ["run=x", *words])
        assert calls == []
        return [str(plain_values(config)["folder"]) for _, config in runs]

    return sweep


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seed=1,2"], ["runs/plain/calm-seed1", "runs/plain/calm-seed2"]),  # the name shows it already
        (["seed=range(1,3)", "name=a,b c"], [f"runs/{name}/calm-seed{n}" for n in (1, 2) for name in ("a", "b c")]),
        (["voice=glob(*,exclude=shrill)"], [f"runs/plain/{voice}-seed1" for voice in ("calm", "loud")]),
        (["trainer.max_steps=5,10"], [f"{FOLDER}-max_steps=5", f"{FOLDER}-max_steps=10"]),
        (["experiment=concert,null"], ["runs/plain/loud-seed7", FOLDER]),
        (
            ["voice.volume=0.1,1e-3", "seed=4"],
            ["runs/plain/calm-seed4-volume=0.1", "runs/plain/calm-seed4-volume=0.001"],
        ),
        (["target=a,b"], [FOLDER]),  # taken as typed
        (["title=a b,c"], [f"{FOLDER}-title=a-b-{digest('a b')}", f"{FOLDER}-title=c"]),
        (["folder=x/${trainer.max_steps}", "trainer.max_steps=5,10"], ["x/5", "x/10"]),
    ],
)
def test_each_run_has_a_folder_of_its_own(words: list[str], expected: list[str], folders: Sweep) -> None:
    assert folders(*words) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prüfung,it's", ["prüfung", "it's"]),
        ("'a,b',2024,1e3,null", ["a,b", "2024", "1e3", "null"]),
        ("choice(a,b)", ["a", "b"]),
        ("a[1,2],b c", ["a[1,2]", "b c"]),
    ],
)
def test_paths_in_a_sweep_are_taken_as_typed(text: str, expected: list[str], calls: list[DictConfig]) -> None:
    assert main(["greet", "-m", "folder=x/${run}", f"run={text}"]) == 0
    assert [plain_values(config)["run"] for config in calls] == expected


def test_the_names_of_folders_are_safe_short_and_distinct(folders: Sweep) -> None:
    texts = ["a/b", "a b", "..", "x" * 500, "x" * 501, "-", "a\tb", "é" * 200, "<>:|?*"]
    names = [folder.removeprefix("runs/plain/") for folder in folders("title=" + ",".join(f"'{t}'" for t in texts))]
    assert len(set(names)) == len(texts)
    for name in names:
        assert len(name.encode()) < 64 and re.fullmatch(r"calm-seed1-title=[\w.+-]*", name), name


def test_a_folder_does_not_depend_on_the_other_runs(folders: Sweep) -> None:
    few, many = folders("trainer.max_steps=1,2"), folders("trainer.max_steps=3,2,1,4")
    assert [many[2], many[1]] == few


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["folder=x", "seed=1,2"],
            "folder=x would be written by several runs (seed=1; seed=2): add ${seed} to folder=…",
        ),
        (["folder=x", "voice=loud,calm"], "add ${hydra:runtime.choices.voice} to folder=…, or leave folder= out"),
        (["folder=a,./a"], "-m would start the same run twice (folder=a; folder=./a): give each value once"),
        (["seed=1,1"], "-m would start the same run twice (seed=1; seed=1): give each value once"),
        (["seed=glob(*)"], "seed=glob(*) stands for no value"),
    ],
)
def test_runs_that_would_write_to_one_place_are_refused(words: list[str], message: str, error_line: ErrorLine) -> None:
    assert message in error_line("greet", "-m", "run=x", *words)  # and nothing has run
