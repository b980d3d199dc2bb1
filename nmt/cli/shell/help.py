"""The help of a command, read from the YAML files with their comments: what is documented there is not said twice.

A command's YAML file opens with a comment that says what the command does and gives an example line; a choice's file
may do the same. The rest of a file is shown as it stands: keys, defaults, and the comments that explain them.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from nmt.cli import Command
from nmt.cli.shell.configuration import Composition

WIDTH = 80

OPTIONS = {
    "--help": "this page; with choices on the line (GROUP=CHOICE --help), theirs",
    "--cfg job": "print the configuration and stop; --resolve fills references in",
    "--multirun": "or -m: one run for each combination of several values: seed=1,2,3",
}


def help_text(command: Command, composition: Composition) -> str:
    """The whole page, at most WIDTH columns wide wherever a line can be broken."""
    parts = [
        f"nmt {command.name}: {command.summary}",
        f"Usage: nmt {command.name} [GROUP=CHOICE | KEY=VALUE ...] [OPTION]",
    ]
    own, *chosen = composition.files()
    introduction, body = _read(own[2])
    if introduction:
        parts.append(introduction)
    if composition.choices:
        listed = [_choices(composition, group) for group in composition.choices]
        parts.append("Groups (* is in force):\n" + "\n".join(listed))
    parts.append("Options:\n" + "\n".join(f"  {option:<13}{what}" for option, what in OPTIONS.items()))

    sections = [body] if body else []
    for key, group, path in chosen:
        introduction, body = _read(path)
        if group is None:
            sections.append(body)
            continue
        placed_by_file = re.search(r"^# @package _global_\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
        heading = f"# {group}={path.stem}" if placed_by_file else f"{key}:  # {group}={path.stem}"
        remarks = textwrap.indent(introduction, "# ", lambda _: True) if introduction else ""
        content = "\n".join(part for part in (remarks, body) if part)
        sections.append(f"{heading}\n{content if placed_by_file else textwrap.indent(content, '  ')}")
    if sections:
        shown = "\n\n".join(_fold(section) for section in sections)
        parts.append(f"Keys and their defaults (a key inside another is written with a dot):\n\n{shown}")
    return "\n\n".join(parts)


def _choices(composition: Composition, group: str) -> str:
    names = [f"*{name}" if name == composition.choices[group] else name for name in composition.options(group)]
    return textwrap.fill(
        ", ".join(names), WIDTH, initial_indent=f"  {group:<13}", subsequent_indent=" " * 15, break_long_words=False
    )


def _read(path: Path) -> tuple[str, str]:
    """The opening comment of a YAML file, without its marks, and the rest without the list of defaults."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("# @package")]
    opening = 0
    while opening < len(lines) and lines[opening].startswith("#"):
        opening += 1
    introduction = "\n".join(line[1:].removeprefix(" ") for line in lines[:opening]).strip("\n")
    rest, inside = [], False
    for line in lines[opening:]:
        inside = line.startswith("defaults:") or (inside and (line.startswith((" ", "-")) or not line))
        if not inside:
            rest.append(line)
    return introduction, "\n".join(rest).strip("\n")


def _fold(section: str) -> str:
    """Moves the comment behind a value that makes its line too wide to lines of its own, above it."""
    lines = []
    for line in section.splitlines():
        found = re.fullmatch(r"(\s*)(\S.*?)\s+# (.*)|(\s*)# (.*)", line)
        if len(line) <= WIDTH or found is None:
            lines.append(line)
            continue
        indent, remark = (found[1], found[3]) if found[2] else (found[4], found[5])
        lines += textwrap.wrap(remark, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if found[2]:
            lines.append(f"{indent}{found[2]}")
    return "\n".join(lines)
