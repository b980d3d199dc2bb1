"""The packages that pyproject.toml declares are those that the code imports."""

import ast
import functools
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = [
    Requirement(line) for name in ("explore", "export", "documents") for line in PROJECT["optional-dependencies"][name]
]
DEVELOPMENT = [*EXTRAS, *(Requirement(line) for line in PROJECT["optional-dependencies"]["dev"] if "nmt[" not in line)]
LOCAL = {"nmt", "tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
"""The modules of this repository; some test files import each other by name."""

FOR_TYPE_CHECKERS = {"_typeshed"}
"""Modules that exist only in type checkers."""

NOT_IMPORTED = {"tensorboard"}
"""Declared although nothing imports it by name: torch.utils.tensorboard does."""


def names(requirements: list[Requirement]) -> set[str]:
    """The canonical distribution names of some requirements."""
    return {canonicalize_name(requirement.name) for requirement in requirements}


def imported_modules(source: str) -> Iterator[str]:
    """The top-level modules that a file imports absolutely, at whatever depth in its code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


@functools.cache
def distributions() -> Mapping[str, list[str]]:
    """The installed distributions that provide each top-level module: "yaml" is provided by "PyYAML"."""
    return metadata.packages_distributions()


def third_party(folder: Path) -> dict[str, set[str]]:
    """The modules that the files below `folder` import from elsewhere, each with its possible distributions."""
    modules = {
        module
        for path in folder.rglob("*.py")
        for module in imported_modules(path.read_text(encoding="utf-8"))
        if module not in sys.stdlib_module_names | LOCAL | FOR_TYPE_CHECKERS
    }
    return {module: {canonicalize_name(name) for name in distributions().get(module, [module])} for module in modules}


@pytest.mark.parametrize(("folder", "declared"), [("nmt", [*RUNTIME, *EXTRAS]), ("tests", [*RUNTIME, *DEVELOPMENT])])
def test_every_import_is_declared(folder: str, declared: list[Requirement]) -> None:
    undeclared = {module for module, owners in third_party(ROOT / folder).items() if not owners & names(declared)}
    assert undeclared == set()


def test_every_runtime_dependency_is_imported() -> None:
    imported = set().union(*third_party(ROOT / "nmt").values())
    assert names(RUNTIME) - imported == NOT_IMPORTED


def test_an_import_inside_a_function_counts() -> None:
    source = "from . import near\n\ndef f():\n    import yaml.nodes\n    from nmt.data import corpus\n"
    assert sorted(imported_modules(source)) == ["nmt", "yaml"]


def test_the_constraints_satisfy_the_lower_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned}
    for requirement in [*RUNTIME, *DEVELOPMENT]:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement
