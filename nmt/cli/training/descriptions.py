"""The parts of a run as its folder stores them: classes by their names."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from nmt.cli.shell.settings import Component
from nmt.errors import UserError
from nmt.run.registry import Description


def describe(component: Component, package: ModuleType) -> Description:
    """The component as the run folder stores it.

    Raises:
        UserError: its class, or that of a nested component, is not a public name of `package`, where commands that read
            the run folder look it up.
    """
    description = component.description()
    for name in _class_names(description):
        if name not in package.__all__:
            raise UserError(
                f"{component.key}: {package.__name__} has no class {name}, so the run folder could not be read again; "
                f"it has {', '.join(package.__all__)}"
            )
    return description


def _class_names(description: Any) -> Iterator[str]:
    """The class names in a description, the outer one first."""
    if isinstance(description, dict):
        if "class" in description:
            yield description["class"]
        for value in description.values():
            yield from _class_names(value)
