"""Builds the model, the search, the metrics and the corpus of a run folder from their descriptions in JSON.

A description names a class and its arguments. The class is looked up among the public names (`__all__`) of one package
of this project; a path to code is never imported.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from nmt.errors import UserError
from nmt.run.format import Versioned, read_versioned

Description = dict[str, Any]
"""The name of a class, and the arguments of its constructor, some of which may be descriptions themselves:
{"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}."""

MAX_SHOWN_CHARACTERS = 80
"""Maximum length of a quotation from a file in an error message."""


class TypedDescription(msgspec.Struct):
    """A `Description` whose types msgspec has checked."""

    class_name: str = msgspec.field(name="class")
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class StoredDescription(Versioned, kw_only=True):
    """The content of search.json, metrics.json and corpus.json: a `Description` with the version of the format."""

    class_name: str = msgspec.field(name="class")
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)


class StoredCorpus(StoredDescription, kw_only=True):
    """The content of corpus.json.

    Attributes:
        text: digests of the text for training and for validation (`nmt.data.digest`).
    """

    text: dict[str, str] = msgspec.field(default_factory=dict)


class StoredModel(StoredDescription, kw_only=True):
    """The content of model.json.

    Attributes:
        parameters: how many numbers the model learns.
    """

    parameters: int


class StoredObjective(Versioned, kw_only=True):
    """What model.json says about the objective.

    Attributes:
        objective: the noise with which the run was pre-trained (`nmt.data.noise`); None for a run that translates.
    """

    objective: TypedDescription | None = None


class Origin(msgspec.Struct, kw_only=True):
    """The run with which training started, `init=RUN`, without the fields that only people read.

    Attributes:
        model_hash: of its model at that time (`nmt.run.model_hash`).
    """

    model_hash: str


class StoredOrigin(Versioned, kw_only=True):
    """What model.json says about the run with which training started; only a run with `init` has it."""

    init: Origin


def read_description(path: Path) -> Description:
    """Reads model.json, search.json, metrics.json or corpus.json.

    Raises:
        UserError: the file is missing, damaged, or has another format than this program's.
    """
    stored = read_versioned(path, StoredDescription)
    return {"class": stored.class_name, "arguments": stored.arguments}


def main_corpus(corpus: Description) -> Description:
    """The description of the corpus that decides on the languages: without hold-outs, the first part of a mixed one."""
    arguments = corpus.get("arguments", {})
    inner, parts = arguments.get("corpus"), arguments.get("parts")
    if isinstance(parts, list) and parts:
        inner = parts[0]
    return main_corpus(inner) if isinstance(inner, dict) and isinstance(inner.get("arguments"), dict) else corpus


def change_main_corpus(corpus: Description, changes: dict[str, Any]) -> Description:
    """The description of a corpus whose main corpus, see `main_corpus`, has other arguments.

    If these name a direction of a mixed corpus, its first part in this direction becomes the main one. Such a corpus
    has no pairs that are held out, because these are in the first direction.
    """
    arguments = corpus["arguments"]
    inner = arguments.get("corpus")
    if isinstance(inner, dict) and isinstance(inner.get("arguments"), dict):
        main = language_pair(inner)
        changed = change_main_corpus(inner, changes)
        return changed if language_pair(changed) != main else {**corpus, "arguments": {**arguments, "corpus": changed}}
    if not (parts := list_parts(corpus)):
        return {**corpus, "arguments": {**arguments, **changes}}
    pair = language_pair({"arguments": {**parts[0][0]["arguments"], **changes}})
    if pair not in (pairs := [language_pair(part) for part, _, _ in parts]):
        # A direction in which the run was not trained: its tag is that of the same target language.
        tag = next((tag for part, tag, _ in parts if language_pair(part)[1] == pair[1]), parts[0][1])
        parts = [(parts[0][0], tag, parts[0][2]), *parts[1:]]
    else:
        parts.insert(0, parts.pop(pairs.index(pair)))
    parts[0] = (change_main_corpus(parts[0][0], changes), *parts[0][1:])
    columns = zip(("parts", "tags", "weights"), zip(*parts, strict=True), strict=True)
    return {**corpus, "arguments": {**arguments, **{name: list(column) for name, column in columns}}}


def list_parts(corpus: Description) -> list[tuple[Description, Any, Any]]:
    """The parts of a described mixed corpus, each with its tag and its weight; none for any other description."""
    arguments = corpus.get("arguments", {})
    parts, tags, weights = (arguments.get(name) for name in ("parts", "tags", "weights"))
    if not (isinstance(parts, list) and isinstance(tags, list) and isinstance(weights, list)):
        return []
    if not len(parts) == len(tags) == len(weights):
        return []
    if not all(isinstance(part, dict) and isinstance(part.get("arguments"), dict) for part in parts):
        return []
    return list(zip(parts, tags, weights, strict=True))


def language_pair(corpus: Description) -> tuple[str, str]:
    """The codes of the source and the target language of a described corpus."""
    arguments = main_corpus(corpus)["arguments"]
    return str(arguments.get("source")), str(arguments.get("target"))


def name_corpus(corpus: Description) -> str:
    """What users call a described corpus: its id on the hub, or the last part of its path, or its class."""
    main = main_corpus(corpus)
    arguments = main["arguments"]
    return str(arguments.get("id") or Path(str(arguments.get("path") or "")).name or main["class"])


def build(description: Any, package: ModuleType) -> Any:
    """Builds an object from its `Description`.

    Args:
        description: the class and its arguments. It may come from an untrusted file, so everything in it is checked.
        package: the only package whose public classes may be named.

    Raises:
        UserError: the package has no such class, or the class does not take these arguments.
    """
    # 1. Check the description itself.
    try:
        checked = msgspec.convert(description, TypedDescription)
    except (msgspec.ValidationError, RecursionError):
        shown = str(description)[:MAX_SHOWN_CHARACTERS]
        raise UserError(
            f'a description has a "class" and "arguments", which are names with values, not {shown}'
        ) from None
    # 2. Look up the class.
    name = checked.class_name
    classes = _public_classes(package)
    if name not in classes:
        shown = repr(name[:MAX_SHOWN_CHARACTERS])
        raise UserError(f"{package.__name__} has no class {shown}; it has {', '.join(classes)}")
    # 3. Build the arguments that are descriptions themselves, or lists with descriptions, and check all of them.
    arguments = {
        key: [_build_nested(item, package) for item in value]
        if isinstance(value, list)
        else _build_nested(value, package)
        for key, value in checked.arguments.items()
    }
    _check_arguments(classes[name], arguments)
    # 4. Call the constructor.
    try:
        return classes[name](**arguments)
    # torch raises these if there is no memory for the sizes, or if their product exceeds 64 bits.
    except (RuntimeError, MemoryError, OverflowError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{name} cannot be built from these arguments: {reason}") from None


def _build_nested(value: Any, package: ModuleType) -> Any:
    """Builds an argument if it is a description."""
    return build(value, package) if isinstance(value, Mapping) and "class" in value else value


def _public_classes(package: ModuleType) -> dict[str, type[Any]]:
    """The concrete classes among the public names of a package, by name."""
    public = {name: getattr(package, name) for name in package.__all__}
    return {name: value for name, value in public.items() if inspect.isclass(value) and not inspect.isabstract(value)}


def _check_arguments(cls: type[Any], arguments: Mapping[str, Any]) -> None:
    """Raises UserError unless the names and types of all arguments fit the constructor of `cls`.

    They are checked before the constructor is called, so that an error inside it is not mistaken for a damaged file.
    """
    parameters = _constructor_parameters(cls)
    required = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    if missing := [name for name in required if name not in arguments]:
        raise UserError(
            f"{cls.__name__} cannot be built without {', '.join(missing)}; if another version of this program trained "
            f"the run, train it again"
        )
    for name, value in arguments.items():
        if name not in parameters:
            reason = f"it takes {', '.join(parameters)}, not {name[:MAX_SHOWN_CHARACTERS]!r}"
            raise UserError(f"{cls.__name__} cannot be built from these arguments: {reason}")
        try:
            msgspec.convert(value, _json_type(parameters[name].annotation))
        except (msgspec.ValidationError, RecursionError) as error:
            raise UserError(f"{cls.__name__} cannot be built from these arguments: {name}: {error}") from None


def _constructor_parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor by name.

    A constructor with `**others` passes them on to its base class, whose parameters are included then.
    """
    parameters: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        signature = inspect.signature(base, eval_str=True).parameters
        named = {name: each for name, each in signature.items() if each.kind is not each.VAR_KEYWORD}
        parameters = parameters | {name: each for name, each in named.items() if name not in parameters}
        if len(named) == len(signature):
            break
    return parameters


def _json_type(annotation: Any) -> Any:
    """The type of a parameter as a JSON file can hold it, where a path is a string."""
    is_union = get_origin(annotation) in (Union, UnionType)
    members = get_args(annotation) if is_union else (annotation,)
    return Union[tuple(str if member is Path else member for member in members)]  # noqa: UP007
