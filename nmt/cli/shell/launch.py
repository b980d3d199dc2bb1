"""The runs of `-m` by Hydra's plugins: launchers, such as joblib or SLURM, and sweepers, such as Optuna.

A plugin gets only the words that are Hydra's own, such as `hydra/launcher=joblib hydra.launcher.n_jobs=4`. Each run is
a complete command line of this program, which is composed where it runs as if it had been typed there.
"""

from __future__ import annotations

import copy
import importlib
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import complete_config, escape, hydra_initialized
from nmt.cli.shell.errors import nearest, one_line, print_message
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.sweep import SweepRun, complete_words, configure_trial, takes_several_values
from nmt.errors import Failure, UserError

EXTRAS = {
    "launcher": {"joblib": "sweeps", "submitit_local": "sweeps", "submitit_slurm": "sweeps", "ray": "ray"},
    "sweeper": {"optuna": "optuna"},
}
"""Kind of plugin → its known choices → the extra of this project that installs it."""

SETTINGS = [
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",  # it would print to standard output
    "hydra.output_subdir=null",
    "hydra.sweep.dir=runs/sweeps/${now:%Y-%m-%d_%H-%M-%S}",  # submitit's logs, and Optuna's result
    "hydra.sweep.subdir=.",
]
"""Hydra's settings, which the command line can change: the runs have folders and logs of their own."""

CHOICE_SETTINGS = {
    "hydra/launcher=joblib": ["+hydra.job.env_set.TTY_COMPATIBLE='0'"],  # no progress bars on top of each other
    # The score is to be high. And with a seed, a sweep that is started again chooses the same values.
    "hydra/sweeper=optuna": ["hydra.sweeper.direction=maximize", "hydra.sweeper.sampler.seed=1"],
}
"""Further settings for some choices, which the command line can change, too."""

Planned = tuple[SweepRun, DictConfig]
"""A run with its configuration."""

_is_stopping = threading.Event()
"""Set in a worker of joblib that a signal has interrupted: it starts no further run."""


@dataclass(frozen=True)
class HydraPlugins:
    """The launcher and the sweeper that a command line selects; None for a sweeper: all combinations of values."""

    launcher: str
    sweeper: str | None
    words: list[str]

    @classmethod
    def select(cls, arguments: Sequence[str]) -> HydraPlugins | None:
        """Reads Hydra's own words on a command line; None if there are none.

        Raises:
            UserError: `resume=auto` is missing for a sweeper, or torchrun has started this process.
        """
        words = [argument for argument in arguments if is_hydra_word(argument)]
        if not words:
            return None
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UserError(f"{words[0]}: torchrun divides one run among processes; start sweeps without it")
        choices = dict(word.split("=", 1) for word in words if "=" in word)
        sweeper = choices.get("hydra/sweeper", "basic")
        plugins = cls(choices.get("hydra/launcher", "basic"), None if sweeper == "basic" else sweeper, words)
        if plugins.sweeper is not None and "resume=auto" not in arguments:
            raise UserError(f"hydra/sweeper={sweeper} can choose the same values twice: add resume=auto")
        return plugins

    def compose(self) -> tuple[DictConfig, HydraContext]:
        """Composes Hydra's own settings for the plugins.

        Raises:
            UserError: a plugin is not installed, or a setting is wrong.
        """
        available = GlobalHydra.instance().config_loader()
        for kind, extras in EXTRAS.items():
            choice, choices = getattr(self, kind) or "basic", available.get_group_options(f"hydra/{kind}")
            if choice in choices:
                continue
            if choice in extras:
                raise UserError(f"hydra/{kind}={choice} is not installed: pip install 'nmt[{extras[choice]}]'")
            known = [*choices, *extras]
            similar = nearest(choice, known)
            remedy = f"did you mean {similar[0]}?" if similar else f"the choices are {', '.join(sorted(set(known)))}"
            raise UserError(f"hydra/{kind}={choice}: no such choice; {remedy}")
        further = [word for choice, words in CHOICE_SETTINGS.items() if choice in self.words for word in words]
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            config = hydra.compose_config(None, [*SETTINGS, *further, *self.words], run_mode=RunMode.MULTIRUN)
        except HydraException as error:
            raise UserError(one_line(str(error))) from error
        context = HydraContext(config_loader=RunConfigLoader(), callbacks=Callbacks(config))  # type: ignore[arg-type]
        return config, context

    def task(self, command: Command) -> RunTask:
        """What the launcher calls for each run."""
        return RunTask(command, workers_of=os.getpid() if self.launcher == "joblib" else None)

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the block runs, signals are left to joblib's workers, which receive them too and write checkpoints.

        Raises:
            KeyboardInterrupt: a signal has arrived, and the workers have stopped.
            Failure: the launcher failed, rather than a run.
        """
        from nmt.training.interrupt import Interrupt  # only now: commands that do not train need no `nmt.training`

        name = f"hydra/launcher={self.launcher}"
        with Interrupt(single_process=True) if self.launcher == "joblib" else nullcontext() as interrupt:
            try:
                yield
            except (UserError, Failure):
                raise
            except Exception as error:
                if interrupt is None or not interrupt.requested:
                    raise Failure(f"{name}: {type(error).__name__}: {one_line(str(error))}") from error
        if interrupt is not None and interrupt.requested:
            raise KeyboardInterrupt


def is_hydra_word(argument: str) -> bool:
    """Whether an argument sets something of Hydra itself."""
    return argument.lstrip("+~").startswith(("hydra/", "hydra."))


class RunConfigLoader:
    """What plugins ask for the configuration of a run: Hydra's own settings, and the words of the run."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """Returns Hydra's settings for the run with this command line."""
        config = copy.deepcopy(master_config)
        with flag_override(config.hydra, ["readonly", "struct"], False):
            config.hydra.overrides.task = [escape(word) for word in sweep_overrides]
        return config


@dataclass(frozen=True)
class RunTask:
    """Runs the command line of one run; plugins pickle this object and call it where the run takes place.

    Attributes:
        command: the command.
        workers_of: for joblib, the process of the sweep: a worker of it goes on to other runs, so it must survive
            Ctrl-C. None for other launchers.
    """

    command: Command
    workers_of: int | None

    def __call__(self, _: DictConfig) -> float | None:
        """Runs it, and returns its score, if the command has one. An unexpected error has its traceback as a note."""
        words: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=True)
        if _is_stopping.is_set():
            raise Failure("not started, since the sweep was interrupted")
        try:
            with hydra_initialized() as folder:
                config = complete_config(configure(self.command, folder, words))
            importlib.import_module(self.command.module).run(config)
        except KeyboardInterrupt:
            if self.workers_of in (None, os.getpid()):
                raise
            _is_stopping.set()
            raise Failure("interrupted") from None
        except (UserError, Failure):
            raise
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))  # the traceback itself cannot be pickled
            raise
        results = self.command.sweep_results
        score: float | None = importlib.import_module(results).score(config) if results is not None else None
        return score


@dataclass
class TrialLauncher(Launcher):
    """Between a sweeper and its launcher: turns the values of each trial into a command line, and keeps what ran.

    Attributes:
        launcher: the sweeper's own.
        configure: makes a run of the values that the sweeper has chosen.
    """

    launcher: Launcher
    command: Command
    configure: Callable[[Sequence[str]], Planned]
    runs: list[Planned] = field(default_factory=list)
    returns: list[JobReturn] = field(default_factory=list)

    def setup(self, **_: Any) -> None:
        """The launcher is set up already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launches one run for each trial."""
        runs = [self.configure(chosen) for chosen in job_overrides]
        words = [complete_words(self.command, run, config) for run, config in runs]
        returns = self.launcher.launch(words, initial_job_idx)
        self.runs += runs
        self.returns += returns
        return returns


def launch(command: Command, plugins: HydraPlugins, runs: list[Planned]) -> list[Exception | None]:
    """Runs all runs by the launcher.

    Returns:
        For each run the error that ended it, or None.

    Raises:
        UserError: the launcher is not installed, or a setting of it is wrong.
        KeyboardInterrupt: the user or a scheduler interrupted.
    """
    with hydra_initialized():
        config, context = plugins.compose()
        task = plugins.task(command)
        launcher = Plugins.instance().instantiate_launcher(context, task, config)
    num_runs = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    print_message(f"nmt {command.name}", f"{num_runs} by hydra/launcher={plugins.launcher}")
    with plugins.running():
        returns = launcher.launch([complete_words(command, *run) for run in runs], 0)
    return [_error_of(each) for each in returns]


def search(
    command: Command, plugins: HydraPlugins, arguments: Sequence[str]
) -> tuple[list[Planned], list[Exception | None]]:
    """Lets the sweeper choose runs, and runs them.

    Args:
        arguments: the command line without Hydra's own words.

    Returns:
        The runs, and for each the error that ended it, or None.

    Raises:
        UserError: a plugin is not installed, or an argument is wrong.
        KeyboardInterrupt: the user or a scheduler interrupted.
    """
    if command.sweep_results is None:
        raise UserError(f"hydra/sweeper={plugins.sweeper} needs a score to improve, which only nmt train has")
    results = importlib.import_module(command.sweep_results)

    def configure_chosen(chosen: Sequence[str]) -> Planned:
        with hydra_initialized() as folder:
            run, config = configure_trial(command, folder, common, chosen)
        results.check_score(config)
        return run, config

    with hydra_initialized():
        space = [argument for argument in arguments if takes_several_values(command, argument)]
        common = [argument for argument in arguments if argument not in space]
        if not space:
            raise UserError(f"hydra/sweeper={plugins.sweeper} has nothing to choose: add KEY=VALUE,VALUE")
        config, context = plugins.compose()
        task = plugins.task(command)
        sweeper: Any = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=task, config=config)
    inner = getattr(sweeper, "sweeper", sweeper)  # plugins load their library late, in an object inside
    inner.launcher = trials = TrialLauncher(inner.launcher, command, configure_chosen)
    with plugins.running():
        try:
            sweeper.sweep(space)
        except Exception:
            if not any(map(_error_of, trials.returns)):  # otherwise it is of a run, and the caller reports it
                raise
    return trials.runs, [_error_of(each) for each in trials.returns]


def _error_of(result: JobReturn) -> Exception | None:
    """The error that ended a run; None if it ended well."""
    try:
        _ = result.return_value
    except Exception as error:
        return error
    return None
