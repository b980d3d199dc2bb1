"""The entry point of the program `nmt`.

Only the requested command is imported, and only after its configuration has been checked: `nmt --help` and the message
about a misspelt key do not wait for torch.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nmt.cli.shell import commands
from nmt.cli.shell.commands import Command
from nmt.cli.shell.completion_scripts import SCRIPTS
from nmt.cli.shell.errors import nearest, run_catching_errors
from nmt.cli.shell.library_messages import library_messages
from nmt.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        argv: the words after `nmt`; None takes those of this process.

    Returns:
        The exit code: 0 success, 2 user error, 1 any other error, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    command = commands.find_command(arguments[0]) if arguments else None
    if command is None:
        return run_catching_errors("nmt", lambda: _run_option(arguments))
    program = f"nmt {command.name}{_process_label()}"
    with library_messages(program):
        return run_catching_errors(program, lambda: _run_command(command, arguments[1:]))


def _process_label() -> str:
    """Names this process among those that torchrun has started; empty for a single process."""
    rank, size = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    return f" (process {int(rank) + 1} of {size})" if size != "1" and rank.isdecimal() else ""


def _run_command(command: Command, arguments: list[str]) -> int:
    from nmt.cli.shell.command_line import run_command  # imports hydra, which `nmt --help` does not need

    return run_command(command, arguments)


def _prepare_streams() -> None:
    """Reopens closed streams, and lets standard output replace characters that its encoding lacks by "?".

    A command whose work is done must not fail because it cannot print an arrow. Standard error escapes them already.
    """
    _reopen_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")


def _reopen_closed_streams() -> None:
    """Opens the null device in place of each standard stream that the caller has closed (as `2>&-` does).

    Otherwise the next file that is opened would get the number of the closed stream, and everything printed there would
    end up in that file. And while `sys.stderr` is None, Python prints to standard output instead.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is `descriptor`
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _run_option(arguments: list[str]) -> int:
    """Handles a command line that does not begin with a command, and returns 0.

    Raises:
        UserError: the first word is neither a command nor an option.
    """
    match arguments:
        case [] | ["-h" | "--help", *_]:
            print(_usage())
        case ["--version", *_]:
            print(f"nmt {_version()}")
        case ["--completion", shell] if shell in SCRIPTS:
            print(SCRIPTS[shell], end="")
        case ["--completion", *_]:
            raise UserError(f"--completion needs the name of a shell: {', '.join(SCRIPTS)}")
        case ["--complete", line]:  # called by the completion scripts
            from nmt.cli.shell.completion import complete

            for word in complete(line):
                print(word)
        case [word, *_]:
            raise UserError(_unknown_word(word))
    return 0


def _unknown_word(word: str) -> str:
    """The message about a first word that is neither a command nor an option."""
    names = [command.name for command in commands.COMMANDS]
    similar = nearest(word, [*names, "--help", "--version", "--completion"])
    remedy = f"did you mean {similar[0]}?" if similar else f"the commands are {', '.join(names)}"
    kind = "option" if word.startswith("-") else "command"
    return f"{word}: no such {kind}; {remedy}"


def _usage() -> str:
    lines = "\n".join(f"  {command.name:<11}{command.summary}" for command in commands.COMMANDS)
    return f"""\
nmt: neural machine translation with LSTMs and Transformers

Usage: nmt COMMAND [KEY=VALUE ...]

{lines}

nmt COMMAND --help    describe a command, its choices, keys and defaults
nmt --version         print the version
eval "$(nmt --completion bash)"    enable completion with Tab (also: zsh, fish)"""


def _version() -> str:
    """The version in pyproject.toml if this is a checkout, else that of the installed package."""
    project = Path(__file__).parents[3] / "pyproject.toml"
    if project.is_file():
        import tomllib

        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    from importlib import metadata

    return metadata.version("nmt")
