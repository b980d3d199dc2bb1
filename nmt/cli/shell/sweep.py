"""The runs that `-m` makes of one command line, each with a folder or file of its own to write.

If runs would write to the same place, the swept keys that do not show in its name are added to it:
`runs/grammar/lstm-seed1-dropout=0.1`. The addition depends on the run's own values only, not on those of the other
runs, so a run has the same folder when the sweep is started again with more values or fewer.

An experiment can name values to try, as in Hydra: `hydra.sweeper.params` maps keys to what `-m` would take after `=`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import complete_config, compose, escape, plain_values
from nmt.cli.shell.errors import one_line, shorten
from nmt.cli.shell.overrides import configure, is_verbatim, parse_overrides
from nmt.cli.shell.settings import expand_home
from nmt.cli.shell.text_values import is_text_key, split_values, unquote
from nmt.errors import UserError
from nmt.files import is_stream

MAX_VALUE_LENGTH = 32
"""Maximum number of bytes of one value in the name of a folder."""

MAX_ADDITION_LENGTH = 120
"""Maximum number of bytes that are added to a name; most file systems allow 255."""

SIGNIFICANT_DIGITS = 4
"""Digits of a number that a sweeper chooses; further ones would make names longer and change no score that counts."""

DIGEST_LENGTH = 6
"""Number of hexadecimal digits that stand for what a shortened value lacks."""


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        overrides: its command line.
        swept: the keys that have several values in this sweep, each with this run's value.
    """

    overrides: list[str]
    swept: dict[str, str]

    @property
    def label(self) -> str:
        """What distinguishes this run from the others."""
        return " ".join(f"{key}={value}" for key, value in self.swept.items())


def configure_sweep(command: Command, folder: Path, arguments: Sequence[str]) -> list[tuple[SweepRun, DictConfig]]:
    """Returns the runs of a sweep with their configurations. No two of them write to the same place.

    Args:
        arguments: the command line, with several values for some keys; see also `add_experiment_values`.

    Raises:
        UserError: an override is wrong, or several runs would write to a place that the command line names.
    """
    runs = expand_sweep(command, arguments)
    configs = [complete_config(configure(command, folder, run.overrides)) for run in runs]
    if (key := command.output_key) is not None:
        if key not in given_keys(arguments):
            _name_places(key, runs, configs)
        _check_places(key, runs, configs)
    return list(zip(runs, configs, strict=True))


def configure_trial(
    command: Command, folder: Path, arguments: Sequence[str], chosen: Sequence[str]
) -> tuple[SweepRun, DictConfig]:
    """Returns a run that a sweeper has chosen. All chosen values are in the name of its place, unless it was given one.

    Args:
        arguments: what all runs have in common.
        chosen: the values of this one, `KEY=VALUE`; numbers are rounded to SIGNIFICANT_DIGITS.

    Raises:
        UserError: an override is wrong.
    """
    parts = [argument.partition("=") for argument in chosen]
    values = {name: _round(value) for name, _, value in parts}
    overrides = [*arguments, *(f"{name}={value}" for name, value in values.items())]
    run = SweepRun(overrides, {name.lstrip("+"): value for name, value in values.items()})
    config = complete_config(configure(command, folder, run.overrides))
    if (key := command.output_key) is not None and key not in given_keys(arguments):
        _extend_place(key, run.swept, config)
    return run, config


def complete_words(command: Command, run: SweepRun, config: DictConfig) -> list[str]:
    """The command line that repeats one run by itself: its overrides, and the place that the sweep gave it."""
    key = command.output_key
    if key is None or key in given_keys(run.overrides):
        return run.overrides
    return [*run.overrides, f"{key}={escape(str(plain_values(config)[key]))}"]


def given_keys(arguments: Sequence[str]) -> set[str]:
    """The keys that a command line sets."""
    return {argument.partition("=")[0].lstrip("+") for argument in arguments}


def add_experiment_values(command: Command, folder: Path, arguments: Sequence[str]) -> list[str]:
    """Adds the values that an experiment wants to try, unless the command line sets their keys."""
    experiments = [argument for argument in arguments if argument.startswith("experiment=")]
    names = [argument.partition("=")[2] for argument in experiments]
    if len(names) != 1 or not (folder / "experiment" / f"{names[0]}.yaml").is_file():
        return list(arguments)  # if there is no such experiment, composing a run says so
    params = compose(command.name, folder, experiments).config_with_hydra.hydra.sweeper.params or {}
    added = [f"{key}={value}" for key, value in params.items() if key not in given_keys(arguments)]
    return [*added, *arguments]


def takes_several_values(command: Command, argument: str) -> bool:
    """Whether an argument stands for several values, or for an interval from which a sweeper chooses.

    Raises:
        UserError: it cannot be parsed.
    """
    if is_verbatim(command, argument) or is_text_key(argument.partition("=")[0]):
        return False
    return bool(parse_overrides([argument])[0].is_sweep_override())


def expand_sweep(command: Command, arguments: Sequence[str]) -> list[SweepRun]:
    """Returns all combinations of the arguments with several values.

    Raises:
        UserError: an override cannot be parsed, or its values cannot be listed.
    """
    alternatives = [_alternatives(command, argument) for argument in arguments]
    runs = []
    for line in product(*alternatives):
        swept = [argument for argument, values in zip(line, alternatives, strict=True) if len(values) > 1]
        parts = [argument.partition("=") for argument in swept]
        runs.append(SweepRun(list(line), {key.lstrip("+"): value for key, _, value in parts}))
    return runs


def _alternatives(command: Command, argument: str) -> list[str]:
    """The arguments that replace one in turn: itself, or one for each of its values."""
    key, equals, text = argument.partition("=")
    if is_verbatim(command, argument):
        return [argument]
    if equals and is_text_key(key) and (texts := split_values(text)) is not None:
        return [argument] if len(texts) == 1 else [f"{key}={text}" for text in texts]
    (override,) = parse_overrides([argument])
    if not override.is_sweep_override():
        return [argument]
    try:
        values = [str(value) for value in override.sweep_string_iterator()]
    except HydraException as error:
        raise UserError(f"{shorten(argument)}: {one_line(str(error))}") from error
    if not values:
        raise UserError(f"{shorten(argument)} stands for no value")
    return [f"{override.get_key_element()}={value}" for value in values]


def _name_places(key: str, runs: Sequence[SweepRun], configs: Sequence[DictConfig]) -> None:
    """Adds to each run's place the swept keys in which runs with the same place differ."""
    places = [_place(config, key) for config in configs]
    hidden = {
        name
        for (first, place), (second, other) in combinations(zip(runs, places, strict=True), 2)
        if place is not None and place == other
        for name in first.swept
        if first.swept[name] != second.swept[name]
    }
    if not hidden:
        return
    for run, config in zip(runs, configs, strict=True):
        _extend_place(key, {name: value for name, value in run.swept.items() if name in hidden}, config)


def _round(value: str) -> str:
    """A number with a fraction to a few significant digits; other values as they are."""
    return f"{float(value):.{SIGNIFICANT_DIGITS}g}" if re.fullmatch(r"\d+\.\d+(e-?\d+)?|\d+e-?\d+", value) else value


def _extend_place(key: str, values: dict[str, str], config: DictConfig) -> None:
    """Adds values to the name of what a run writes."""
    path = Path(plain_values(config)[key])
    name = f"{path.stem}-{_describe(values, config)}{path.suffix}"
    OmegaConf.update(config, key, escape(str(path.with_name(name))))


def _describe(values: dict[str, str], config: DictConfig) -> str:
    """The addition to a name, `dropout=0.1-score=dot`. A key is cut to its last part if that part is unambiguous."""
    last_parts = [re.split(r"[./@]", key)[-1] for key in values]
    parts = []
    for (key, value), last_part in zip(values.items(), last_parts, strict=True):
        is_clear = last_parts.count(last_part) == 1 and last_part not in config
        name = last_part if is_clear else re.sub(r"[/@]", ".", key)
        parts.append(f"{name}={_shorten_safely(unquote(value), MAX_VALUE_LENGTH)}")
    return _shorten_safely("-".join(parts), MAX_ADDITION_LENGTH)


def _shorten_safely(text: str, max_length: int) -> str:
    """At most `max_length` bytes of the text, without characters that are awkward in a file name.

    A digest follows in place of what is lost.
    """
    safe = re.sub(r"[^\w.+=-]+", "-", text).encode()[:max_length].decode(errors="ignore").strip("-")
    if safe == text.lstrip("-"):
        return text
    return f"{safe}-{hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]}"


def _check_places(key: str, runs: Sequence[SweepRun], configs: Sequence[DictConfig]) -> None:
    """Raises UserError if two runs would write to the same place."""
    earlier: dict[str, SweepRun] = {}
    for run, config in zip(runs, configs, strict=True):
        place = _place(config, key)
        if place is None:
            continue
        if (other := earlier.setdefault(place, run)) is not run:
            names = [name for name in run.swept if run.swept[name] != other.swept[name]]
            if names in ([], [key]):
                raise UserError(f"-m would start the same run twice ({other.label}; {run.label}): give each value once")
            raise UserError(
                f"{key}={plain_values(config)[key]} would be written by several runs ({other.label}; {run.label}): "
                f"add {_reference(config, names[0])} to {key}=…, or leave {key}= out"
            )


def _reference(config: DictConfig, key: str) -> str:
    """What stands for the value of a swept key, or for the choice of a group, in another value."""
    is_value = OmegaConf.select(config, key, default=None) is not None and not OmegaConf.is_config(
        OmegaConf.select(config, key)
    )
    return f"${{{key}}}" if is_value else f"${{hydra:runtime.choices.{key}}}"


def _place(config: DictConfig, key: str) -> str | None:
    """The absolute path of what a run writes; None if that is standard output, a pipe or a device."""
    text = plain_values(config).get(key)
    if text is None or "\0" in str(text):  # a path cannot contain NUL; the command says so
        return None
    path = os.path.realpath(expand_home(str(text)))
    return None if is_stream(Path(path)) else path
