"""Checks before a run is resumed: the same model, and a note of every other setting that has changed."""

from __future__ import annotations

from pathlib import Path

import yaml

from nmt.cli.shell.errors import one_line
from nmt.errors import UserError
from nmt.files import read_text
from nmt.run import RunFolder
from nmt.run.registry import Description

MAX_VALUE_LENGTH = 200
"""Characters of an old value that are shown; it comes from a file that anybody may have written."""


def check_same_model(folder: RunFolder, description: Description) -> None:
    """Compares the model of the run folder with the one that the settings describe.

    Raises:
        UserError: they differ; the message names the first difference.
    """
    old = folder.description("model")
    if old.get("class") != description["class"]:
        raise UserError(f"run={folder.path} was started with {old.get('class')}, not {description['class']}")
    old_arguments = old.get("arguments", {})
    for key, value in description["arguments"].items():
        if old_arguments.get(key) != value:
            raise UserError(
                f"run={folder.path} was started with model.{key}={old_arguments.get(key)}, not {value}: "
                f"resume=true needs the same settings"
            )


def changed_settings(path: Path, config: str) -> list[str]:
    """The settings that differ between two configurations in YAML, as "key=old, not new".

    Args:
        path: config.yaml of the run folder.
        config: the configuration now.

    Raises:
        UserError: the file is missing or damaged.
    """
    text = read_text(path)
    try:
        old = _flatten(_PlainLoader(text).get_single_data())
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise UserError(f"{path} is damaged: it is not plain YAML") from None
    new = _flatten(yaml.safe_load(config))
    keys = sorted((old.keys() | new.keys()) - {"run", "resume"})
    return [
        one_line(f"{key}={str(old.get(key, 'nothing'))[:MAX_VALUE_LENGTH]}, not {new.get(key, 'nothing')}")
        for key in keys
        if old.get(key) != new.get(key)
    ]


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without aliases, a few lines of which can expand to more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat
