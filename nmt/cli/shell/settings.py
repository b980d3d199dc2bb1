"""Converts a composed configuration to typed settings, which every command does once.

A command declares its settings as a frozen `msgspec.Struct` with one field per key of its YAML file. Below the command
there is no `DictConfig`, only these settings and keyword arguments.

`Component.build` does the work of hydra's `instantiate`, because that wraps every error in the same exception with a
message of several lines. A mistake in an argument could then no longer be told from a defect inside the constructor,
and a message could not name the key as the user types it.
"""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from omegaconf import DictConfig

from nmt.cli.shell.configuration import plain_values
from nmt.cli.shell.errors import shorten
from nmt.errors import UserError

Settings = TypeVar("Settings")
Built = TypeVar("Built")

MAX_NUMBER, MAX_SEED = 2**31 - 1, 2**63 - 1
"""Maximum of a whole number in a configuration, above any size or count that is possible; and that of torch's seeds."""

TYPE_NAMES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "a group of keys",
}
"""The types in msgspec's messages, and their names in ours."""


class Component(msgspec.Struct, frozen=True, tag=True):
    """A class that YAML selects by `_target_`, with its arguments.

    Attributes:
        key: the key in the configuration, such as "model"; error messages name it.
        target: the dotted path of the class or function.
        arguments: its keyword arguments; a value with a `_target_` of its own is a component too.
    """

    key: str
    target: str
    arguments: dict[str, Any]

    def build(self, *args: Any, **runtime: Any) -> Any:
        """Calls the target with its arguments, and with those that are only known at run time.

        Raises:
            UserError: the target does not exist, or refuses an argument.
        """
        return _build(self.key, {"_target_": self.target, **self.arguments}, *args, **runtime)

    def build_as(self, kind: type[Built], *args: Any, **runtime: Any) -> Built:
        """Builds the component as `build` does, and checks what it is.

        Raises:
            UserError: as `build`, or it is no `kind`.
        """
        built = self.build(*args, **runtime)
        if not isinstance(built, kind):
            raise UserError(f"{self.key}: {self.target} is no {kind.__name__}")
        return built

    def description(self) -> dict[str, Any]:
        """The component as the run folder stores it: the class by its name only, nested components likewise."""
        return _describe({"_target_": self.target, **self.arguments})


class RunChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """The choice `run` of a group: what a trained run used, with some arguments changed.

    A subclass declares a field for each argument that can be changed; None leaves the run's own value. A field of type
    `Component | Subclass` takes a class or changes, depending on whether the selected choice has a `_target_`.
    """

    def changed(self) -> dict[str, Any]:
        """The arguments that are changed, with their new values."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


def to_settings(config: DictConfig, settings: type[Settings]) -> Settings:
    """Converts a complete configuration to `settings`, a `msgspec.Struct`.

    Raises:
        UserError: a key is unknown or missing, a value has the wrong type, or the constructor of a Struct refuses it.
    """
    values = plain_values(config)
    types = {field.name: field.type for field in msgspec.structs.fields(settings)}  # type: ignore[arg-type]
    _check_numbers("", values)
    prepared = {str(key): _prepare(str(key), value, types.get(str(key))) for key, value in values.items()}
    try:
        return msgspec.convert(prepared, settings, dec_hook=_convert_path)
    except msgspec.ValidationError as error:
        raise UserError(_explain(str(error), prepared)) from error


def _prepare(key: str, value: Any, field_type: Any) -> Any:
    """Changes a value of the configuration to one that msgspec can convert to `field_type`."""
    types = get_args(field_type) or (field_type,)  # the members of a union
    if isinstance(value, dict) and Component in types:
        # msgspec distinguishes the members of a union of Structs by a field `type` with the name of the class.
        if "_target_" in value:
            arguments = {name: argument for name, argument in value.items() if name != "_target_"}
            return {"type": Component.__name__, "key": key, "target": value["_target_"], "arguments": arguments}
        changes = next((member for member in types if inspect.isclass(member) and issubclass(member, RunChanges)), None)
        if changes is None:
            raise UserError(
                f"{key}=run is only for commands that read a trained run: "
                f"select a {key} whose YAML file names a class by _target_"
            )
        return {"type": changes.__name__, **value}
    structs = [member for member in types if inspect.isclass(member) and issubclass(member, msgspec.Struct)]
    if isinstance(value, dict) and len(structs) > 1:
        chosen = next((member for member in structs if value.keys() >= {*member.__struct_fields__}), structs[-1])
        return {"type": chosen.__name__, **value}
    if isinstance(value, int | float) and type(value) not in types and (str in types or Path in types):
        return yaml_text(value)  # split=2016 is a name
    return value


def _check_numbers(key: str, value: Any) -> None:
    """Raises UserError if a value contains a whole number beyond `MAX_NUMBER`, or a seed that is not one."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_numbers(f"{key}.{name}".lstrip("."), item)
    elif isinstance(value, list):
        for item in value:
            _check_numbers(key, item)
    elif isinstance(value, int):
        is_seed = key.rpartition(".")[2] == "seed"
        if is_seed and not 0 <= value <= MAX_SEED:
            raise UserError(f"{key}={shorten(_digits(value))} must be a whole number from 0 to {MAX_SEED}")
        if not is_seed and abs(value) > MAX_NUMBER:
            raise UserError(f"{key}={shorten(_digits(value))} is too large: at most {MAX_NUMBER} is possible")


def _digits(number: int) -> str:
    """A number in decimal digits, or, where Python refuses to convert it, in words."""
    try:
        return str(number)
    except ValueError:
        return "a number of thousands of digits"


def yaml_text(value: Any) -> str:
    """Returns a value as YAML writes it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert_path(field_type: type, value: Any) -> Any:
    """Called by msgspec for a type that it does not know."""
    assert field_type is Path, f"settings of type {field_type.__name__}"
    if isinstance(value, list):
        raise TypeError("must be one path, such as runs/a, not a list")
    if not isinstance(value, str | int | float) or value == "":
        raise TypeError("must be a path, such as runs/a")
    return expand_home(str(value))


def expand_home(path: str) -> Path:
    """Replaces `~` or `~user` at the start of a path by the home folder; that of an unknown user is a name."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _explain(message: str, values: dict[str, Any]) -> str:
    """Rewrites a message of msgspec, such as "Expected `int`, got `str` - at `$.trainer.max_steps`", in plain words."""
    problem, _, path = message.partition(" - at `$")
    key = path.rstrip("`").lstrip(".")
    prefix = f"{key}." if key else ""
    if match := re.fullmatch(r"Expected `(.+)`, got `(.+)`", problem):
        allowed = " or ".join(TYPE_NAMES.get(name, name) for name in match[1].split(" | "))
        value = _look_up(key, values)
        if value is None or isinstance(value, dict | list):
            given = TYPE_NAMES.get(match[2], match[2])
        else:
            given = yaml_text(value)
        return f"{key}: must be {allowed}, not {shorten(given)}"
    if match := re.fullmatch(r"Object contains unknown field `(.+)`", problem):
        return f"{prefix}{match[1]}: no such key"
    if match := re.fullmatch(r"Object missing required field `(.+)`", problem):
        return f"{prefix}{match[1]}=… is required"
    return name_key(key, problem)  # a check in a Struct


@contextmanager
def naming_group(group: str) -> Iterator[None]:
    """Names the group in a `UserError` inside the block that names only the key: "max_length=1 must be …"."""
    try:
        yield
    except UserError as error:
        if not _names_argument(str(error)):
            raise
        raise UserError(name_key(group, str(error))) from error


def name_key(key: str, message: str) -> str:
    """Adds to a message about a group, or about one of its arguments, the key as the user types it.

    For the key "search", "beam_size=0 must be …" becomes "search.beam_size=0 must be …", and "there is no such class"
    becomes "search: there is no such class".
    """
    if not key or message.startswith(f"{key}."):
        return message
    return f"{key}.{message}" if _names_argument(message) else f"{key}: {message}"


def _names_argument(message: str) -> bool:
    """Whether a message begins with the name of an argument and its value, such as "beam_size=0"."""
    return re.match(r"\w+=", message) is not None


def _look_up(key: str, values: Any) -> Any:
    """The value at a dotted key, or None."""
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _build(key: str, component: dict[str, Any], *args: Any, **runtime: Any) -> Any:
    """Builds a component and, before it, the components among its arguments; see `Component.build`."""
    values = {name: _build_nested(f"{key}.{name}", value) for name, value in component.items() if name != "_target_"}
    target = _find_target(key, component["_target_"])

    # Wrong names of arguments are found before the call: a TypeError inside it would be a defect.
    try:
        inspect.signature(target).bind(*args, **values, **runtime)
    except TypeError as error:
        keys = ", ".join(name for name in inspect.signature(target).parameters if name not in runtime)
        raise UserError(f"{key}: {target.__qualname__}: {error}; it takes {keys}") from error
    except ValueError:
        pass  # some functions of C modules have no signature
    try:
        return target(*args, **values, **runtime)
    except UserError as error:
        raise UserError(name_key(key, str(error))) from error
    except Exception as error:
        # An argument that is passed on, such as model.x=1 to the constructor of the base class.
        unknown = re.search(r"got an unexpected keyword argument '(\w+)'", str(error))
        if isinstance(error, TypeError) and unknown and unknown[1] in values:
            raise UserError(f"{key}.{unknown[1]}: no such key") from error
        if isinstance(error, MemoryError) or "allocate memory" in str(error):  # torch raises a RuntimeError
            raise UserError(f"{key}: this size needs more memory than there is: choose a smaller one") from error
        # A class of another package, such as torch's optimizers, refuses its arguments by errors of many kinds. In one
        # of ours they are a defect.
        if component["_target_"].startswith("nmt."):
            raise
        raise UserError(f"{key}: {error}") from error


def _build_nested(key: str, value: Any) -> Any:
    """Builds every component inside an argument; anything else stays as it is."""
    if isinstance(value, list):
        return [_build_nested(f"{key}[{index}]", item) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "_target_" in value:
        return _build(key, value)
    return {name: _build_nested(f"{key}.{name}", item) for name, item in value.items()}


def _find_target(key: str, path: str) -> Callable[..., Any]:
    """Imports what a `_target_` names, such as "nmt.search.BeamSearch"."""
    try:
        target = pkgutil.resolve_name(path)
    except (ValueError, AttributeError, ModuleNotFoundError) as error:
        missing = getattr(error, "name", None)  # of a module; if it is not part of the path, a dependency is missing
        if isinstance(error, ModuleNotFoundError) and not f"{path}.".startswith(f"{missing}."):
            raise
        raise UserError(f"{key}: there is no {path}") from error
    if not callable(target):
        raise UserError(f"{key}: {path} is neither a class nor a function")
    return target


def _describe(value: Any) -> Any:
    """Describes every component inside an argument; anything else stays as it is."""
    if isinstance(value, list):
        return [_describe(item) for item in value]
    if not isinstance(value, dict):
        return value
    arguments = {key: _describe(inner) for key, inner in value.items() if key != "_target_"}
    if "_target_" not in value:
        return arguments
    return {"class": value["_target_"].rpartition(".")[2], "arguments": arguments}
