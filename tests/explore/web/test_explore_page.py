"""docs/explore.md is true: its requests are answered in the form that it shows, and its program runs."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import nmt
from nmt.cli import main

PAGE = (Path(nmt.__file__).parents[1] / "docs" / "explore.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8765/"


def call(line: str, address: str) -> Any:
    """The answer to a line such as: curl URL --json '{…}'."""
    program, url, *options = shlex.split(line.replace(ADDRESS, address))
    assert program == "curl"
    request = Request(url)
    if options:
        assert options[0] == "--json" and len(options) == 2
        request = Request(url, options[1].encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=30) as response:
        return json.load(response)


def form(value: Any) -> Any:
    """The names of all fields, and the types of their values."""
    if isinstance(value, dict):
        return {name: form(item) for name, item in value.items()}
    if isinstance(value, list):
        return [form(item) for item in value[:1]]
    return "number" if type(value) in (int, float) else type(value).__name__


def test_the_command_of_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    [line] = re.findall(r"^nmt explore .*", PAGE, flags=re.MULTILINE)
    assert main([*shlex.split(line)[1:], "--cfg", "job"]) == 0
    defaults = capsys.readouterr().out
    for row in re.findall(r"^\| (`.*) \| ", PAGE, flags=re.MULTILINE):
        for name in re.findall(r"`([a-z]+)[.=]", row):
            assert f"\n{name}:" in f"\n{defaults}", name


def test_the_requests_of_the_page_are_answered_as_shown(address: str) -> None:
    calls = re.findall(r"^```sh\n(curl [^\n]*)\n```\n(?:\n```json\n(.*?)^```)?", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(calls) == PAGE.count("curl http")
    for line, shown in calls:
        answer = call(line, address)
        if shown:
            assert form(answer) == form(json.loads(shown)), line


def test_the_program_of_the_page_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    exec(program.replace(ADDRESS, address), {"__name__": "__main__"})
    assert capsys.readouterr().out.count("\n") == 1
