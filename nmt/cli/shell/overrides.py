"""Checks the overrides of a command line, `key=value`, against the configuration that they change.

Hydra would find most of these errors too, but reports them in several lines, or only when a class receives the value.
Here each error is one line that names the word, says what is allowed, and suggests the most similar valid word.
A value that Hydra's grammar does not accept is text, so that the type of the key decides whether it is right.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf

from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import ComposedConfig, compose, escape
from nmt.cli.shell.errors import nearest, shorten
from nmt.cli.shell.initial_run import INHERITED_GROUPS, inherit, is_inherited, may_inherit
from nmt.cli.shell.settings import yaml_text
from nmt.cli.shell.text_values import is_text_key, quote, quote_text
from nmt.errors import UserError

MAX_LISTED_CHOICES = 12
"""Maximum number of choices that a message lists beside a suggestion; --help lists all."""

TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),  # before int, because bool is a subclass of int
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (ListConfig, "a list such as [a,b]"),
    (DictConfig, "a group of keys"),
)
"""The types of values in a configuration, and their names in messages."""


def configure(command: Command, folder: Path, arguments: Sequence[str]) -> ComposedConfig:
    """Composes `conf/COMMAND.yaml` with the overrides of the command line, after checking each of them.

    Raises:
        UserError: an override cannot be parsed, or its key, choice or type of value is wrong.
    """
    verbatim = dict(argument.split("=", 1) for argument in arguments if is_verbatim(command, argument))
    overrides = parse_overrides([quote_text(argument) for argument in arguments if not is_verbatim(command, argument)])
    for override in overrides:
        if override.is_sweep_override():
            raise UserError(
                f"{shorten(_input_line(override))}: several values need -m, which starts one run for each; "
                f"a value that contains a comma needs two pairs of quotes: {override.key_or_group}=\"'…'\""
            )
    # Of several choices for a group the last one counts. To Hydra, null before another choice would be final.
    last_choices = {override.key_or_group: override for override in overrides if selects_choice(folder, override)}
    overrides = [each for each in overrides if last_choices.get(each.key_or_group, each) is each]
    # Hydra refuses `model=null`, but not `~model`, which means the same.
    overrides = [
        parse_overrides([f"~{override.key_or_group}"])[0]
        if override.value() is None and selects_choice(folder, override)
        else override
        for override in overrides
    ]
    groups = [override for override in overrides if selects_choice(folder, override)]
    values = {override.key_or_group: override for override in overrides if not selects_choice(folder, override)}

    # The selected choices determine which keys exist, and the type of each value; so does the run of `init=`.
    defaults = _compose_choices(command, folder, groups)
    composed = _inherit(command, folder, defaults, overrides, values) if may_inherit(defaults, values) else None
    if composed is None:
        _check_keys(defaults, values)
        # Composing takes 0.1 s, so it is not repeated without need.
        composed = compose(command.name, folder, list(map(_input_line, overrides))) if values else defaults
    for key, override in values.items():
        if override.is_delete():
            continue
        value = override.value()
        if value is None and is_text_key(key) and not defaults.is_null(key):  # a folder may be called null
            OmegaConf.update(composed.config, key, "null")
        _check_type(defaults, composed, key, value if isinstance(value, str) else override.get_value_string())
    for key, text in verbatim.items():
        OmegaConf.update(composed.config, key, escape(text))
    return composed


def _inherit(
    command: Command,
    folder: Path,
    defaults: ComposedConfig,
    overrides: Sequence[Override],
    values: Mapping[str, Override],
) -> ComposedConfig | None:
    """Composes with the settings that training takes over from another run; None if it takes over none.

    Args:
        defaults: the configuration without values; it gets these settings, too.
        overrides: all overrides.
        values: those that are no choices.

    Raises:
        UserError: as `inherit`, or the key of a value does not exist.
    """
    changes = {key: override for key, override in values.items() if is_inherited(key)}
    _check_keys(defaults, {key: override for key, override in values.items() if key not in changes})
    own_lines = [_input_line(override) for override in overrides if not is_inherited(override.key_or_group)]
    typed = [_input_line(override).partition("=")[0] for override in overrides if is_inherited(override.key_or_group)]
    composed = inherit(compose(command.name, folder, own_lines), typed)
    if composed is None:
        return None
    for group in INHERITED_GROUPS:
        OmegaConf.update(defaults.config, group, copy.deepcopy(composed.config[group]), merge=False)
    own_choices = {group: choice for group, choice in defaults.choices.items() if not is_inherited(group)}
    _check_keys(replace(defaults, choices=own_choices), changes)
    for key, override in changes.items():
        OmegaConf.update(composed.config, key, override.value())
    return composed


def _check_keys(composed: ComposedConfig, values: Mapping[str, Override]) -> None:
    """Raises UserError if the key of a value does not exist, and the override does not add or delete it."""
    for key, override in values.items():  # the last override of each key, which is the one that counts
        is_new = override.is_add() or override.is_force_add() or override.is_delete()
        if not is_new or override.is_hydra_override():
            _check_key(composed, key)


def parse_overrides(arguments: Sequence[str]) -> list[Override]:
    """Parses `arguments` with Hydra's grammar. A value that does not follow it is text.

    Raises:
        UserError: an argument has no key, or no value.
    """
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    overrides = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not key.strip("+~") or not (equals or argument.startswith("~")):
            remedy = f"; write {shorten(key)}=…" if key else ""
            raise UserError(f"'{shorten(argument)}' does not have the form key=value{remedy}")
        try:
            override = _parse(parser, argument) or _parse(parser, f"{key}={quote(value)}")
        except RecursionError:
            raise UserError(f"{shorten(argument)}: the value is nested too deeply") from None
        if override is None:
            raise UserError(
                f"'{shorten(argument)}' does not have the form key=value: "
                f"{shorten(key)} is no key, which consists of letters from a to z, digits, _ . and /"
            )
        overrides.append(override)
    return overrides


def _parse(parser: OverridesParser, argument: str) -> Override | None:
    """Parses one argument; None if it does not follow the grammar."""
    try:
        return parser.parse_overrides([argument])[0]
    except (HydraException, ValueError):  # ValueError: a number of thousands of digits
        return None


def is_verbatim(command: Command, argument: str) -> bool:
    """Whether the value of an argument is used exactly as typed; see `Command.verbatim_keys`."""
    key, equals, _ = argument.partition("=")
    return bool(equals) and key in command.verbatim_keys


def selects_choice(folder: Path, override: Override) -> bool:
    """Whether an override selects a choice of a group, as `model=lstm` does, rather than a value."""
    try:
        return (folder / override.key_or_group).is_dir() and not isinstance(override.value(), dict)
    except OSError:  # the key is too long for the name of a folder
        return False


def _input_line(override: Override) -> str:
    """The override as it was typed."""
    assert override.input_line is not None  # the parser sets it
    return override.input_line


def _compose_choices(command: Command, folder: Path, groups: Sequence[Override]) -> ComposedConfig:
    """Composes with the selected choices but without values, after checking each choice.

    Raises:
        UserError: there is no such group or choice.
    """
    # A choice may bring in groups of its own, so outer groups are selected before inner ones.
    groups = sorted(groups, key=lambda override: override.key_or_group.count("/"))
    if all(_file_exists(folder, override) for override in groups):
        try:
            composed = compose(command.name, folder, [_input_line(override) for override in groups])
            if all(each.value() in ("run", *composed.available_choices(each.key_or_group)) for each in groups):
                return composed  # `run` has a message of its own
        except UserError:
            pass  # one of them is wrong: the loop below finds it, more slowly
    composed = compose(command.name, folder, [])
    for count, override in enumerate(groups, start=1):
        key = override.get_key_element().lstrip("+~")
        if not override.is_add():
            _check_key(composed, key)
        if not override.is_delete():
            _check_choice(composed, key, override.value())
        composed = compose(command.name, folder, [_input_line(earlier) for earlier in groups[:count]])
    return composed


def _file_exists(folder: Path, override: Override) -> bool:
    """Whether an override selects a choice that has a YAML file."""
    try:
        return not override.is_delete() and (folder / override.key_or_group / f"{override.value()}.yaml").is_file()
    except OSError:  # the choice is too long for the name of a file
        return False


def _check_choice(composed: ComposedConfig, group: str, choice: Any) -> None:
    """Raises UserError if a group has no such choice; `choice` may be a list of choices, or None for no choice."""
    available = composed.available_choices(group)
    for name in choice if isinstance(choice, list) else [choice]:
        if name is not None and str(name) not in available:
            similar = nearest(str(name), available)
            remedies = [f"did you mean {similar[0]}?"] if similar else []
            if not similar or len(available) <= MAX_LISTED_CHOICES:
                remedies.append(f"{'The' if similar else 'the'} choices are {', '.join(available)}")
            raise UserError(f"{group}={shorten(str(name))}: no such choice; {' '.join(remedies)}")


def _check_key(composed: ComposedConfig, key: str) -> None:
    """Raises UserError if there is no such key; the message suggests similar keys, or lists those beside it."""
    keys = composed.names()
    if key in keys:
        return
    # The deepest existing key above it: for model.score.size that may be model.score, model, or the top level ("").
    parent = key.replace("/", ".").rpartition(".")[0]
    while parent and parent not in keys:
        parent = parent.rpartition(".")[0]
    group = parent.replace(".", "/")
    choice = composed.choices.get(group)
    available = composed.available_choices(group) if group in composed.choices else []
    if available and choice is None:
        raise UserError(f"{shorten(key)}: no such key without a choice of {group}; choose {' or '.join(available)}")
    condition = f" with {group}={choice}" if len(available) > 1 else ""
    if others := [other for other in available if composed.has_subgroup(group, other, key)]:
        raise UserError(f"{shorten(key)}: no such group{condition}; choose {group}={' or '.join(others)}")
    similar = nearest(key, [name for name in keys if not key.startswith(f"{name}.")])
    if similar:
        remedy = f"did you mean {' or '.join(similar)}?"
    else:
        siblings = [name for name in keys if name.rpartition(".")[0] == parent and not name.endswith("_")]
        remedy = f"the keys are {', '.join(dict.fromkeys(siblings))}" if siblings else "there is nothing to set here"
    raise UserError(f"{shorten(key)}: no such key{condition}; {remedy}")


def _check_type(defaults: ComposedConfig, given: ComposedConfig, key: str, typed_text: str) -> None:
    """Compares the type of a value with that of its default. A key whose default is null or `???` takes any value.

    A number in place of text is changed to that text, exactly as it was typed.

    Args:
        defaults: the configuration without values from the command line.
        given: the configuration with them; a number in place of text is changed here.
        typed_text: the value as it was typed; empty if it was part of a larger value.

    Raises:
        UserError: the type is wrong.
    """
    old, new = defaults.value(key), given.value(key)
    if old is None or new is None:
        return
    if isinstance(old, DictConfig) and isinstance(new, DictConfig):
        for name in new:
            _check_type(defaults, given, f"{key}.{name!s}", "")
        return
    (old_type, expected), (new_type, _) = _type_and_name(old), _type_and_name(new)
    if old_type is new_type or (old_type is float and new_type is int):
        return
    if old_type is str and new_type in (bool, int, float):
        text = typed_text.strip() if typed_text and "${" not in typed_text else yaml_text(new)
        OmegaConf.update(given.config, key, escape(text))
        return
    default = "" if isinstance(old, DictConfig | ListConfig) else f" (the default is {yaml_text(old)})"
    raise UserError(f"{key}: must be {expected}{default}, not {shorten(typed_text.strip() or yaml_text(new))}")


def _type_and_name(value: Any) -> tuple[type, str]:
    """The type of a value, and its name in messages."""
    return next((pair for pair in TYPE_NAMES if isinstance(value, pair[0])), (type(value), type(value).__name__))
