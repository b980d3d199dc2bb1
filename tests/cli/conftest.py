"""Two small commands, `greet` and `plain`, with a configuration folder of their own, run by the real entry point."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import DictConfig

import nmt.cli
from nmt.cli import main
from nmt.cli.shell import commands
from nmt.cli.shell.commands import Command

FILES = {
    "greet.yaml": """\
# Greets somebody.
#
#   nmt greet run=runs/a voice=loud

defaults:
  - voice: calm
  - trainer: default
  - _self_
  - experiment: null  # a whole set-up

run: ???  # the folder of a run, e.g. runs/demo/lstm
runs: null
source: ""  # a sentence
target: null
title: ${source}
name: plain
folder: runs/${name}/${hydra:runtime.choices.voice}-seed${seed}
seed: 1
splits: [val, test]
""",
    "plain.yaml": "# Does nothing.\nseed: 1\n",
    "voice/calm.yaml": """\
# A calm voice.
_target_: builtins.dict
volume: 0.5  # between 0 (nothing) and 1
warm: true
""",
    "voice/loud.yaml": "_target_: builtins.dict\nvolume: 1.0\nechoes: 2\n",
    "voice/shrill.yaml": "_target_: builtins.dict\nvolume: 2.0\n# how high,\n# in hertz\npitch: ???\n",
    "trainer/default.yaml": "max_steps: 100  # updates\nmax_minutes: null  # minutes; null: no limit\ndevice: auto\n",
    "experiment/concert.yaml": """\
# @package _global_
defaults:
  - override /voice: loud
seed: 7
trainer:
  max_steps: 3
""",
}

COMMANDS = (
    Command("greet", "greet somebody", verbatim_keys=("source", "target"), output_key="folder"),
    Command("plain", "do nothing"),
)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The folder of the commands' YAML files; a test may change them."""
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def calls(conf: Path, monkeypatch: pytest.MonkeyPatch) -> list[DictConfig]:
    """Replaces the real commands; returns the configurations that the commands receive, in order."""
    received: list[DictConfig] = []
    for command in COMMANDS:
        module = ModuleType(command.module)
        module.run = received.append  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, command.module, module)
    monkeypatch.setattr(commands, "COMMANDS", COMMANDS)
    monkeypatch.setattr("nmt.cli.shell.configuration.conf_folder", lambda: conf)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return received


@pytest.fixture
def replace_greet(
    calls: list[DictConfig], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[DictConfig], None]], None]:
    """Replaces what `greet` does."""

    def replace(run: Callable[[DictConfig], None]) -> None:
        monkeypatch.setattr(sys.modules["nmt.cli.greet"], "run", run)

    return replace


@pytest.fixture
def error_line(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a wrong command line; returns the one line that it prints, without the name of the program."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 2
        output, error = capsys.readouterr()
        assert output == ""
        assert error.endswith("\n") and error.count("\n") == 1
        assert calls == []
        program, _, text = error.rstrip("\n").partition(": ")
        assert program == ("nmt greet" if arguments[0] == "greet" else "nmt")
        return text

    return run


@pytest.fixture
def program(conf: Path, tmp_path: Path) -> Path:
    """An executable `nmt` with these commands, for tests that need a process or a shell."""
    path = tmp_path / "bin" / "nmt"
    path.parent.mkdir()
    path.write_text(
        f"""\
#!{sys.executable}
import sys, types
from pathlib import Path
sys.path.insert(0, {str(Path(nmt.cli.__file__).parents[2])!r})
import nmt.cli.shell.configuration
from nmt.cli import main
from nmt.cli.shell import commands
from nmt.cli.shell.commands import Command
commands.COMMANDS = {COMMANDS!r}
nmt.cli.shell.configuration.conf_folder = lambda: Path({str(conf)!r})
def lines(config):
    for number in range(100_000):
        print(number)
def touch(config):
    Path("ran").touch()
for name, run in (("greet", lines), ("plain", touch)):
    module = types.ModuleType(f"nmt.cli.{{name}}")
    module.run = run
    sys.modules[module.__name__] = module
code = main()
if "torch" in sys.modules:
    sys.exit("torch was imported")
sys.exit(code)
""",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path
