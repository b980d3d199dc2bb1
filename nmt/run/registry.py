"""Classes by name: how a run folder stores its model, its search and its corpus, and how they are built again.

A class is looked up by its name among the public names (`__all__`) of one package of this project. A path to code is
never followed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from nmt.errors import UserError
from nmt.run.format import Versioned, read_versioned

Description = dict[str, Any]
"""A class by its name and its arguments: {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}.

Arguments may be descriptions themselves."""

MAX_SHOWN_CHARACTERS = 80
"""Maximum length of a quotation from a file in an error message."""


class _ClassRecord(msgspec.Struct):
    """A `Description` whose types have been checked."""

    class_name: str = msgspec.field(name="class")
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class StoredDescription(Versioned, kw_only=True):
    """The content of search.json and corpus.json."""

    class_name: str = msgspec.field(name="class")
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class StoredModel(StoredDescription, kw_only=True):
    """The content of model.json.

    Attributes:
        parameters: how many numbers the model learns.
    """

    parameters: int


def read_description(path: Path) -> Description:
    """Reads model.json, search.json or corpus.json.

    Raises:
        UserError: the file is missing, damaged, or has another format than this program's.
    """
    stored = read_versioned(path, StoredDescription)
    return {"class": stored.class_name, "arguments": stored.arguments}


def build(description: Any, package: ModuleType) -> Any:
    """Builds the object that a `Description` stands for.

    Args:
        description: the class and its arguments. It may come from anybody, so everything in it is checked.
        package: the package whose public classes may be named, and no others.

    Raises:
        UserError: the package has no such class, or the class does not take these arguments.
    """
    try:
        record = msgspec.convert(description, _ClassRecord)
    except (msgspec.ValidationError, RecursionError):
        shown = str(description)[:MAX_SHOWN_CHARACTERS]
        raise UserError(
            f'a description has a "class" and "arguments", which are names with values, not {shown}'
        ) from None
    name = record.class_name
    classes = _public_classes(package)
    if name not in classes:
        shown = repr(name[:MAX_SHOWN_CHARACTERS])
        raise UserError(f"{package.__name__} has no class {shown}; it has {', '.join(classes)}")
    arguments = {
        key: build(value, package) if isinstance(value, Mapping) and "class" in value else value
        for key, value in record.arguments.items()
    }
    _check_arguments(classes[name], arguments)
    try:
        return classes[name](**arguments)
    # This is how torch refuses sizes for which there is no memory, or whose product is too large for a number.
    except (RuntimeError, MemoryError, OverflowError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{name} cannot be built from these arguments: {reason}") from None


def _public_classes(package: ModuleType) -> dict[str, type[Any]]:
    """The classes among the public names of a package of which there can be objects."""
    public = {name: getattr(package, name) for name in package.__all__}
    return {name: kind for name, kind in public.items() if inspect.isclass(kind) and not inspect.isabstract(kind)}


def _check_arguments(kind: type[Any], arguments: Mapping[str, Any]) -> None:
    """Raises UserError unless a constructor takes arguments of these names and types.

    So an error inside the constructor is not taken for a mistake in the description.
    """
    name = kind.__name__
    types, required = _parameters(kind)
    if missing := [key for key in required if key not in arguments]:
        raise UserError(f"{name} cannot be built from these arguments: {', '.join(missing)} is missing")
    for key, value in arguments.items():
        if key not in types:
            shown = repr(key[:MAX_SHOWN_CHARACTERS])
            raise UserError(f"{name} cannot be built from these arguments: it takes {', '.join(types)}, not {shown}")
        try:
            msgspec.convert(value, _json_type(types[key]))
        except (msgspec.ValidationError, RecursionError) as error:
            raise UserError(f"{name} cannot be built from these arguments: {key}: {error}") from None


def _parameters(kind: type[Any]) -> tuple[dict[str, Any], list[str]]:
    """The types of a constructor's parameters by their names, and the names of those without a default.

    Parameters that a constructor passes on to its base class by ** count as its own.
    """
    types: dict[str, Any] = {}
    required: list[str] = []
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        hints = get_type_hints(vars(base)["__init__"])
        _, *parameters = inspect.signature(vars(base)["__init__"]).parameters.values()  # without self
        for parameter in parameters:
            if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in types:
                types[parameter.name] = hints[parameter.name]
                required += [parameter.name] * (parameter.default is parameter.empty)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return types, required


def _json_type(hint: Any) -> Any:
    """The type of a parameter as a JSON file can hold it: there, a path is text."""
    if hint is Path:
        return str
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(_json_type(member) for member in get_args(hint))]  # noqa: UP007
    return hint
