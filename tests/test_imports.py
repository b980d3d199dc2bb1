"""The structure of the package: who may import whom, without cycles, without private names, in files of readable size.

All of it is read from the source, so imports inside functions and those for type checkers alone count too.
"""

import ast
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

import nmt

ROOT = Path(nmt.__file__).parent

MAX_LINES = 300
"""Maximum length of a file, except for the grammar, whose files are mostly tables of words."""

BOTTOM = {"errors", "files", "checks", "device", "threads", "display", "streams"}
ALLOWED: dict[str, Set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "checks": {"errors"},
    "device": {"errors"},
    "threads": {"errors", "device"},
    "display": set(),
    "streams": set(),
    "console": {"streams"},
    "data": BOTTOM,
    "models": {"data", *BOTTOM},
    "run": {"models", "data", *BOTTOM},
    "search": {"run", "models", "data", *BOTTOM},
    "training": {"run", "models", "data", "console", *BOTTOM},
    "copying": {"data", *BOTTOM},
    "translator": {"copying", "search", "run", "models", "data", *BOTTOM},
    "documents": {"copying", "data", *BOTTOM},
    "alignment": {"translator", "search", "run", "models", "data", *BOTTOM},
    "evaluation": {"alignment", "translator", "search", "run", "models", "data", *BOTTOM},
    "report": {"evaluation", "translator", "run", "data", *BOTTOM},
    "export": {"explore", "translator", "search", "run", "models", "data", *BOTTOM},
    "explore": {"report", "evaluation", "translator", "search", "run", "models", "data", *BOTTOM},
    "benchmark": {"translator", "search", "training", "run", "models", "data", *BOTTOM},
    "cli": {
        *(
            "documents",
            "export",
            "explore",
            "benchmark",
            "report",
            "evaluation",
            "translator",
            "search",
            "training",
            "run",
            "models",
            "data",
        ),
        "console",
        "alignment",
        *BOTTOM,
        "",
    },
    "notebook": {"report", "translator", "run", *BOTTOM},
    "__main__": {"cli"},
    "": {"notebook", "translator", "run", "display"},  # nmt/__init__.py, with the public names
}
"""What each part of the package may import besides itself, from the bottom to the top."""

ONLY_IN_CLI = {"hydra", "omegaconf"}

Sources = Mapping[str, str]
"""Module name → source code. The name of a package stands for its __init__.py."""


@pytest.fixture(scope="module")
def sources() -> Sources:
    """Every file of the package."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        names = ("nmt", *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(names).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def part_of(module: str) -> str:
    """nmt.data.corpus -> data."""
    return module.split(".")[1] if "." in module else ""


def imports(module: str, sources: Sources) -> Iterator[tuple[str, str]]:
    """Yields (module that is imported, name that is taken from it or "") for every import of a module, at any depth.

    `from nmt.run import folder` imports the module nmt.run.folder; `from nmt.run import RunFolder` imports nmt.run.
    """
    is_package = any(other.startswith(f"{module}.") for other in sources)
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(sources[module])):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                is_module = f"{origin}.{alias.name}" in sources or origin == "nmt"
                yield (f"{origin}.{alias.name}", "") if is_module else (origin, alias.name)


def upward_imports(module: str, sources: Sources) -> list[str]:
    """The imports of a module that the order of the parts does not allow."""
    part = part_of(module)
    wrong = []
    for name in dict.fromkeys(name for name, _ in imports(module, sources)):
        top = name.split(".")[0]
        is_upward = top == "nmt" and part_of(name) not in {*ALLOWED[part], part}
        if is_upward or (top in ONLY_IN_CLI and part != "cli"):
            wrong.append(f"{module} imports {name}")
    return wrong


def cycles(sources: Sources) -> list[list[str]]:
    """The groups of modules that import each other, directly or through others in the group."""
    graph = {module: {name for name, _ in imports(module, sources)} & sources.keys() - {module} for module in sources}
    reachable: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        waiting = list(graph[module])
        while waiting:
            if (name := waiting.pop()) not in seen:
                seen.add(name)
                waiting += graph[name]
        reachable[module] = seen
    groups = {
        tuple(sorted(other for other in graph if other in reachable[module] and module in reachable[other]))
        for module in graph
    }
    return [list(group) for group in sorted(groups) if group]


def private_names(module: str, sources: Sources) -> list[str]:
    """The private names of other modules of the project that a module imports, or reaches as `other._name`."""

    def is_private(name: str) -> bool:
        return name.startswith("_") and not name.startswith("__")

    wrong = []
    for origin, name in imports(module, sources):
        if origin.split(".")[0] == "nmt" and (is_private(name) or any(map(is_private, origin.split(".")))):
            wrong.append(f"{module} imports {f'{origin}.{name}'.rstrip('.')}")
    tree = ast.parse(sources[module])
    own = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and ast.unparse(node).split()[1].startswith(("nmt", "."))
    ]
    names = {alias.asname or alias.name.split(".")[0] for node in own for alias in node.names}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_private(node.attr)]
    reached = [node for node in attributes if isinstance(node.value, ast.Name) and node.value.id in names]
    return wrong + [f"{module} reaches {ast.unparse(node)}" for node in reached]


def test_every_part_is_in_the_order(sources: Sources) -> None:
    assert {part_of(module) for module in sources} == set(ALLOWED)


def test_the_parts_have_an_order() -> None:
    """What is allowed has no cycle."""
    ordered: set[str] = set()
    while len(ordered) < len(ALLOWED):
        ready = {part for part, below in ALLOWED.items() if part not in ordered and below <= ordered}
        assert ready, f"a cycle among {set(ALLOWED) - ordered}"
        ordered |= ready


def test_imports_only_point_downward(sources: Sources) -> None:
    assert [wrong for module in sources for wrong in upward_imports(module, sources)] == []


def test_no_modules_import_each_other(sources: Sources) -> None:
    assert cycles(sources) == []


def test_no_module_uses_a_private_name_of_another(sources: Sources) -> None:
    assert [wrong for module in sources for wrong in private_names(module, sources)] == []


def test_no_file_is_too_long(sources: Sources) -> None:
    lengths = {module: source.count("\n") for module, source in sources.items()}
    grammar = "nmt.data.grammar"
    too_long = {module: n for module, n in lengths.items() if n > MAX_LINES and not module.startswith(grammar)}
    assert too_long == {}


# The checks find what they are for


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nmt.models.attention", "from nmt.training.loss import cross_entropy"),
        ("nmt.training.trainer", "import nmt.search.beam"),
        ("nmt.training.trainer", "from nmt import evaluation"),
        ("nmt.training.trainer", "from ..evaluation import metrics"),
        ("nmt.report.curves", "from nmt.training.trainer import Trainer"),
        ("nmt.report.curves", "from nmt import models"),
        ("nmt.files", "from . import run"),
        ("nmt.run", "import omegaconf"),
        ("nmt.translator", "from hydra.utils import instantiate"),
        ("nmt.data.corpus", "def f():\n    if True:\n        from nmt.cli import main"),
    ],
)
def test_an_upward_import_is_found(module: str, line: str) -> None:
    assert len(upward_imports(module, {module: f"import torch\n{line}\n"})) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nmt.cli.train", "from hydra.utils import instantiate"),
        ("nmt.training.trainer", "from nmt.run import RunFolder"),
        ("nmt.models.attention", "from .seq2seq import Memory"),
        ("nmt.data.corpus", "from nmt.files import atomic_write"),
    ],
)
def test_a_downward_import_is_allowed(module: str, line: str) -> None:
    assert upward_imports(module, {module: line}) == []


def test_a_cycle_is_found_through_packages_functions_and_type_checking() -> None:
    first = "from nmt.b import thing\n"
    package = "from nmt.b.inner import thing\n"
    inner = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nmt.c import other\n"
    last = "def f():\n    from nmt import a\n"
    modules = {"nmt.a": first, "nmt.b": package, "nmt.b.inner": inner, "nmt.c": last, "nmt.d": "import nmt.a\n"}
    assert cycles(modules) == [["nmt.a", "nmt.b", "nmt.b.inner", "nmt.c"]]
    assert cycles(modules | {"nmt.c": "import torch\n"}) == []


@pytest.mark.parametrize(
    "line",
    [
        "from nmt.data.corpus import _generate",
        "from nmt.data._corpus import generate",
        "import nmt.data._corpus",
        "from nmt.data import corpus\ncorpus._generate()",
        "def f():\n    from . import files\n    files._flush()",
    ],
)
def test_a_private_name_is_found(line: str) -> None:
    assert len(private_names("nmt.run", {"nmt.run": line, "nmt.data.corpus": ""})) == 1


@pytest.mark.parametrize(
    "line", ["from nmt import __version__", "import nmt\nnmt.__file__", "x = 1\nx._value", "import torch\ntorch._C"]
)
def test_public_and_own_names_are_allowed(line: str) -> None:
    assert private_names("nmt.run", {"nmt.run": line}) == []
