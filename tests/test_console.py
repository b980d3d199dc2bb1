"""Consoles on a stream whose reader has gone, or that is full."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nmt.console import MessageConsole, ResultConsole
from nmt.training.progress import ProgressBar, spinner


def test_a_closed_pipe_ends_a_result_by_the_usual_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(BrokenPipeError):
        ResultConsole().print("x" * 10)
    with pytest.raises(BrokenPipeError):
        stream.close()


@pytest.mark.parametrize("kind", ["pipe", "full"])
def test_work_continues_without_messages(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "full":
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        stream = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115
    else:
        reader, writer = os.pipe()
        os.close(reader)
        stream = os.fdopen(writer, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    log = tmp_path / "log.txt"
    with spinner("waiting"):
        MessageConsole().print("first")
    with ProgressBar("training", log=log) as bar:
        bar.print("second")
        bar.print("third")
    stream.close()
    assert [line.split("  ")[1] for line in log.read_text(encoding="utf-8").splitlines()] == ["second", "third"]
