"""Runs a command: parses its options, composes and checks its configuration, and runs it once or several times."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import complete_config, hydra_initialized
from nmt.cli.shell.errors import EXIT_INTERRUPTED, nearest, print_message, run_catching_errors
from nmt.cli.shell.help import OPTIONS, help_page
from nmt.cli.shell.launch import HydraPlugins, is_hydra_word, launch, search
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.sweep import SweepRun, add_experiment_values, complete_words, configure_sweep
from nmt.errors import UserError


@dataclass
class CommandLine:
    """The words after `nmt COMMAND`.

    Attributes:
        help: --help was given.
        show_config: --cfg job was given.
        resolve: --resolve was given.
        multirun: --multirun was given.
        lines: --lines was given.
        overrides: all other words, in order.
    """

    help: bool
    show_config: bool
    resolve: bool
    multirun: bool
    lines: bool
    overrides: list[str]

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> CommandLine:
        """Separates options from overrides.

        Raises:
            UserError: an option does not exist, or two options exclude each other.
        """
        line = cls(help=False, show_config=False, resolve=False, multirun=False, lines=False, overrides=[])
        remaining = iter(arguments)
        for argument in remaining:
            if any("\ud800" <= character <= "\udfff" for character in argument):  # how Python decodes invalid bytes
                raise UserError(f"{argument} is not UTF-8, so it cannot be stored in a run folder: rename it")
            match argument:
                case "-h" | "--help":
                    line.help = True
                case "-m" | "--multirun":
                    line.multirun = True
                case "--lines":
                    line.lines = True
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
        if line.lines and not line.multirun:
            raise UserError("--lines lists the runs of -m: add -m")
        if line.show_config and line.multirun:
            raise UserError("--cfg job prints the configuration of one run: remove -m")
        return line


def run_command(command: Command, arguments: Sequence[str]) -> int:
    """Runs one command, or prints its help or its configuration.

    With `-m` the command runs once for each combination of values. All configurations are checked before the first run
    starts. If a run fails, its error is printed and the other runs follow. With `--lines` the runs are only listed.

    Returns:
        The exit code; with `-m` that of the first run that failed.

    Raises:
        UserError: an option or an override is wrong.
        Exception: any error of the command, if it runs once.
    """
    line = CommandLine.parse(arguments)
    if line.multirun:
        return run_sweep(command, line.overrides, only_list=line.lines)
    with hydra_initialized() as folder:
        if line.help or line.show_config:
            composed = configure(command, folder, line.overrides)
            if line.help:
                print(help_page(command, composed))
            else:
                config = OmegaConf.create(composed.resolve()) if line.resolve else composed.config
                print(OmegaConf.to_yaml(config), end="")
            return 0
        if words := [word for word in line.overrides if word.startswith(("hydra/", "hydra.launcher", "hydra.sweep"))]:
            raise UserError(f"{words[0]} is for the runs of -m: add -m")
        config = complete_config(configure(command, folder, line.overrides))
    importlib.import_module(command.module).run(config)
    return 0


def run_sweep(command: Command, arguments: Sequence[str], *, only_list: bool) -> int:
    """Runs a command several times, one after the other or by plugins of Hydra, and prints the results of all runs.

    Args:
        only_list: only prints one command line for each run.

    Returns:
        The exit code of the first run that failed, or 0.

    Raises:
        UserError: an override is wrong.
    """
    program = f"nmt {command.name}"
    plugins = HydraPlugins.select(arguments)
    with hydra_initialized() as folder:
        arguments = [word for word in arguments if not is_hydra_word(word)]
        arguments = add_experiment_values(command, folder, arguments)
        if plugins is None or plugins.sweeper is None:
            runs = configure_sweep(command, folder, arguments)
        elif only_list:
            raise UserError(
                f"--lines cannot list runs that hydra/sweeper={plugins.sweeper} chooses one after the other"
            )
    if only_list:
        for run, config in runs:
            print(shlex.join(["nmt", command.name, *complete_words(command, run, config)]))
        return 0
    if plugins is None:
        codes = run_in_turn(command, runs)
    else:
        if plugins.sweeper is None:
            errors = launch(command, plugins, runs)
        else:
            runs, errors = search(command, plugins, arguments)
        codes = [report_error(command, run, error) for (run, _), error in zip(runs, errors, strict=True)]
    failures = [code for code in codes if code != 0]
    if failures:
        print_message(program, f"{len(failures)} of {len(runs)} runs failed")
    if command.sweep_results is not None and EXIT_INTERRUPTED not in failures:
        importlib.import_module(command.sweep_results).print_results(runs)
    return failures[0] if failures else 0


def run_in_turn(command: Command, runs: Sequence[tuple[SweepRun, DictConfig]]) -> list[int]:
    """Runs a command once for each configuration; stops only when it is interrupted. Returns the exit codes."""
    run: Callable[[DictConfig], None] = importlib.import_module(command.module).run
    codes: list[int] = []
    for number, (sweep_run, config) in enumerate(runs, start=1):

        def run_once(config: DictConfig = config) -> int:
            run(config)
            return 0

        name = f"nmt {command.name} ({number} of {len(runs)}: {' '.join(sweep_run.overrides)})"
        print_message(name, "starts")
        codes.append(run_catching_errors(name, run_once))
        if codes[-1] == EXIT_INTERRUPTED:
            break
    return codes


def report_error(command: Command, run: SweepRun, error: Exception | None) -> int:
    """Prints the error that ended a run elsewhere, if any, and returns the run's exit code."""

    def fail() -> int:
        if error is not None:
            raise error
        return 0

    return run_catching_errors(f"nmt {command.name} ({run.label})", fail)
