"""docs/plots.md is true: its commands and programs run, and its JSON form is the one that is written."""

import json
import os
import re
import shlex
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import msgspec
import pytest

from nmt.cli import main
from nmt.translator.attention import AttentionJson

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "plots.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs" / "attention_schema.json").read_text(encoding="utf-8"))


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def runs(
    trained_run: Path, lstm_run: Path, transformer_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with the runs that the page names; two of them are the same."""
    demo = tmp_path / "runs" / "demo"
    demo.mkdir(parents=True)
    for name, run in (("lstm", lstm_run), ("lstm_luong", trained_run), ("transformer", transformer_run)):
        (demo / name).symlink_to(run)
    monkeypatch.chdir(tmp_path)
    return demo


def test_the_commands_and_programs_of_the_page_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in code_blocks("sh"):
        words = shlex.split(block.replace("runs/demo/lstm_bahdanau,", ""))
        if words[0] == "echo":
            monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(f"{words[1]}\n".encode())))
            words = words[words.index("|") + 1 :]
        assert words[0] == "nmt"
        assert main([*words[1:], "device=cpu"]) == 0, capsys.readouterr().err
    for program in code_blocks("python"):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
    assert {path.name for path in Path.cwd().iterdir()} == {
        "runs", "mouse.png", "systems.png", "heads.png", "layers.html", "lines.jsonl",
    }  # fmt: skip


def test_the_schema_is_that_of_the_form_that_is_read() -> None:
    assert msgspec.json.schema(AttentionJson) == SCHEMA


def test_the_page_names_every_key_of_the_form() -> None:
    [name] = SCHEMA["$defs"]
    table = PAGE.partition("\n## As JSON\n")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(SCHEMA["$defs"][name]["properties"])


def test_what_the_commands_write_has_this_form(
    runs: Path, transformer_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"one two\n\nthree\n")))
    words = ["format=jsonl", "attention=all", "n_best=2", "output=lines.jsonl", "search=beam", "device=cpu"]
    assert main(["translate", f"run={transformer_run}", *words]) == 0
    assert main(["plot", f"run={transformer_run}", "source=one two", "kinds=all", "out=plot.json", "device=cpu"]) == 0
    lines = [json.loads(line) for line in Path("lines.jsonl").read_text(encoding="utf-8").splitlines()]
    hypotheses = [hypothesis for line in lines for hypothesis in line["n_best"]]
    systems = json.loads(Path("plot.json").read_text(encoding="utf-8"))["systems"]
    kinds = [list(each["attention"]) for each in [*hypotheses, *systems]]
    assert len(hypotheses) == 5  # the empty line has a single one
    assert kinds == [
        [] if not each["source_tokens"] else ["cross", "encoder", "decoder"] for each in [*hypotheses, *systems]
    ]
    for each in [*lines, *hypotheses, *systems]:
        for kind, value in each["attention"].items():
            form = msgspec.convert(value, AttentionJson)
            assert form.kind == kind
            shape = [1 if form.layers is None else len(form.layers), 1 if form.heads is None else len(form.heads)]
            assert [len(form.weights), len(form.weights[0])] == shape
            for row in form.weights[0][-1]:
                assert len(row) == len(form.columns)
                assert sum(row) == pytest.approx(1, abs=1e-4)
            assert len(form.weights[0][-1]) == len(form.rows)
