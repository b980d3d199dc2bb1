"""The README is true: every command in it runs, word for word, on a tiny corpus with small models and few steps."""

import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.cli.shell.commands import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

TINY_BENCHMARK = ["rounds=1", "steps=1", "warmup_steps=1", "sentences=2", "single_sentences=1"]


def code_blocks(language: str) -> list[str]:
    """The text of every fenced block in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def command_lines() -> list[str]:
    """Every line of the shell blocks, without its comment."""
    lines = [line for block in code_blocks("sh") for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line.strip()]


def shortened(words: list[str], tiny_models: dict[str, list[str]], tiny_training: list[str]) -> list[str]:
    """The same command with overrides that make it end within a moment."""
    if words[0] == "demo":
        return [*words, "minutes=0.001"]
    if words[0] not in ("train", "doctor", "benchmark") or {"--help", "--cfg"} & set(words):
        return words
    model = next((word.removeprefix("model=") for word in words if word.startswith("model=")), "transformer")
    sizes = [override for override in tiny_models[model] if not override.startswith("model=")]
    training = [override for override in tiny_training if not override.startswith("search=")]
    if words[0] == "benchmark":  # it writes no run folder, and so has no TensorBoard either
        training = [*TINY_BENCHMARK, *(override for override in training if not override.startswith("tracker="))]
    return [*words, *sizes, *training]


def test_every_command_is_shown() -> None:
    shown = {words[1] for words in map(shlex.split, command_lines()) if words[0] == "nmt"}
    assert {command.name for command in COMMANDS} - {"demo"} <= shown
    assert "nmt demo" in README


def test_the_commands_and_the_python_program_run(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-text").symlink_to(corpus_folder)
    num_commands = 0
    for line in command_lines():
        words = shlex.split(line)
        if words[0].startswith("./scripts/"):
            assert os.access(ROOT / words[0], os.X_OK), line
            continue
        if "|" in words:
            text = words[words.index("echo") + 1] + "\n"
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
            words = words[words.index("|") + 1 :]
        assert words[0] == "nmt", line
        code = main(shortened(words[1:], tiny_models, tiny_training))
        captured = capfd.readouterr()
        assert code == 0, f"{line}\n{captured.err}"
        if words[1] == "translate" and not any(word.startswith("output=") for word in words):
            assert captured.out.count("\n") == 1, line
        num_commands += 1
    assert num_commands >= 8
    for program in code_blocks("python"):
        exec(program, {"__name__": "__main__"})
        assert capfd.readouterr().out.count("\n") == 1
    for name in ("val.translated.de", "dog.png", "dog.svg", "report/report.html", "speed.json"):
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_a_page_sets_exist(page: Path) -> None:
    """Every `group.key=` is a key of a YAML file of that group."""
    groups = "|".join(path.name for path in (ROOT / "conf").iterdir() if path.is_dir())
    for group, key in re.findall(rf"\b({groups})\.(\w+)=", page.read_text(encoding="utf-8")):
        files = [path.read_text(encoding="utf-8") for path in (ROOT / "conf" / group).glob("*.yaml")]
        assert any(re.search(rf"^{key}:", text, flags=re.MULTILINE) for text in files), f"{group}.{key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8").partition("\n## Add an architecture\n")[0]  # the walkthrough adds files
    for path in re.findall(r"(?<![\w/])(?:nmt|conf|tests|scripts|docs)/[\w/-]+(?:\.\w+)?", text):
        if "NAME" not in path:  # a placeholder
            assert (ROOT / path).exists(), path
