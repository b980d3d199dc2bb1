"""`nmt demo` through the real entry point, with smaller corpora and a few training steps."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nmt.cli import demo, main
from nmt.cli.demo import DemoSettings

ROOT = Path(__file__).parents[2]

SMALL = [
    *("data.train_size=400", "data.val_size=8", "data.test_size=20", "data.test_long_size=4", "data.pronouns_size=4"),
    *("tokenizer.vocab_size=400", "schedule.warmup_steps=0", "trainer.validate_every=2", "search.max_length_margin=2"),
]
SMALL_RECURRENT = [*SMALL, "model.embedding_size=32", "model.hidden_size=32"]
SMALL_SYSTEMS = dict.fromkeys(demo.SYSTEMS, SMALL_RECURRENT) | {
    "transformer": [*SMALL, "model.model_size=32", "model.feedforward_size=64", "model.num_heads=2"]
}
"""A corpus, a schedule and sizes with which a training takes seconds; everything else stays as it is."""

SMALL_DEMO = f"""\
import sys
from nmt.cli import demo, main
train_arguments = demo.train_arguments
demo.train_arguments = lambda system, settings: [*train_arguments(system, settings), *{SMALL_SYSTEMS}[system]]
sys.exit(main(["demo", *sys.argv[1:]]))
"""
"""The program that runs a demo with `SMALL_SYSTEMS` in a process of its own."""


@pytest.fixture
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the demo train with `SMALL_SYSTEMS`."""
    train_arguments = demo.train_arguments
    monkeypatch.setattr(
        demo,
        "train_arguments",
        lambda system, settings: [*train_arguments(system, settings), *SMALL_SYSTEMS[system]],
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.slow
@pytest.mark.usefixtures("small_corpus")
def test_four_systems_are_trained_compared_and_plotted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", f"out={out}", "steps=2"]) == 0
    captured = capsys.readouterr()
    assert f"the report is {out / 'report' / 'test' / 'report.html'}\n" in captured.err
    systems = [str(out / system) for system in demo.SYSTEMS]
    last_command = captured.err.rpartition("$ ")[2].replace("\\\n", "")
    assert shlex.split(last_command) == ["nmt", "explore", f"runs=[{','.join(systems)}]"]
    page = (out / "report" / "attention.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    shown = [(analysis["source"], analysis["system"]) for analysis in data["analyses"]]
    assert shown == [(line, system) for line in demo.PLOTTED_SENTENCES.values() for system in demo.SYSTEMS]
    assert [(beam["source"], beam["system"]) for beam in data["beams"]] == shown
    for system in demo.SYSTEMS:
        assert f"{system:<13}  step 2, " in captured.err
        assert "(1 thread)" in (out / system / "log.txt").read_text()
    report = json.loads((out / "report" / "test" / "report.json").read_text(encoding="utf-8"))
    assert [system["name"] for system in report["systems"]] == list(demo.SYSTEMS)
    assert {system["training"]["steps"] for system in report["systems"]} == {2}
    assert {system["decoding"]["threads"] for system in report["systems"]} == {1}
    assert report["sentences"] == 20
    # Whatever is cut short is said on the terminal, too.
    assert report["notes"] != []
    for note in report["notes"]:
        assert f"nmt compare: {note}\n" in captured.err
    assert (out / "report" / "test_long" / "report.html").is_file()
    for name in demo.PLOTTED_SENTENCES:
        assert (out / "report" / f"{name}.png").stat().st_size > 10_000

    # A second demo resumes every system, and a finished one stays as it is (tests/cli/training/test_resume.py).
    for system in demo.SYSTEMS:
        assert "resume=true" in demo.train_arguments(system, make_settings(out))


@pytest.mark.slow
def test_ctrl_c_stops_all_systems_with_a_checkpoint_and_the_demo_continues(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-c", SMALL_DEMO, f"out={out}", "parallel=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "steps=100000"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    both = [out / "lstm_bahdanau", out / "transformer"]
    try:
        deadline = time.monotonic() + 120
        while not all((folder / "checkpoints" / "last.safetensors").is_file() for folder in both):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert error.splitlines()[-2:] == ["nmt demo: interrupted; the same command continues", "nmt demo: interrupted"]
    assert "Traceback" not in error
    assert not (out / "lstm").exists()
    for folder in both:
        assert "interrupted; continue with resume=true" in (folder / "log.txt").read_text()
    assert demo.train_arguments("lstm", make_settings(out))[-1] != "resume=true"
    assert demo.train_arguments("transformer", make_settings(out))[-1] == "resume=true"


def make_settings(out: Path) -> DemoSettings:
    return DemoSettings(out=out, steps=2, parallel=None, seed=1, device="cpu")


def test_a_command_that_fails_ends_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"out={tmp_path}", "device=cuda:99", "parallel=1"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "transformer    nmt train: device=cuda:99" in error
    assert "Traceback" not in error
    assert error.count("$ nmt train") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["steps=0", "parallel=0", "minutes=1", "steps=many"])
def test_a_wrong_setting_is_refused(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", setting]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nmt demo: {setting.partition('=')[0]}")
    assert error.count("\n") == 1


def test_a_printed_command_fits_into_80_columns_and_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plot", "run=runs/demo/lstm_bahdanau", "source=It was too tired, and 'it' ends here.", "out=a b.png"] * 2
    demo.print_command(words)
    printed = capsys.readouterr().err
    assert max(map(len, printed.splitlines())) <= 80
    shell = subprocess.run(
        ["bash", "-c", printed.replace("$ nmt", "printf '%s\\n'")], capture_output=True, text=True, check=True
    )
    assert shell.stdout.splitlines() == words
