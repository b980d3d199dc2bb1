"""Between a configuration and the names that a run folder keeps: no path to code is ever written there."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from nmt.errors import UserError
from nmt.run.registry import Description


def describe(config: DictConfig) -> Description:
    """{"class": the target's last name, "arguments": the rest}, for nested targets as well.

    Raises:
        ValueError: the configuration names no class, as data=run and search=run do, which are for trained runs.
    """
    if "_target_" not in config:
        raise UserError("the choice `run` stands for what a trained run used: choose another one for training")
    described: Description = _describe(OmegaConf.to_container(config, resolve=True))
    return described


def _describe(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    arguments = {key: _describe(inner) for key, inner in value.items() if key != "_target_"}
    if "_target_" not in value:
        return arguments
    return {"class": value["_target_"].rpartition(".")[2], "arguments": arguments}
