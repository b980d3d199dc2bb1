"""What every command shares: its options, its configuration, one run or several."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from omegaconf import DictConfig, OmegaConf

from nmt.cli import Command
from nmt.cli.shell.configuration import complete, opened, resolved
from nmt.cli.shell.errors import attempt, nearest, say
from nmt.cli.shell.help import OPTIONS, help_text
from nmt.cli.shell.overrides import configure, expand
from nmt.errors import UserError


@dataclass
class Request:
    """A command line, read: what is wanted, and the overrides of the configuration in their order."""

    help: bool = False
    show: bool = False
    resolve: bool = False
    several: bool = False
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, arguments: Sequence[str]) -> Request:
        """
        Raises:
            UserError: an option that there is not, or two that exclude each other.
        """
        request = cls()
        rest = iter(arguments)
        for argument in rest:
            if any("\ud800" <= character <= "\udfff" for character in argument):  # how Python shows such bytes
                raise UserError(f"{argument} is not UTF-8, so it cannot be stored in a run folder: rename it")
            match argument:
                case "-h" | "--help":
                    request.help = True
                case "-m" | "--multirun":
                    request.several = True
                case "--resolve":
                    request.resolve = True
                case "-c" | "--cfg":
                    if next(rest, None) != "job":
                        raise UserError(f"{argument} is written {argument} job")
                    request.show = True
                case _ if argument.startswith("-"):
                    remedy = f"did you mean {(nearest(argument, OPTIONS) or ['--help'])[0]}?"
                    if "=" in argument:
                        remedy = f"write {argument.lstrip('-')}"
                    raise UserError(f"{argument}: no such option; {remedy}")
                case _:
                    request.overrides.append(argument)
        if request.resolve and not request.show:
            raise UserError("--resolve goes with --cfg job")
        if request.show and request.several:
            raise UserError("--cfg job shows one run's configuration: leave -m out")
        return request


def start(command: Command, arguments: Sequence[str]) -> int:
    """Answers or runs one command.

    With `-m` it runs once for each combination of values. Every configuration is found right before the first run
    begins; a run that fails says so, the others go on, and the exit code is the first failed run's.

    Returns:
        The exit code.

    Raises:
        UserError: a word of the command line is wrong.
        Exception: what the command raises, if it runs once.
    """
    request = Request.read(arguments)
    with opened() as folder:
        if request.help or request.show:
            composition = configure(command, folder, request.overrides)
            if request.help:
                print(help_text(command, composition))
            else:
                config = OmegaConf.create(resolved(composition)) if request.resolve else composition.config
                print(OmegaConf.to_yaml(config), end="")
            return 0
        lines = expand(command, request.overrides) if request.several else [request.overrides]
        configs = [complete(configure(command, folder, line)) for line in lines]

    run = importlib.import_module(command.module).run

    def job(config: DictConfig) -> int:
        run(config)
        return 0

    if not request.several:
        return job(configs[0])

    codes = []
    for number, (line, config) in enumerate(zip(lines, configs, strict=True), start=1):
        name = f"nmt {command.name} ({number} of {len(lines)}: {' '.join(line)})"
        say(name, "starts")
        codes.append(attempt(name, partial(job, config)))
        if codes[-1] == 130:
            break
    failed = [code for code in codes if code != 0]
    if failed:
        say(f"nmt {command.name}", f"{len(failed)} of {len(lines)} runs failed")
    return failed[0] if failed else 0
