"""`nmt` without a command: its options, its help, and how it finds commands."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

import nmt.cli
from nmt.cli import main
from nmt.cli.shell.commands import COMMANDS, Command
from nmt.cli.shell.configuration import conf_folder

ROOT = Path(nmt.cli.__file__).parents[2]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(
    arguments: list[str], calls: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    output, error = capsys.readouterr()
    assert "  greet      greet somebody\n  plain      do nothing\n" in output
    assert max(len(line) for line in output.splitlines()) <= 80
    assert error == ""


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert capsys.readouterr().out == f"nmt {declared}\n"


def test_a_command_receives_its_configuration(calls: list[DictConfig]) -> None:
    assert main(["greet", "run=here"]) == 0
    assert main(["plain", "seed=3"]) == 0  # a second command in the same process
    assert [config.seed for config in calls] == [1, 3]
    assert calls[0].run == "here"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["gret"], "gret: no such command; did you mean greet?"),
        (["seed=1"], "seed=1: no such command; the commands are greet, plain"),
        (["--versoin"], "--versoin: no such option; did you mean --version?"),
        (["--completion"], "--completion needs the name of a shell: bash, zsh, fish"),
        (["--completion", "cmd"], "--completion needs the name of a shell: bash, zsh, fish"),
    ],
)
def test_a_wrong_first_word_is_named(arguments: list[str], text: str, error_line: Callable[..., str]) -> None:
    assert error_line(*arguments) == text


def test_help_imports_no_large_library() -> None:
    code = "import sys; from nmt.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"torch", "hydra", "omegaconf", "datasets", "numpy"}.isdisjoint(done.stderr.split())


def test_python_m_nmt_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "nmt", "tarin"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nmt: tarin: no such command; did you mean train?\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_a_module_a_configuration_and_a_help_page(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (ROOT / "nmt" / "cli" / f"{command.name}.py").is_file()
    assert (conf_folder() / f"{command.name}.yaml").is_file()
    assert main([command.name, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"nmt {command.name}: {command.summary}\n")
    assert [line for line in page.splitlines() if len(line) > 80] == []
