"""Whatever the README says runs: its commands word for word, on a tiny corpus, with sizes and steps made small."""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.cli.shell.commands import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The text of each fenced block of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Every line of the shell blocks, without its comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line.strip()]


def small(words: list[str], sizes: dict[str, list[str]], training: list[str]) -> list[str]:
    """The same command, made to end in a moment."""
    if words[0] == "demo":
        return [*words, "minutes=0.001"]
    if words[0] in ("train", "doctor", "benchmark") and not {"--help", "--cfg"} & set(words):
        model = next((word.removeprefix("model=") for word in words if word.startswith("model=")), "transformer")
        own = [override for override in sizes[model] if not override.startswith("model=")]
        short = ["rounds=1", "steps=1", "warmup_steps=1", "sentences=2", "single_sentences=1"]
        own += short if words[0] == "benchmark" else []
        return [*words, *own, *(override for override in training if not override.startswith("search="))]
    return words


def test_every_command_is_shown() -> None:
    shown = {words[1] for words in map(shlex.split, commands()) if words[0] == "nmt"}
    assert {command.name for command in COMMANDS} - {"demo"} <= shown
    assert "nmt demo" in README


def test_the_commands_and_the_program(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-text").symlink_to(corpus_folder)
    ran = 0
    for line in commands():
        words = shlex.split(line)
        if words[0].startswith("./scripts/"):
            assert os.access(ROOT / words[0], os.X_OK), line
            continue
        if "|" in words:
            text = words[words.index("echo") + 1] + "\n"
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
            words = words[words.index("|") + 1 :]
        assert words[0] == "nmt", line
        code = main(small(words[1:], tiny_models, tiny_training))
        captured = capfd.readouterr()
        assert code == 0, f"{line}\n{captured.err}"
        if words[1] == "translate" and not any(word.startswith("output=") for word in words):
            assert captured.out.count("\n") == 1, line
        ran += 1
    assert ran >= 8
    for program in blocks("python"):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("\n") == 1
    for name in ("val.translated.de", "dog.png", "dog.svg", "report/report.html", "speed.json"):
        assert (tmp_path / name).stat().st_size > 0


def test_what_the_readme_names_is_there() -> None:
    """Pictures and links lead somewhere, and inline keys exist."""
    targets = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    assert targets
    for target in targets:
        assert target.startswith("http") or (ROOT / target).exists(), target
