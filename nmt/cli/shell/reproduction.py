"""The command line that gives the settings of a trained run: the choices and values that differ from the defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nmt.cli.shell.commands import Command, find_command
from nmt.cli.shell.configuration import hydra_initialized
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.settings import yaml_text
from nmt.errors import UserError

OF_THIS_RUN = {"run", "name", "resume", "experiment"}
"""Settings that say nothing about what is trained."""

LOCAL_PATHS = {"data.path", "tokenizer.run", "tokenizer.path", "tokenizer.target_path"}
"""Settings that name folders of one machine; only the last part of a path is shown."""


def find_training_command(config: dict[str, Any]) -> list[str] | None:
    """The words after `nmt train` that give these settings again.

    Args:
        config: from config.yaml of a run.

    Returns:
        None if the YAML files of this version cannot give them, or if the run started from another one.
    """
    command = find_command("train")
    assert command is not None
    if config.get("init") is not None:
        return None
    with hydra_initialized() as folder:
        try:
            words = _choose(command, folder, config)
            defaults = dict(_flatten(configure(command, folder, words).resolve()))
            wanted = dict(_flatten(config))
            changed = {key: value for key, value in wanted.items() if defaults.get(key) != value}
            values = [f"{key}={_write(value)}" for key, value in changed.items() if key not in OF_THIS_RUN]
            result = dict(_flatten(configure(command, folder, [*words, *values]).resolve()))
        except UserError:
            return None
    if any(result.get(key) != wanted.get(key) for key in (wanted.keys() | result.keys()) - OF_THIS_RUN):
        return None
    shown = [f"{key}={_shorten(key, value)}" for key, value in changed.items() if key not in OF_THIS_RUN]
    return [*words, *shown]


def _choose(command: Command, folder: Path, config: dict[str, Any]) -> list[str]:
    """The choices of all groups that are closest to the settings, where they are not the default ones."""
    words: list[str] = []
    # The choice of a group decides which groups are inside it.
    for depth in (0, 1):
        composed = configure(command, folder, words)
        groups = [group for group in composed.groups() if group.count("/") == depth and group not in OF_THIS_RUN]
        for group in groups:
            key = group.replace("/", ".")
            wanted = _select(config, key)
            if wanted == _select(composed.resolve(), key):
                continue
            choices = composed.available_choices(group) if isinstance(wanted, dict) else []
            scored = [
                (_count_differences(command, folder, [*words, f"{group}={each}"], wanted, key), each)
                for each in choices
            ]
            words.append(f"{group}={min(scored)[1]}" if scored else f"{group}=null")
    return words


def _count_differences(command: Command, folder: Path, words: list[str], wanted: Any, key: str) -> int:
    """How many settings of a group differ from those that are wanted; another class counts most."""
    try:
        given = dict(_flatten(_select(configure(command, folder, words).resolve(), key)))
    except UserError:
        return 10**6
    flat = dict(_flatten(wanted))
    differing = [name for name in given.keys() | flat.keys() if given.get(name) != flat.get(name)]
    return len(differing) + 1000 * ("_target_" in differing)


def _select(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = config.get(name) if isinstance(config, dict) else None
    return config


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The single settings by their keys with dots."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flatten(item, f"{prefix}.{name}".lstrip("."))
    else:
        yield prefix, value


def _write(value: Any) -> str:
    """A value as it is typed."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(_write, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_write(item)}' for key, item in value.items())}}}"
    return yaml_text(value)


def _shorten(key: str, value: Any) -> str:
    """A value as it is typed, with the last part of each path."""
    if key == "data.parts":
        parts = value if isinstance(value, list) else [value]
        return _write(
            [part | {"path": _name(part["path"])} if "path" in part else part for part in map(_to_group, parts)]
        )
    return _name(value) if key in LOCAL_PATHS and isinstance(value, str) else _write(value)


def _to_group(part: Any) -> dict[str, Any]:
    """A part of data=mix as a group of keys."""
    return part if isinstance(part, dict) else {"path": part}


def _name(path: Any) -> str:
    return Path(str(path)).name
