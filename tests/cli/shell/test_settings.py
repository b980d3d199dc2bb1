"""Configuration becomes typed settings, and a class that YAML selects says which of its arguments is wrong."""

import sys
from types import ModuleType
from typing import Any

import pytest
from hydra.errors import InstantiationException

from nmt.cli.shell.settings import Component
from nmt.errors import UserError


class Heads:
    """A class of this project, as the configuration names one."""

    def __init__(self, *, count: int, inner: object = None) -> None:
        if count < 1:
            raise UserError(f"count must be at least 1, not {count}")
        if count > 99:
            raise ValueError("a defect deeper down")


class Strict:
    """A class of another package: it refuses its arguments with the errors of the standard library."""

    def __init__(self, *, count: int) -> None:
        if count < 1:
            raise ValueError(f"invalid count: {count}")


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the classes where their dotted paths lead: into `nmt`, and into a package that is not ours."""
    for name, kind in (("nmt.voice", Heads), ("foreign", Strict)):
        module = ModuleType(name)
        setattr(module, kind.__name__, kind)
        monkeypatch.setattr(kind, "__module__", name)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("nmt.voice", sys.modules["nmt.voice"], raising=False)


@pytest.mark.parametrize(
    ("target", "arguments", "message"),
    [
        ("nmt.voice.Heads", {"count": 0}, "voice: count must be at least 1, not 0"),
        ("nmt.voice.Heads", {}, "voice: Heads.__init__() missing 1 required keyword-only argument: 'count'"),
        (
            *("nmt.voice.Heads", {"count": 1, "x": 1}),
            "voice: Heads.__init__() got an unexpected keyword argument 'x'",
        ),
        ("nmt.voice.Haeds", {}, "voice: there is no nmt.voice.Haeds"),
        (
            *("nmt.voice.Heads", {"count": 1, "inner": {"_target_": "nmt.voice.Heads", "count": -1}}),
            "voice.inner: count must be at least 1, not -1",
        ),
        ("foreign.Strict", {"count": 0}, "voice: invalid count: 0"),
        ("foreign.Strict", {"count": "1"}, "voice: '<' not supported between instances of 'str' and 'int'"),
    ],
)
def test_a_component_names_its_key_and_what_is_wrong(target: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Component("voice", target, arguments).build()
    assert str(caught.value) == message


@pytest.mark.parametrize("arguments", [{"count": 100}, {"count": "1"}])
def test_a_defect_inside_a_constructor_is_not_a_user_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(InstantiationException) as caught:
        Component("voice", "nmt.voice.Heads", arguments).build()
    assert not isinstance(caught.value, UserError)


def test_a_component_is_built_with_runtime_values_and_described_by_its_name_only() -> None:
    component = Component("voice", "nmt.voice.Heads", {"inner": {"_target_": "nmt.voice.Heads", "count": 2}})
    assert isinstance(component.build(count=1), Heads)
    inner = {"class": "Heads", "arguments": {"count": 2}}
    assert component.description() == {"class": "Heads", "arguments": {"inner": inner}}
