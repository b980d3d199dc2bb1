"""Reads config.yaml: the settings with which a run was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nmt.errors import UserError
from nmt.files import read_text


def read_config(path: Path) -> dict[str, Any]:
    """The settings in config.yaml, which is not trusted: it is plain YAML, and nothing in it is built.

    Raises:
        UserError: the file is missing or damaged.
    """
    text = read_text(path)
    try:
        config = _PlainLoader(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        raise UserError(f"{path} is damaged: it is not plain YAML") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} is damaged: it has no keys with values")
    return config


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without aliases, a few lines of which can expand to more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)
