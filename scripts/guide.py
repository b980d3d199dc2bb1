#!/usr/bin/env python
"""Copies the code of docs/attention.md from the source, so that the guide shows what really runs.

    python scripts/guide.py

The line before a code block names a file and what to show of it:

    `nmt/models/attention/scores.py`: `AdditiveScore.forward`, `attend`

The block then holds these functions, methods or classes without their docstrings, since the text around it explains
them. A test fails if a block differs from the source; this program writes it anew.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "attention.md"
BLOCK = re.compile(r"^`(nmt/\S+\.py)`: (`[^\n]+`)\n\n```python\n.*?^```$", flags=re.MULTILINE | re.DOTALL)


def with_code(page: str) -> str:
    """The page in which every block holds the present code."""

    def renew(block: re.Match[str]) -> str:
        source = (ROOT / block[1]).read_text(encoding="utf-8")
        code = "\n\n".join(extract(source, name) for name in re.findall(r"[\w.]+", block[2]))
        return f"`{block[1]}`: {block[2]}\n\n```python\n{code}\n```"

    return BLOCK.sub(renew, page)


def extract(source: str, name: str) -> str:
    """The code of a function, class or method, such as "Class.method", without docstrings."""
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        [node] = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part]
    lines = source.splitlines()
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner) is not None:
            docstring = inner.body[0]
            for number in range(docstring.lineno - 1, docstring.end_lineno):
                lines[number] = ""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
    code = textwrap.dedent("\n".join(lines[first : node.end_lineno]))
    return re.sub(r":\n\n+", ":\n", code)  # where a docstring was


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_code(page), encoding="utf-8")


if __name__ == "__main__":
    main()
