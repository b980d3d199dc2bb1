"""docs/more_data.md is true: its commands run, one after the other, and its settings exist."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nmt.cli import main
from nmt.run import RunFolder

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "more_data.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_run(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-text").symlink_to(corpus_folder)
    for line in "".join(code_blocks("sh")).splitlines():
        words = shlex.split(line)
        if not words or words[0] in ("mkdir", "cp"):
            subprocess.run(words, check=True) if words else None
            continue
        if words[0] == "echo":
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{words[1]}\n".encode())))
            words = words[words.index("|") + 1 :]
        assert words[0] == "nmt"
        starts_anew = words[1] == "train" and not any(word.startswith("init=") for word in words)
        trains_tokenizer = starts_anew and not any(word.startswith("tokenizer=") for word in words)
        shared = [word for word in tiny_training if trains_tokenizer or not word.startswith("tokenizer.")]
        sizes = [*tiny_models["lstm"], *shared] if starts_anew else shared if words[1] == "train" else ["device=cpu"]
        assert main([*words[1:], *sizes]) == 0, f"{line}\n{capsys.readouterr().err}"
    diverse = RunFolder("runs/diverse").corpus().split("train")
    originals = RunFolder("runs/forward").corpus().split("train")
    assert len(diverse) == 3 * len(originals)
    assert RunFolder("runs/both-then-de").tokenizer().source_tag == "2de"
    pieces = [RunFolder(f"runs/{name}").tokenizer().fingerprint for name in ("forward", "same-pieces", "from-model")]
    assert len(set(pieces)) == 1
    assert RunFolder("runs/both").path.joinpath("evaluation", "de-en", "val.json").is_file()


def test_the_settings_in_yaml_are_those_of_training() -> None:
    [block] = code_blocks("yaml")
    assert (
        yaml.safe_load(block)["data"].keys() <= yaml.safe_load((ROOT / "conf" / "data" / "mix.yaml").read_text()).keys()
    )
