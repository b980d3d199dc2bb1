"""Where configuration ends: a composed configuration becomes typed settings, once per command.

A command declares its settings as a frozen `msgspec.Struct` with one field per key of its YAML file. Below the command
there is no `DictConfig`, only these settings and keyword arguments.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nmt.errors import UserError

Settings = TypeVar("Settings")


class Component(msgspec.Struct, frozen=True):
    """A class that YAML selects by `_target_`, with its arguments.

    Attributes:
        key: the key in the configuration, such as "model"; error messages name it.
        target: the dotted path of the class or function.
        arguments: its keyword arguments; values may be configurations with a `_target_` of their own.
    """

    key: str
    target: str
    arguments: dict[str, Any]

    def build(self, *args: Any, **runtime: Any) -> Any:
        """Calls the target with its arguments, and with those that are only known at run time.

        Raises:
            UserError: the target does not exist, or refuses an argument.
        """
        try:
            # _convert_: lists and dictionaries arrive as Python's own, not as hydra's.
            return instantiate({"_target_": self.target, "_convert_": "all", **self.arguments}, *args, **runtime)
        except InstantiationException as error:
            if isinstance(error.__cause__, UserError):
                raise UserError(f"{self.key}: {error.__cause__}") from error
            raise

    def description(self) -> dict[str, Any]:
        """The component as the run folder stores it: the class by its name only, nested components likewise."""
        return _describe({"_target_": self.target, **self.arguments})


def typed(config: DictConfig, settings: type[Settings]) -> Settings:
    """Converts a complete configuration to `settings`, a `msgspec.Struct`.

    Raises:
        UserError: a value has the wrong type, or a constructor refuses it.
    """
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    prepared = {str(key): _component(str(key), value) for key, value in values.items()}
    try:
        return msgspec.convert(prepared, settings, dec_hook=_convert)
    except msgspec.ValidationError as error:
        raise UserError(_plain_message(str(error), prepared)) from error


def _component(key: str, value: Any) -> Any:
    if not isinstance(value, dict) or "_target_" not in value:
        return value
    arguments = {name: argument for name, argument in value.items() if name != "_target_"}
    return {"key": key, "target": value["_target_"], "arguments": arguments}


def _convert(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(f"settings of type {kind.__name__}")


def _describe(value: Any) -> Any:
    if isinstance(value, list):
        return [_describe(item) for item in value]
    if not isinstance(value, dict):
        return value
    arguments = {key: _describe(inner) for key, inner in value.items() if key != "_target_"}
    if "_target_" not in value:
        return arguments
    return {"class": value["_target_"].rpartition(".")[2], "arguments": arguments}


_PLAIN_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a group of keys",
    "null": "null",
}
"""msgspec's names of types, and ours."""


def _plain_message(message: str, values: dict[str, Any]) -> str:
    """A message of msgspec for users.

    "Expected `int | null`, got `str` - at `$.trainer.max_steps`" becomes
    "trainer.max_steps=many must be a whole number or null".
    """
    message, _, path = message.partition(" - at `$.")
    path = path.rstrip("`")
    if (wrong_type := re.fullmatch(r"Expected `(.+)`, got `.+`", message)) and "[" not in path:
        value: Any = values
        for key in path.split("."):
            value = value[key]
        allowed = " or ".join(_PLAIN_TYPES.get(name, name) for name in wrong_type[1].split(" | "))
        return f"{path}={value} must be {allowed}"
    # A check of the settings names the key that it refuses; here the group's name is put in front of it.
    separator = "." if re.match(r"\w+=", message) else ": "
    return f"{path}{separator}{message}" if path else message
