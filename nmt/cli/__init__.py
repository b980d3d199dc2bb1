"""The program's door: `nmt COMMAND …`.

A command is a line in COMMANDS, a module `nmt/cli/NAME.py` with `run(config: DictConfig) -> None`, and its
configuration `conf/NAME.yaml`. Only the command that was asked for is imported, and only after its configuration was
found right: `nmt --help` and a misspelt key answer without waiting for torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.cli.shell.errors import attempt, nearest
from nmt.errors import UserError


@dataclass(frozen=True)
class Command:
    """One sub-command.

    Args:
        name: the word after `nmt`; also the module's and the YAML file's name.
        summary: one line for `nmt --help`.
        text: the keys whose value is taken as it was typed, whatever characters are in it; nothing is a sweep or a
            reference there.
    """

    name: str
    summary: str
    text: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        return f"nmt.cli.{self.name}"


COMMANDS = (
    Command("train", "train one system and write its run folder"),
    Command("doctor", "say in a minute whether nmt train would work"),
    Command("evaluate", "measure a trained system on a split: BLEU, chrF, TER"),
    Command("translate", "translate standard input, a file, or line by line", text=("input", "output")),
    Command("compare", "set trained systems side by side in a report"),
    Command("plot", "draw the alignment matrix of a sentence", text=("source", "target")),
    Command("benchmark", "measure how fast a configuration trains and translates"),
    Command("demo", "train and compare four systems on the built-in corpus"),
)

SHELLS = ("bash", "zsh", "fish")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; `argv` is what follows `nmt`, by default the process's own.

    Returns:
        The exit code: 0 done, 2 the user's mistake, 1 anything else, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _occupy_closed_streams()
    command = next((command for command in COMMANDS if arguments[:1] == [command.name]), None)
    if command is None:
        return attempt("nmt", lambda: _answer(arguments))
    return attempt(f"nmt {command.name}{_process()}", lambda: _start(command, arguments[1:]))


def _process() -> str:
    """Which of several processes this is, where torchrun has started them."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    return f" (process {rank + 1} of {size})" if size > 1 else ""


def _start(command: Command, arguments: list[str]) -> int:
    from nmt.cli.shell.application import start  # brings in hydra, which `nmt --help` does without

    return start(command, arguments)


def _occupy_closed_streams() -> None:
    """Gives the numbers of standard streams that the caller closed (`2>&-`) to nothing.

    Else the next file that is opened would get such a number, and take in what anybody writes there; and Python would
    print to standard output what is meant for a standard error that is None.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _answer(arguments: list[str]) -> int:
    """Everything that is not a command."""
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(_usage())
        case ["--version", *_]:
            print(f"nmt {_version()}")
        case ["--completion", shell] if shell in SHELLS:
            from nmt.cli.shell.completion import SCRIPTS

            print(SCRIPTS[shell], end="")
        case ["--completion", *_]:
            raise UserError(f"--completion needs the name of a shell: {', '.join(SHELLS)}")
        case ["--complete", line]:  # called by the shells' scripts
            from nmt.cli.shell.completion import complete

            for word in complete(line):
                print(word)
        case [word, *_]:
            names = [command.name for command in COMMANDS]
            close = nearest(word, [*names, "--help", "--version", "--completion"])
            remedy = f"did you mean {close[0]}?" if close else f"there is {', '.join(names)}"
            raise UserError(f"{word}: no such {'option' if word.startswith('-') else 'command'}; {remedy}")
    return 0


def _usage() -> str:
    commands = "\n".join(f"  {command.name:<11}{command.summary}" for command in COMMANDS)
    return f"""\
nmt: neural machine translation, to read, to trust and to change

Usage: nmt COMMAND [key=value ...]

{commands}

nmt COMMAND --help    what it does, its choices and keys with their defaults
nmt --version         the version
eval "$(nmt --completion bash)"    completion by the Tab key (also: zsh, fish)"""


def _version() -> str:
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():  # a checkout, installed or not: what its own file says
        import tomllib

        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    from importlib import metadata

    return metadata.version("nmt")
