"""A configuration becomes typed settings, and a class that YAML selects becomes an object; mistakes name the key."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from omegaconf import OmegaConf

from nmt.cli.shell.settings import Component, RunChanges, to_settings
from nmt.errors import UserError


class Heads:
    """A class of this project, as a configuration names one."""

    def __init__(self, *, count: int, inner: object = None) -> None:
        if count < 1:
            raise UserError(f"count={count} must be at least 1")
        if count == 13:
            raise UserError("thirteen heads bring bad luck")
        if count > 99:
            raise ValueError("a defect deeper down")
        self.count = count
        self.inner = inner

    @classmethod
    def pair(cls) -> "Heads":
        return cls(count=2)


class Strict:
    """A class of another package: it refuses its arguments with the errors of the standard library."""

    def __init__(self, *, count: int) -> None:
        if count < 1:
            raise ValueError(f"invalid count: {count}")


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the classes available as `nmt.voice.Heads` and `foreign.Strict`."""
    for name, cls in (("nmt.voice", Heads), ("foreign", Strict)):
        module = ModuleType(name)
        setattr(module, cls.__name__, cls)
        monkeypatch.setattr(cls, "__module__", name)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("nmt.voice", sys.modules["nmt.voice"], raising=False)


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_steps: int
    max_minutes: float | None
    label: str

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise UserError(f"max_steps={self.max_steps} must be at least 1")


class VoiceChanges(RunChanges, frozen=True, kw_only=True):
    count: int | None
    accent: str | None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    run: Path
    out: Path | None
    splits: list[str]
    warm: bool
    limits: LimitSettings
    model: Component
    voice: Component | VoiceChanges


VALID: dict[str, Any] = {
    "run": "runs/a",
    "out": None,
    "splits": ["val"],
    "warm": False,
    "limits": {"max_steps": 3, "max_minutes": 2, "label": "short"},
    "model": {"_target_": "nmt.voice.Heads", "count": 1},
    "voice": {"count": None, "accent": None},
}


def convert(**changes: Any) -> Settings:
    """The settings of VALID with some keys changed."""
    return to_settings(OmegaConf.create({**VALID, **changes}), Settings)


def test_every_value_has_the_type_of_its_field() -> None:
    settings = convert()
    assert settings.run == Path("runs/a")
    assert settings.out is None
    assert settings.limits == LimitSettings(max_steps=3, max_minutes=2.0, label="short")
    assert settings.model == Component("model", "nmt.voice.Heads", {"count": 1})


def test_an_optional_path_is_a_path() -> None:
    assert convert(out="report").out == Path("report")


def test_references_are_resolved() -> None:
    assert convert(run="runs/${limits.label}").run == Path("runs/short")


def test_a_number_in_place_of_a_name_is_that_name() -> None:
    assert convert(run=2016).run == Path("2016")
    assert to_settings(OmegaConf.create({"max_steps": 1, "max_minutes": None, "label": 7}), LimitSettings).label == "7"


def test_a_group_without_a_class_is_a_change_of_what_the_run_used() -> None:
    voice = convert(voice={"count": 2, "accent": None}).voice
    assert voice == VoiceChanges(count=2, accent=None)
    assert isinstance(voice, VoiceChanges)
    assert voice.changed() == {"count": 2}


def test_a_group_with_a_class_is_a_component_in_a_union_too() -> None:
    component = convert(voice={"_target_": "nmt.voice.Heads", "count": 2}).voice
    assert component == Component("voice", "nmt.voice.Heads", {"count": 2})


def limits(**changes: Any) -> dict[str, Any]:
    return {"limits": {**VALID["limits"], **changes}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"warm": 1}, "warm: must be true or false, not 1"),
        ({"run": ["a"]}, "run: must be one path, such as runs/a, not a list"),
        ({"splits": "val"}, "splits: must be a list, not val"),
        ({"splits": [["a"]]}, "splits[0]: must be text, not a list"),
        ({"limits": 3}, "limits: must be a group of keys, not 3"),
        (limits(max_steps="many"), "limits.max_steps: must be a whole number, not many"),
        (limits(max_steps=2.5), "limits.max_steps: must be a whole number, not 2.5"),
        (limits(max_steps=True), "limits.max_steps: must be a whole number, not true"),
        (limits(max_minutes="long"), "limits.max_minutes: must be a number or null, not long"),
        (limits(max_steps=None), "limits.max_steps: must be a whole number, not null"),
        (limits(max_step=1), "limits.max_step: no such key"),
        ({"colour": 1}, "colour: no such key"),
        (limits(max_steps=0), "limits.max_steps=0 must be at least 1"),
        ({"voice": {"count": "x", "accent": None}}, "voice.count: must be a whole number or null, not x"),
        ({"voice": {"count": 1, "accent": None, "pitch": 2}}, "voice.pitch: no such key"),
        ({"voice": {"count": 1}}, "voice.accent=… is required"),
        (
            *({"model": {"count": 1}},),
            "model=run is only for commands that read a trained run: "
            "select a model whose YAML file names a class by _target_",
        ),
    ],
)
def test_a_wrong_value_is_one_line_that_names_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        convert(**changes)
    assert str(caught.value) == message


def test_a_missing_key_is_named() -> None:
    values = {key: value for key, value in VALID.items() if key != "warm"}
    with pytest.raises(UserError, match=r"^warm=… is required$"):
        to_settings(OmegaConf.create(values), Settings)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("nmt.voice.Heads", {"count": 0}, "voice.count=0 must be at least 1"),
        ("nmt.voice.Heads", {"count": 13}, "voice: thirteen heads bring bad luck"),
        ("nmt.voice.Heads", {}, "voice: Heads: missing a required argument: 'count'; it takes count, inner"),
        (
            "nmt.voice.Heads",
            {"count": 1, "x": 1},
            "voice: Heads: got an unexpected keyword argument 'x'; it takes count, inner",
        ),
        ("nmt.voice.Haeds", {}, "voice: there is no nmt.voice.Haeds"),
        ("nmt.vioce.Heads", {}, "voice: there is no nmt.vioce.Heads"),
        ("Heads", {}, "voice: there is no Heads"),
        ("nmt voice", {}, "voice: there is no nmt voice"),
        ("nmt.voice", {}, "voice: nmt.voice is neither a class nor a function"),
        (
            *("nmt.voice.Heads", {"count": 1, "inner": {"_target_": "nmt.voice.Heads", "count": -1}}),
            "voice.inner.count=-1 must be at least 1",
        ),
        (
            *("nmt.voice.Heads", {"count": 1, "inner": [{"_target_": "nmt.voice.Heads", "count": -1}]}),
            "voice.inner[0].count=-1 must be at least 1",
        ),
        ("foreign.Strict", {"count": 0}, "voice: invalid count: 0"),
        ("foreign.Strict", {"count": "1"}, "voice: '<' not supported between instances of 'str' and 'int'"),
    ],
)
def test_a_component_names_its_key_and_what_is_wrong(target: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Component("voice", target, arguments).build()
    assert str(caught.value) == message


@pytest.mark.parametrize(("count", "defect"), [(100, ValueError), ("1", TypeError)])
def test_a_defect_inside_a_constructor_is_not_a_user_error(count: Any, defect: type[Exception]) -> None:
    with pytest.raises(defect) as caught:
        Component("voice", "nmt.voice.Heads", {"count": count}).build()
    assert not isinstance(caught.value, UserError)


def test_a_missing_dependency_of_a_module_is_not_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        Component("voice", "needs_more.Voice", {}).build()


def test_a_component_is_built_with_runtime_values_and_described_by_its_name_only() -> None:
    component = Component("voice", "nmt.voice.Heads", {"inner": {"_target_": "nmt.voice.Heads", "count": 2}})
    heads = component.build(count=1)
    assert (heads.count, heads.inner.count) == (1, 2)
    inner = {"class": "Heads", "arguments": {"count": 2}}
    assert component.description() == {"class": "Heads", "arguments": {"inner": inner}}


def test_a_class_receives_plain_lists_and_dictionaries() -> None:
    config = OmegaConf.create({**VALID, "model": {"_target_": "nmt.voice.Heads", "count": 1, "inner": {"a": [1]}}})
    inner = to_settings(config, Settings).model.build().inner
    assert (type(inner), type(inner["a"])) == (dict, list)


def test_a_target_may_be_a_method_of_a_class() -> None:
    assert Component("voice", "nmt.voice.Heads.pair", {}).build().count == 2


def test_a_function_without_a_signature_can_be_a_target() -> None:
    assert Component("voice", "builtins.dict", {"a": 1}).build() == {"a": 1}
