"""Completion with the Tab key, as a function and in real shells."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli.shell.completion import complete


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nmt gr", ["greet "]),
        ("nmt ", ["greet ", "plain ", "--help "]),
        ("nmt  gr", ["greet "]),
        ("nmt nothing ", []),
        ("nmt greet vo", ["voice=", "voice."]),
        ("nmt greet voice=", ["voice=calm ", "voice=loud ", "voice=shrill "]),
        ("nmt greet voice=l", ["voice=loud "]),
        ("nmt greet voice.", ["voice.volume=", "voice.warm="]),
        ("nmt greet voice=loud voice.e", ["voice.echoes="]),
        ("nmt greet voic=loud trainer.d", ["trainer.device="]),
        ("nmt greet voice.warm=", ["voice.warm=true ", "voice.warm=false "]),
        ("nmt greet trainer.max_steps=", ["trainer.max_steps=100 "]),
        ("nmt greet run=", []),
        ("nmt greet source='It is, s", ["seed=", "source=", "splits="]),
        ("nmt greet --m", ["--multirun "]),
        ("nmt plain s", ["seed="]),
    ],
)
def test_the_last_word_is_completed(line: str, words: list[str], calls: list[DictConfig]) -> None:
    assert sorted(complete(line)) == sorted(words)


def test_the_reply_has_one_word_per_line(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--complete", "nmt "]) == 0
    assert capsys.readouterr().out == "greet \nplain \n--help \n"


def completed(shell: str, program: Path, script: str, folder: Path) -> list[str]:
    """The lines that `script` prints in a shell, with the program on its path."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", script], capture_output=True, text=True, cwd=folder, env={**os.environ, "PATH": path}
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("nmt gr", ["greet "]),
        ("nmt greet voice=l", ["loud "]),  # bash replaces only the part after the "="
        ("nmt greet trainer.max_s", ["trainer.max_steps="]),
        ("nmt greet run=", []),
    ],
)
def test_bash_completes(line: str, replies: list[str], program: Path, tmp_path: Path) -> None:
    script = f"""
        eval "$(nmt --completion bash)"
        COMP_WORDS=({line}) COMP_LINE='{line}' COMP_POINT={len(line)}
        $(complete -p nmt | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        for reply in "${{COMPREPLY[@]}}"; do echo "$reply"; done"""
    assert completed("bash", program, script, tmp_path) == replies


def test_zsh_completes(program: Path, tmp_path: Path) -> None:
    script = """
        compdef() { print registered $2 }
        compadd() { shift 4; print -l -- "$@" }
        eval "$(nmt --completion zsh)"
        words=(nmt greet voice=l) LBUFFER='nmt greet voice=l'
        _nmt_complete"""
    assert completed("zsh", program, script, tmp_path) == ["registered nmt", "voice=loud "]


def test_fish_completes(program: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    script = "nmt --completion fish | source; complete -C 'nmt greet voice=l'; complete -C 'nmt greet run=fol'"
    assert completed("fish", program, script, tmp_path) == ["voice=loud", "run=folder/"]
