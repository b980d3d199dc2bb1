"""The door: `nmt`, its options, and the way to the commands."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

import nmt.cli
from nmt.cli import main
from nmt.cli.shell.configuration import conf_folder

ROOT = Path(nmt.cli.__file__).parents[2]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(
    arguments: list[str], calls: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    output, error = capsys.readouterr()
    assert "  greet      say something to somebody\n  plain      do nothing at all\n" in output
    assert max(len(line) for line in output.splitlines()) <= 80
    assert error == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert capsys.readouterr().out == f"nmt {declared}\n"


def test_a_command_receives_its_configuration(calls: list[DictConfig]) -> None:
    assert main(["greet", "run=here"]) == 0
    assert main(["plain", "seed=3"]) == 0  # again in the same process: hydra was left behind clean
    assert [config.seed for config in calls] == [1, 3]
    assert calls[0].run == "here"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["gret"], "gret: no such command; did you mean greet?"),
        (["seed=1"], "seed=1: no such command; there is greet, plain"),
        (["--versoin"], "--versoin: no such option; did you mean --version?"),
        (["--completion"], "--completion needs the name of a shell: bash, zsh, fish"),
        (["--completion", "cmd"], "--completion needs the name of a shell: bash, zsh, fish"),
    ],
)
def test_a_wrong_first_word(arguments: list[str], text: str, mistake: Callable[..., str]) -> None:
    assert mistake(*arguments) == text


def test_help_waits_for_nothing_heavy() -> None:
    code = "import sys; from nmt.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"torch", "hydra", "omegaconf", "datasets", "numpy"}.isdisjoint(done.stderr.split())


def test_python_m_nmt_is_nmt() -> None:
    done = subprocess.run([sys.executable, "-m", "nmt", "tarin"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "nmt: tarin: no such command; did you mean train?\n"


@pytest.mark.parametrize("command", nmt.cli.COMMANDS, ids=lambda command: command.name)
def test_a_command_has_both_a_module_and_a_configuration(
    command: nmt.cli.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ROOT / "nmt" / "cli" / f"{command.name}.py"
    try:
        path = conf_folder() / f"{command.name}.yaml"
    except FileNotFoundError:
        path = None
    assert module.is_file() == bool(path and path.is_file())
    if module.is_file():
        assert main([command.name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"nmt {command.name}: {command.summary}\n")
