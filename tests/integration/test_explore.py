"""`nmt explore` in a process of its own: its address, its end, and mistakes on the command line."""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from nmt.cli import main
from nmt.translator import Translator

SECONDS = 1.0
"""How long the translation takes that is in progress when the server is asked to end."""


def post(address: str, fields: dict[str, Any]) -> Any:
    """The answer of /api/translate."""
    request = Request(f"{address}api/translate", json.dumps(fields).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=30) as response:
        return json.load(response)


def wait_for_line(path: Path, start: str) -> str:
    """Waits until a file has a line that begins with `start`, and returns this line."""
    for _ in range(600):
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []:
            if line.startswith(start) and line.endswith("\n"):
                return line.strip()
        time.sleep(0.05)
    raise AssertionError(f"{path.name} has no line {start}…")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_the_server_after_what_is_in_progress(
    number: signal.Signals, code: int, fork_command: Callable[..., int], trained_run: Path, tmp_path: Path
) -> None:
    out, err = tmp_path / "out.txt", tmp_path / "err.txt"

    def slow_down() -> None:
        """Sends the results to a file, and makes each translation take `SECONDS`."""
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT), 1)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        original = Translator.translate

        def translate(self: Translator, *args: Any, **options: Any) -> Any:
            print("begins", file=sys.stderr, flush=True)
            time.sleep(SECONDS)
            return original(self, *args, **options)

        Translator.translate = translate  # type: ignore[method-assign]

    words = ["explore", f"runs=[{trained_run}]", "port=0", "device=cpu", "threads=1"]
    process = fork_command(words, stderr=err, setup=slow_down)
    address = wait_for_line(out, "http://127.0.0.1:")
    assert out.read_text(encoding="utf-8") == f"{address}\n"
    assert wait_for_line(err, "nmt explore:") == "nmt explore: serves luong; Ctrl-C ends it"
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(post(address, {"system": "luong", "text": "one two"})))
    client.start()
    wait_for_line(err, "begins")
    os.kill(process, number)
    time.sleep(SECONDS / 2)
    with pytest.raises(URLError):  # a new request is refused, while the old one is in progress
        post(address, {"system": "luong", "text": "one"})
    assert answers == []
    client.join()
    assert answers[0]["translations"][0][0]["text"]
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == code
    messages = ["nmt explore: serves luong; Ctrl-C ends it", "begins"]
    assert err.read_text(encoding="utf-8").splitlines() == (
        messages if code == 0 else [*messages, "nmt explore: interrupted"]
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["port=70000"], "port=70000 must be from 0 to 65535; 0 takes any free port"),
        (["host=192.0.2.1", "port=0"], "host=192.0.2.1 is no address of this machine"),
        (["host=no.such.host.invalid", "port=0"], "host=no.such.host.invalid is no address of this machine"),
        (["host=a..b", "port=0"], "host=a..b is no address"),
        (["threads=none"], "threads=none must be a whole number"),
        (["origins=[example.org]"], "origins=example.org must be the address of a site without a path"),
        (["search.beam_size=0"], "search.beam_size=0"),
        (["runs=[a,b]"], "name either a run folder, as in run=runs/a, or several, as in runs=[runs/a,runs/b]"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], expected: str, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", f"run={trained_run}", "device=cpu", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"nmt explore: {expected}")
    assert captured.err.count("\n") == 1


def test_a_taken_port_ends_in_one_line(trained_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["explore", f"run={trained_run}", f"port={port}"]) == 2
    assert capsys.readouterr().err == (
        f"nmt explore: port={port} is taken: choose another one, or port=0 for any free one\n"
    )


def test_a_missing_extra_is_named(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nmt.cli.explore.find_spec", lambda name: None)
    assert main(["explore", f"run={trained_run}"]) == 2
    assert capsys.readouterr().err == ("nmt explore: fastapi and uvicorn must be installed: pip install '.[explore]'\n")


def test_an_address_that_others_reach_prints_a_warning(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nmt.explore.server.serve", lambda app, listener, announce: announce())
    assert main(["explore", f"run={trained_run}", "host=0.0.0.0", "port=0", "device=cpu", "threads=1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("http://0.0.0.0:")
    assert captured.err.splitlines()[0] == (
        "nmt explore: host=0.0.0.0: everybody who reaches this machine can use these systems"
    )
