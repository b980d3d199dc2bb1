"""The arrows of the design: who may import whom. Read from the files, so that imports inside functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nmt

ROOT = Path(nmt.__file__).parent

BOTTOM = {"errors", "files", "checks", "device"}
BELOW = {
    "errors": set(),
    "files": {"errors"},
    "checks": {"errors"},
    "device": {"errors"},
    "data": BOTTOM,
    "models": {"data", *BOTTOM},
    "run": {"models", "data", *BOTTOM},
    "search": {"run", "models", "data", *BOTTOM},
    "training": {"run", "models", "data", *BOTTOM},
    "translator": {"search", "run", "models", "data", *BOTTOM},
    "evaluation": {"translator", "search", "run", "models", "data", *BOTTOM},
    "report": {"evaluation", "run", "data", *BOTTOM},
    "benchmark": {"translator", "search", "training", "run", "models", "data", *BOTTOM},
    "cli": {
        *("benchmark", "report", "evaluation", "translator", "search", "training", "run", "models", "data"),
        *BOTTOM,
        "",
    },
    "__main__": {"cli"},
    "": {"translator"},  # the package itself: its public names
}
"""What each part may import besides itself."""
ONLY_IN_CLI = {"hydra", "omegaconf"}


def part_of(module: str) -> str:
    """nmt.data.corpus -> data."""
    return module.split(".")[1] if "." in module else ""


def imported(source: str, package: str) -> Iterator[str]:
    """The modules that a file of `package` imports, at whatever depth; `from nmt import models` is nmt.models."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "nmt":
                yield from (f"nmt.{alias.name}" for alias in node.names)
            else:
                yield module


def wrong_arrows(module: str, package: str, source: str) -> list[str]:
    """The imports of `module` that the design does not allow."""
    part = part_of(module)
    wrong = []
    for name in imported(source, package):
        top = name.split(".")[0]
        if top == "nmt":
            if part_of(name) not in {*BELOW[part], part}:
                wrong.append(f"{module} imports {name}")
        elif top in ONLY_IN_CLI and part != "cli":
            wrong.append(f"{module} imports {name}")
    return wrong


def modules() -> Iterator[tuple[str, str, str]]:
    """(module, its package, source) of every file."""
    for path in sorted(ROOT.rglob("*.py")):
        names = ["nmt", *path.relative_to(ROOT).with_suffix("").parts]
        package = ".".join(names[:-1])
        yield ".".join(names[:-1] if names[-1] == "__init__" else names), package, path.read_text(encoding="utf-8")


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module, _, _ in modules()} == set(BELOW)


def test_imports_run_downward() -> None:
    assert [wrong for module in modules() for wrong in wrong_arrows(*module)] == []


def test_the_parts_have_an_order() -> None:
    """No circle among what is allowed."""
    placed: set[str] = set()
    while len(placed) < len(BELOW):
        ready = {part for part, below in BELOW.items() if part not in placed and below <= placed}
        assert ready, f"a circle among {set(BELOW) - placed}"
        placed |= ready


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nmt.models.attention", "from nmt.training.loss import cross_entropy"),
        ("nmt.training.trainer", "import nmt.search.beam"),
        ("nmt.training.trainer", "from nmt import evaluation"),
        ("nmt.training.trainer", "from ..evaluation import metrics"),
        ("nmt.report.curves", "from nmt.translator import Translator"),
        ("nmt.report.curves", "from nmt import models"),
        ("nmt.files", "from . import run"),
        ("nmt.run", "import omegaconf"),
        ("nmt.translator", "from hydra.utils import instantiate"),
        ("nmt.data.corpus", "def f():\n    if True:\n        from nmt.cli import main"),
    ],
)
def test_an_upward_arrow_is_seen(module: str, line: str) -> None:
    assert len(wrong_arrows(module, module.rpartition(".")[0], f"import torch\n{line}\n")) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("nmt.cli.train", "from hydra.utils import instantiate"),
        ("nmt.training.trainer", "from nmt.run import RunFolder"),
        ("nmt.models.attention", "from .seq2seq import Memory"),
        ("nmt.data.corpus", "from nmt.files import atomic_write"),
    ],
)
def test_a_downward_arrow_passes(module: str, line: str) -> None:
    assert wrong_arrows(module, module.rpartition(".")[0], line) == []
