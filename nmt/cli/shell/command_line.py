"""Runs a command: parses its options, composes and checks its configuration, and runs it once or several times."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import complete_config, hydra_initialized
from nmt.cli.shell.errors import EXIT_INTERRUPTED, nearest, print_message, run_catching_errors
from nmt.cli.shell.help import OPTIONS, help_page
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.sweep import configure_sweep
from nmt.errors import UserError


@dataclass
class CommandLine:
    """The words after `nmt COMMAND`.

    Attributes:
        help: --help was given.
        show_config: --cfg job was given.
        resolve: --resolve was given.
        multirun: --multirun was given.
        overrides: all other words, in order.
    """

    help: bool
    show_config: bool
    resolve: bool
    multirun: bool
    overrides: list[str]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> CommandLine:
        """Separates options from overrides.

        Raises:
            UserError: an option does not exist, or two options exclude each other.
        """
        line = cls(help=False, show_config=False, resolve=False, multirun=False, overrides=[])
        remaining = iter(arguments)
        for argument in remaining:
            if any("\ud800" <= character <= "\udfff" for character in argument):  # how Python decodes invalid bytes
                raise UserError(f"{argument} is not UTF-8, so it cannot be stored in a run folder: rename it")
            match argument:
                case "-h" | "--help":
                    line.help = True
                case "-m" | "--multirun":
                    line.multirun = True
                case "--resolve":
                    line.resolve = True
                case "-c" | "--cfg":
                    if next(remaining, None) != "job":
                        raise UserError(f"{argument} must be followed by job: {argument} job")
                    line.show_config = True
                case _ if argument.startswith("-"):
                    if "=" in argument:
                        remedy = f"write {argument.lstrip('-')}"
                    elif similar := nearest(argument, OPTIONS):
                        remedy = f"did you mean {similar[0]}?"
                    else:
                        remedy = f"the options are {', '.join(OPTIONS)}; a setting is written KEY=VALUE"
                    raise UserError(f"{argument}: no such option; {remedy}")
                case _:
                    line.overrides.append(argument)
        if line.resolve and not line.show_config:
            raise UserError("--resolve needs --cfg job")
        if line.show_config and line.multirun:
            raise UserError("--cfg job prints the configuration of one run: remove -m")
        return line


def run_command(command: Command, arguments: Sequence[str]) -> int:
    """Runs one command, or prints its help or its configuration.

    With `-m` the command runs once for each combination of values. All configurations are checked before the first run
    starts. If a run fails, its error is printed and the other runs follow.

    Returns:
        The exit code; with `-m` that of the first run that failed.

    Raises:
        UserError: an option or an override is wrong.
        Exception: any error of the command, if it runs once.
    """
    line = CommandLine.parse(arguments)
    with hydra_initialized() as folder:
        if line.help or line.show_config:
            composed = configure(command, folder, line.overrides)
            if line.help:
                print(help_page(command, composed))
            else:
                config = OmegaConf.create(composed.resolve()) if line.resolve else composed.config
                print(OmegaConf.to_yaml(config), end="")
            return 0
        if line.multirun:
            runs = [(each.overrides, config) for each, config in configure_sweep(command, folder, line.overrides)]
        else:
            runs = [(line.overrides, complete_config(configure(command, folder, line.overrides)))]

    run: Callable[[DictConfig], None] = importlib.import_module(command.module).run
    if line.multirun:
        return _run_all(command, run, runs)
    run(runs[0][1])
    return 0


def _run_all(
    command: Command,
    run: Callable[[DictConfig], None],
    runs: Sequence[tuple[Sequence[str], DictConfig]],
) -> int:
    """Runs a command once for each configuration; stops only when it is interrupted.

    Args:
        runs: the overrides and the configuration of each run.

    Returns:
        The exit code of the first run that failed, or 0.
    """
    failures = []
    for number, (overrides, config) in enumerate(runs, start=1):

        def run_once(config: DictConfig = config) -> int:
            run(config)
            return 0

        name = f"nmt {command.name} ({number} of {len(runs)}: {' '.join(overrides)})"
        print_message(name, "starts")
        code = run_catching_errors(name, run_once)
        if code != 0:
            failures.append(code)
        if code == EXIT_INTERRUPTED:
            break
    if failures:
        print_message(f"nmt {command.name}", f"{len(failures)} of {len(runs)} runs failed")
    return failures[0] if failures else 0
