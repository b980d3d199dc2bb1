"""The help page of a command, made from the YAML files and their comments, so nothing has to be described twice.

The YAML file of a command begins with a comment that describes the command and gives an example. The file of a choice
may begin with a comment too. The rest of each file is shown as it is: keys, defaults and comments.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from pathlib import Path

from nmt.cli.shell.commands import Command
from nmt.cli.shell.configuration import ComposedConfig, SourceFile

WIDTH = 80
"""The width of the page in columns."""

MIN_FOLDED_NAMES = 4
"""Minimum number of choices with the same first word that are listed together: zoo_{alibi, rotary, …}."""

OPTIONS = {
    "--help": "print this page; after GROUP=CHOICE, with the keys of that choice",
    "--cfg job": "print the configuration and exit; --resolve fills in references",
    "--multirun": "or -m: one run for each combination of several values: seed=1,2,3",
    "--lines": "after -m: print one command for each run, and run none",
}


def help_page(command: Command, composed: ComposedConfig) -> str:
    """Returns the page; a line is wider than WIDTH only where it cannot be broken."""
    command_file, *other_files = composed.source_files()
    introduction, keys = _read_yaml_file(command_file.path)
    blocks = [
        f"nmt {command.name}: {command.summary}",
        f"Usage: nmt {command.name} [GROUP=CHOICE | KEY=VALUE ...] [OPTION]",
    ]
    if introduction:
        blocks.append(_wrap(introduction))
    if composed.choices:
        width = max(13, *(len(group) + 2 for group in composed.groups()))
        lines = [_list_choices(composed, group, width) for group in composed.groups()]
        blocks.append("Groups (* marks the selected choice):\n" + "\n".join(lines))
    blocks.append("Options:\n" + "\n".join(f"  {option:<13}{text}" for option, text in OPTIONS.items()))

    sections = ([keys] if keys else []) + [_section(file) for file in other_files]
    if sections:
        shown = "\n\n".join(_fold_comments(section) for section in sections)
        blocks.append(f"Keys and their defaults (write a nested key with dots):\n\n{shown}")
    return "\n\n".join(blocks)


def _section(file: SourceFile) -> str:
    """A file as one section: under the key where its content is placed, or at the top level."""
    introduction, keys = _read_yaml_file(file.path)
    if file.group is None:  # a command whose keys this one takes over
        return keys
    comment = textwrap.indent(_wrap(introduction, WIDTH - len("# ")), "# ", lambda _: True)
    if re.search(r"^# @package _global_\s*$", file.path.read_text(encoding="utf-8"), re.MULTILINE):
        lines = [f"# {file.group}={file.path.stem}", comment, keys]
    else:
        lines = [comment, f"{file.key}:  # {file.group}={file.path.stem}", textwrap.indent(keys, "  ")]
    return "\n".join(line for line in lines if line)


def _list_choices(composed: ComposedConfig, group: str, width: int) -> str:
    """The line of a group, whose name takes `width` columns."""
    selected = composed.choices[group]
    return textwrap.fill(
        ", ".join(_fold_names(composed.available_choices(group), selected)),
        WIDTH,
        initial_indent=f"  {group:<{width}}",
        subsequent_indent=" " * (width + 2),
        break_long_words=False,
    )


def _fold_names(names: list[str], selected: str | None) -> list[str]:
    """Marks the selected name, and joins many names that begin with the same word: zoo_{alibi, rotary, …}."""
    alike: dict[str, list[str]] = defaultdict(list)  # names by their first word, with the underscore behind it
    for name in names:
        alike[re.sub(r"(?<=_).*", "", name)].append(name)
    folded = []
    for prefix, members in alike.items():
        prefix = prefix if len(members) >= MIN_FOLDED_NAMES else ""
        shown = ["*" * (name == selected) + name.removeprefix(prefix) for name in members]
        folded += [f"{prefix}{{{', '.join(shown)}}}"] if prefix else shown
    return folded


def _read_yaml_file(path: Path) -> tuple[str, str]:
    """Returns the comment at the top of a YAML file, without `#`, and the rest without the list `defaults`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("# @package")]
    num_comments = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    introduction = "\n".join(line[1:].removeprefix(" ") for line in lines[:num_comments]).strip("\n")

    # `defaults:` extends over the indented lines, list items and empty lines that follow it.
    keys, in_defaults = [], False
    for line in lines[num_comments:]:
        in_defaults = line.startswith("defaults:") or (in_defaults and (line.startswith((" ", "-")) or not line))
        if not in_defaults:
            keys.append(line)
    return introduction, "\n".join(keys).strip("\n")


def _wrap(text: str, width: int = WIDTH) -> str:
    """Wraps the paragraphs of a text; empty and indented lines, such as examples, stay as they are."""
    paragraphs: list[str] = []
    continues = False
    for line in text.splitlines():
        if continues and line and not line.startswith(" "):
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
        continues = bool(line) and not line.startswith(" ")
    return "\n".join(
        paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, width, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def _fold_comments(section: str) -> str:
    """Wraps the lines that are too wide: a comment behind a value moves above the value."""
    lines = []
    for line in section.splitlines():
        # "  key: value  # comment" has groups 1 to 3; "  # comment" has groups 4 and 5.
        match = re.fullmatch(r"(\s*)(\S.*?)\s+# (.*)|(\s*)# (.*)", line)
        if len(line) <= WIDTH or match is None:
            lines.append(line)
            continue
        value = match[2]  # None for a line that is only a comment
        indent, comment = (match[1], match[3]) if value else (match[4], match[5])
        lines += textwrap.wrap(comment, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if value:
            lines.append(f"{indent}{value}")
    return "\n".join(lines)
