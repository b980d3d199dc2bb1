"""Completion with the Tab key: commands, then the groups, choices, keys and values of each command.

The script of the shell (completion_scripts.py) passes the line up to the cursor: `nmt --complete LINE`. The reply is
one word per line: everything that can replace the last word of the line. A complete word ends in a space. An empty
reply, as for `run=`, lets the shell complete file names.
"""

from __future__ import annotations

from nmt.cli.shell import commands
from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import ComposedConfig, compose, hydra_initialized
from nmt.cli.shell.overrides import configure
from nmt.errors import UserError

_OPTIONS = ("--help", "--cfg job", "--resolve", "--multirun", "--lines")


def complete(line: str) -> list[str]:
    """Returns the words that can replace the last word of `line`, whose first word is the program's name."""
    *previous, word = line.split(" ")
    previous = [earlier for earlier in previous[1:] if earlier]
    if not previous:
        names = [*(command.name for command in commands.COMMANDS), "--help"]
        return [f"{name} " for name in names if name.startswith(word)]
    command = commands.find_command(previous[0])
    if command is None:
        return []
    if word.startswith("-"):
        return [f"{option} " for option in _OPTIONS if option.startswith(word)]
    composed = _compose(command, [earlier for earlier in previous[1:] if "=" in earlier])
    key, equals, value = word.partition("=")
    if equals:
        return [f"{key}={candidate} " for candidate in _values(composed, key) if candidate.startswith(value)]
    return [name for name in _names(composed, word) if name.startswith(word)]


def _compose(command: Command, overrides: list[str]) -> ComposedConfig:
    """Composes with the words typed so far, or without them if one is wrong: running the command will report it."""
    with hydra_initialized() as folder:
        try:
            return configure(command, folder, overrides)
        except UserError:
            return compose(command.name, folder, [])


def _values(composed: ComposedConfig, key: str) -> list[str]:
    """The values to suggest for a key: the choices of a group, true and false, or else the default."""
    if key in composed.choices:
        return composed.available_choices(key)
    default = composed.value(key)
    if isinstance(default, bool):
        return ["true", "false"]
    return [str(default)] if isinstance(default, int | float | str) and default != "" else []


def _names(composed: ComposedConfig, word: str) -> list[str]:
    """Groups as `GROUP=`, then the keys that begin with `word`, each cut after the next dot: `KEY=` or `PARENT.`."""
    suggestions = [f"{group}=" for group in composed.choices]
    keys = composed.names()
    for key in keys:
        if not key.startswith(word) or key in composed.choices:
            continue
        head, dot, _ = key[len(word) :].partition(".")
        name = word + head
        if name.rpartition(".")[2].startswith("_"):  # such as _target_
            continue
        is_leaf = not dot and not any(other.startswith(f"{key}.") for other in keys)
        suggestions.append(f"{name}=" if is_leaf else f"{name}.")
    return list(dict.fromkeys(suggestions))
