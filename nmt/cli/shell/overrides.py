"""The words of a command line, `key=value`, held against the configuration that they change.

Hydra would find most of these mistakes too, but says them in several lines, or only when a class meets the value. Here
each ends in one line that names the word, says what is allowed, and suggests the nearest right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from nmt.cli import Command
from nmt.cli.shell.configuration import Composition, compose, escaped
from nmt.cli.shell.errors import nearest, one_line
from nmt.errors import UserError

KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),  # before int, of which Python makes it a kind
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (ListConfig, "a list such as [a,b]"),
    (DictConfig, "a group of keys"),
)


def configure(command: Command, folder: Path, arguments: Sequence[str]) -> Composition:
    """`conf/COMMAND.yaml` under the command line's overrides, every one of them checked.

    Raises:
        UserError: an override cannot be read, or its key, choice or type of value is wrong.
    """
    texts = dict(argument.split("=", 1) for argument in arguments if _is_text(command, argument))
    overrides = parse([argument for argument in arguments if not _is_text(command, argument)])
    for override in overrides:
        if override.is_sweep_override():
            raise UserError(
                f"{override.input_line}: several values need -m, one run for each; "
                f"a value with a comma in it goes in two pairs of quotes: {override.key_or_group}=\"'…'\""
            )
    groups = [override for override in overrides if _is_group(folder, override)]
    values = [override for override in overrides if not _is_group(folder, override)]
    default = _chosen(command, folder, groups)
    for override in values:
        if not (override.is_add() or override.is_force_add() or override.is_delete()):
            _check_key(default, override.key_or_group)
    composition = compose(command.name, folder, [_line(override) for override in overrides])
    for override in values:
        if not override.is_delete():
            _check_type(default, composition, override.key_or_group, override.get_value_string())
    for key, text in texts.items():
        OmegaConf.update(composition.config, key, escaped(text))
    return composition


def parse(arguments: Sequence[str]) -> list[Override]:
    """The overrides that Hydra's grammar reads in `arguments`.

    Raises:
        UserError: it cannot read one.
    """
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = []
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if not key.strip("+~") or not (equals or argument.startswith("~")):
            raise UserError(f"'{argument}' is not of the form key=value" + (f"; write {key}=…" if key else ""))
        try:
            overrides += parser.parse_overrides([argument])
        except HydraException as error:
            raise UserError(
                f"'{argument}' cannot be read as key=value: close its brackets and quotes; "
                f"text with , : = ( ) [ ] {{ }} or quotes in it goes in two pairs of quotes: {key}=\"'…'\""
            ) from error
    return overrides


def expand(command: Command, arguments: Sequence[str]) -> list[list[str]]:
    """The command lines that `-m` makes of one: every combination of the values that are given several of.

    Raises:
        UserError: an override cannot be read, or its values cannot be counted off.
    """
    columns: list[list[str]] = []
    for argument in arguments:
        if _is_text(command, argument):
            columns.append([argument])
            continue
        (override,) = parse([argument])
        try:
            several = list(override.sweep_string_iterator()) if override.is_sweep_override() else None
        except HydraException as error:
            raise UserError(f"{argument}: {one_line(str(error))}") from error
        key = override.get_key_element()
        columns.append([argument] if several is None else [f"{key}={value}" for value in several])
    return [list(line) for line in product(*columns)]


def _is_text(command: Command, argument: str) -> bool:
    key, equals, _ = argument.partition("=")
    return bool(equals) and key in command.text


def _is_group(folder: Path, override: Override) -> bool:
    return (folder / override.key_or_group).is_dir() and not isinstance(override.value(), dict)


def _line(override: Override) -> str:
    assert override.input_line is not None  # set by the parser
    return override.input_line


def _chosen(command: Command, folder: Path, groups: list[Override]) -> Composition:
    """The configuration under the choices alone: the defaults against which the values are held.

    A choice may bring groups of its own, so outer groups are chosen before inner ones.
    """
    groups = sorted(groups, key=lambda override: override.key_or_group.count("/"))
    chosen = compose(command.name, folder, [])
    for count, override in enumerate(groups, start=1):
        key = override.get_key_element().lstrip("+~")
        if not override.is_add():
            _check_key(chosen, key)
        value: Any = override.value()
        values = value if isinstance(value, list) else [value]
        options = chosen.options(key)
        for value in values if not override.is_delete() else []:
            if value is not None and str(value) not in options:
                close = nearest(str(value), options)
                remedy = f"did you mean {close[0]}? There is" if close else "there is"
                raise UserError(f"{key}={value!s}: no such choice; {remedy} {', '.join(options)}")
        chosen = compose(command.name, folder, [_line(earlier) for earlier in groups[:count]])
    return chosen


def _check_key(composition: Composition, key: str) -> None:
    keys = composition.names()
    if key in keys:
        return
    parent = key.rpartition(".")[0]
    while parent and parent not in keys:
        parent = parent.rpartition(".")[0]
    choice = composition.choices.get(parent.replace(".", "/"))
    group = parent.replace(".", "/")
    where = f" with {group}={choice}" if choice is not None and len(composition.options(group)) > 1 else ""
    close = nearest(key, [name for name in keys if not key.startswith(f"{name}.")])
    if close:
        remedy = f"did you mean {' or '.join(close)}?"
    else:
        here = [name for name in keys if name.rpartition(".")[0] == parent and not name.endswith("_")]
        remedy = f"there is {', '.join(dict.fromkeys(here))}" if here else "nothing can be set here"
    raise UserError(f"{key}: no such key{where}; {remedy}")


def _check_type(default: Composition, given: Composition, key: str, raw: str) -> None:
    """Holds the value that `key` was given against its default's type; a key without a default takes anything.

    A number given where text belongs is that text, as it was typed.
    """
    old, new = default.value(key), given.value(key)
    if old is None or new is None:
        return
    if isinstance(old, DictConfig) and isinstance(new, DictConfig):
        for name in new:
            _check_type(default, given, f"{key}.{name!s}", "")
        return
    (old_type, allowed), (new_type, _) = _kind(old), _kind(new)
    if old_type is new_type or (old_type is float and new_type is int):
        return
    if old_type is str and new_type in (bool, int, float):
        typed = raw.strip() if raw and "${" not in raw else _shown(new)
        OmegaConf.update(given.config, key, escaped(typed))
        return
    shown = "" if isinstance(old, DictConfig | ListConfig) else f" (the default is {_shown(old)})"
    raise UserError(f"{key}: must be {allowed}{shown}, not {raw.strip() or _shown(new)}")


def _kind(value: Any) -> tuple[type, str]:
    return next((kind for kind in KINDS if isinstance(value, kind[0])), (type(value), type(value).__name__))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
