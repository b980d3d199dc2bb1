"""From a configuration's `_target_` to the names that a run folder keeps: no path to code is ever written there."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from nmt.run import Description


def describe(config: DictConfig) -> Description:
    """{"class": the target's last name, "arguments": the rest}, for nested targets as well."""
    described: Description = _describe(OmegaConf.to_container(config, resolve=True))
    return described


def _describe(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    arguments = {key: _describe(inner) for key, inner in value.items() if key != "_target_"}
    if "_target_" not in value:
        return arguments
    return {"class": value["_target_"].rpartition(".")[2], "arguments": arguments}
