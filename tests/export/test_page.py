"""docs/export.md is true: its commands run, one after the other.

Beside the tests of the formats, since a process needs seconds to import their programs.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from nmt.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_run(
    transformer_run: Path, corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("ctranslate2", "transformers", "onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-text").symlink_to(corpus_folder)
    (tmp_path / "runs").mkdir()
    shutil.copytree(transformer_run, tmp_path / "runs" / "mine")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line) for line in "".join(blocks).splitlines() if line.startswith("nmt ")]
    assert len(commands) == 6
    for _, *words in commands:
        out = ["sentences=3"] if words[0] == "export" else ["device=cpu"]
        assert main([*words, *out]) == 0
