"""A description builds a public class of one package, with arguments of the right names and types, and nothing else."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from nmt import data, models, search
from nmt.errors import UserError
from nmt.models import DotScore, LuongRNN
from nmt.run.registry import Description, build, read_description


class Sizes:
    """A class with a parameter of each kind that a description can hold."""

    def __init__(self, *, path: str | Path, width: int = 1, names: dict[str, str] | None = None) -> None:
        self.path, self.width, self.names = path, width, names


class Wide(Sizes):
    """Passes all but one of its parameters on to its base class."""

    def __init__(self, *, width: int, **others: Any) -> None:
        super().__init__(width=2 * width, **others)


class Broken:
    """A class with a defect."""

    def __init__(self) -> None:
        raise ValueError("a defect")


class Huge(nn.Module):
    """A class that asks for more memory than there is."""

    def __init__(self) -> None:
        super().__init__()
        torch.empty(2**62)


@pytest.fixture
def package() -> ModuleType:
    module = ModuleType("package")
    for kind in (Sizes, Wide, Broken, Huge):
        setattr(module, kind.__name__, kind)
    module.__all__ = ["Sizes", "Wide", "Broken", "Huge"]  # type: ignore[attr-defined]
    return module


def test_a_nested_description_is_built_too(luong_arguments: dict[str, Any]) -> None:
    model = build({"class": "LuongRNN", "arguments": luong_arguments}, models)
    assert type(model) is LuongRNN
    assert type(model.decoder.score) is DotScore


SCORE = {"query_size": 8, "value_size": 8}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, '"class"'),
        ([], '"class"'),
        ({}, '"class"'),
        ({"class": 3}, '"class"'),
        ({"class": ["PlainRNN"]}, '"class"'),
        ({"class": "PlainRNN", "arguments": [1, 2]}, "names with values"),
        ({"class": "GPT"}, "has no class 'GPT'; it has .*PlainRNN"),
        ({"class": "nmt.models.PlainRNN"}, "has no class"),
        ({"class": "os.system", "arguments": {"command": "true"}}, "has no class"),
        ({"class": "recurrent"}, "has no class"),
        ({"class": "__builtins__"}, "has no class"),
        ({"class": "Seq2Seq"}, "has no class 'Seq2Seq'"),
        ({"class": "PlainRNN", "arguments": {}}, "PlainRNN cannot be built without "),
        ({"class": "PlainRNN"}, "PlainRNN cannot be built"),
        ({"class": "DotScore", "arguments": {**SCORE, "colour": 1}}, "it takes query_size, value_size, not 'colour'"),
        ({"class": "DotScore", "arguments": {**SCORE, "value_size": 9}}, "query_size|value_size"),
        ({"class": "DotScore", "arguments": {**SCORE, "query_size": "8"}}, "query_size: Expected `int`, got `str`"),
        ({"class": "DotScore", "arguments": {**SCORE, "query_size": True}}, "query_size: Expected `int`, got `bool`"),
    ],
)
def test_a_description_that_cannot_be_built_says_why_in_one_line(description: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build(description, models)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ({"class": "GPT"}, "has no class 'GPT'"),
        ({"class": "PlainRNN"}, "PlainRNN cannot be built"),
        (None, "score: Expected"),
        ("DotScore", "score: Expected"),
        ({"query_size": 8}, "score: Expected"),
    ],
)
def test_a_nested_description_must_be_of_the_right_kind(
    luong_arguments: dict[str, Any], score: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build({"class": "LuongRNN", "arguments": luong_arguments | {"score": score}}, models)


def test_a_target_is_never_followed(tmp_path: Path, luong_arguments: dict[str, Any]) -> None:
    touched = tmp_path / "touched"
    target = {"_target_": "pathlib.Path.touch", "self": str(touched)}
    descriptions: list[Description] = [
        target,
        {"class": "DotScore", **target},
        {"class": "DotScore", "arguments": target},
        {"class": "LuongRNN", "arguments": luong_arguments | target},
        {"class": "LuongRNN", "arguments": luong_arguments | {"score": target}},
    ]
    for description in descriptions:
        with pytest.raises(UserError):
            build(description, models)
    assert not touched.exists()


def test_only_a_search_can_be_named_as_a_search() -> None:
    for name in ("Hypothesis", "Search"):
        with pytest.raises(UserError, match=r"has no class .*; it has BeamSearch, GreedySearch"):
            build({"class": name, "arguments": {}}, search)


def test_a_module_of_a_package_cannot_be_named() -> None:
    with pytest.raises(UserError, match="has no class"):
        build({"class": "datasets", "arguments": {}}, data)


def test_a_path_is_text_and_optional_arguments_may_be_left_out(package: ModuleType) -> None:
    assert build({"class": "Sizes", "arguments": {"path": "x"}}, package).path == "x"
    assert build({"class": "Sizes", "arguments": {"path": "x", "names": {"a": "b"}}}, package).names == {"a": "b"}
    for arguments in ({"path": 1}, {"path": "x", "names": {"a": 1}}, {"path": "x", "names": []}):
        with pytest.raises(UserError, match="Sizes cannot be built"):
            build({"class": "Sizes", "arguments": arguments}, package)


def test_arguments_that_are_passed_on_to_the_base_class_are_checked_too(package: ModuleType) -> None:
    assert build({"class": "Wide", "arguments": {"path": "x", "width": 3}}, package).width == 6
    for arguments in ({"width": 3}, {"path": 1, "width": 3}, {"path": "x", "width": 3, "colour": 1}):
        with pytest.raises(UserError, match="Wide cannot be built"):
            build({"class": "Wide", "arguments": arguments}, package)


def test_a_defect_in_a_constructor_is_not_a_user_error(package: ModuleType) -> None:
    with pytest.raises(ValueError, match="a defect") as caught:
        build({"class": "Broken"}, package)
    assert not isinstance(caught.value, UserError)


def test_sizes_without_enough_memory_are_a_user_error(package: ModuleType) -> None:
    with pytest.raises(UserError, match="Huge cannot be built from these arguments"):
        build({"class": "Huge"}, package)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"class": "PlainRNN", "arguments": {}}', "is damaged: Object missing required field `format`"),
        ('{"format": "1", "class": "PlainRNN"}', "is damaged: Expected `int`, got `str`"),
        ('{"format": 3, "class": "PlainRNN"}', "has format 3, this program reads 2: update nmt"),
        ('{"format": 1, "type": "PlainRNN"}', "has format 1, this program reads 2: use the version of nmt that wrote"),
        ('{"format": 2}', "is damaged: Object missing required field `class`"),
        ('{"format": 2, "class": "PlainRNN", "arguments": 3}', "is damaged: Expected `object`, got `int`"),
        ('{"format": 2, "class": "PlainRNN", "arguments": {"dropout": NaN}}', "is damaged: JSON is malformed"),
        ("[1]", "is damaged: Expected `object`, got `array`"),
        ("", "is damaged"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_a_damaged_description_names_its_file(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"{path} {message}") as caught:
        read_description(path)
    assert "\n" not in str(caught.value)
