"""The help page of a command: description, example, choices, and the YAML with its comments."""

import subprocess
from pathlib import Path

import pytest
from omegaconf import DictConfig

from nmt.cli import main


def test_the_page_shows_description_example_choices_and_keys(
    calls: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["greet", "--help"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    lines = output.splitlines()
    assert lines[0] == "nmt greet: greet somebody"
    assert "Greets somebody." in lines and "  nmt greet run=runs/a voice=loud" in lines
    assert "  voice        *calm, loud, shrill" in lines and "  experiment   concert" in lines
    assert "run: ???  # the folder of a run, e.g. runs/demo/lstm" in lines
    heading = lines.index("voice:  # voice=calm")
    assert lines[heading - 1] == "# A calm voice."
    assert "  volume: 0.5  # between 0 (nothing) and 1" in lines[heading:]
    assert not [line for line in lines if line.startswith(("defaults:", "  - "))]
    assert calls == []


def test_selected_choices_show_their_keys(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "experiment=concert", "-h"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  echoes: 2" in lines
    assert "seed: 7" in lines[lines.index("# experiment=concert") :]  # at the top level, where the file puts it


def test_many_choices_with_the_same_first_word_are_listed_together(
    conf: Path, calls: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("zoo", "zoo_a", "zoo_b_c", "zoo_b_d", "zoo_e", "duo_a", "duo_b"):
        (conf / "voice" / f"{name}.yaml").write_text("volume: 1\n")
    assert main(["greet", "voice=zoo_e", "--help"]) == 0
    output = capsys.readouterr().out
    assert "calm, duo_a, duo_b, loud, shrill, zoo, zoo_{a, b_c, b_d, *e}" in " ".join(output.split())


def test_wide_comments_are_wrapped(conf: Path, calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    comment = "very " * 20 + "long"
    (conf / "voice" / "calm.yaml").write_text(f"a:\n  volume: 0.5  # {comment}\n  # {comment}\n")
    assert main(["greet", "--help"]) == 0
    output = capsys.readouterr().out
    assert max(len(line) for line in output.splitlines()) <= 80
    assert output.count("very") == 40
    assert "long\n    volume: 0.5\n    # very" in output  # above the value, with its indentation


def test_paragraphs_are_wrapped_and_examples_are_not(
    conf: Path, calls: list[DictConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    words, example = "word " * 20, "  nmt greet " + "x" * 80
    (conf / "plain.yaml").write_text(f"# {words}\n# {words}\n#\n# {example}\nseed: 1\n")
    assert main(["plain", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in lines if line.startswith("word")] == [16, 16, 8]
    assert example in lines


def test_the_page_does_not_import_torch(program: Path, tmp_path: Path) -> None:
    done = subprocess.run([program, "greet", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
