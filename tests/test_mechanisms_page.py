"""docs/mechanisms.md is complete and true: it names every choice and every experiment, and its trainings can start."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from nmt.cli import main

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "mechanisms.md").read_text(encoding="utf-8")
CONTENTS = PAGE.partition("\n```")[0]
COMMANDS = [
    re.sub(r"\s+#.*", "", line)
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("nmt train") and " init=" not in line and len(line.split()) > 4  # others are tested elsewhere
]


def test_the_contents_link_to_sections_and_name_every_experiment() -> None:
    headings = [heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.*)", PAGE, flags=re.MULTILINE)]
    assert list(dict.fromkeys(re.findall(r"\(#([\w-]+)\)", CONTENTS))) == headings  # in the order of the page
    zoo = {path.stem for path in (ROOT / "conf" / "experiment").glob("zoo_*.yaml")}
    assert set(re.findall(r"`(zoo_\w+)`", CONTENTS)) == zoo


@pytest.mark.parametrize("group", ["cell", "encoder_attention", "positions", "score", "span"])
def test_the_page_names_every_choice_of_a_mechanism(group: str) -> None:
    for path in (ROOT / "conf" / "model" / group).glob("*.yaml"):
        assert f"`{path.stem}`" in PAGE or f"model/{group}={path.stem}" in PAGE


@pytest.mark.parametrize("command", COMMANDS)
def test_the_trainings_have_valid_settings(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*shlex.split(command)[1:], "--cfg", "job"]) == 0, capsys.readouterr().err
    assert yaml.safe_load(capsys.readouterr().out)["run"].startswith("runs/")


def test_papers_are_cited_by_links() -> None:
    bare = [line for line in PAGE.splitlines() if re.search(r"(?<!\]\()https://", line)]
    assert bare == []
