"""`nmt translate` through the real entry point: one line in is one line out."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.cli import main


def translate(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], text: bytes, *arguments: str
) -> tuple[int, bytes, str]:
    """The exit code, standard output and standard error of `nmt translate` with `text` on its standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code = main(["translate", *arguments, "device=cpu"])
    captured = capfdbinary.readouterr()
    return code, captured.out, captured.err.decode("utf-8")


def test_lines_keep_their_number_and_order(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = ["one", "two three", "", "four", "   ", "five six seven eight", "nine"]
    text = "\n".join(words).encode() + b"\n"
    code, out, err = translate(monkeypatch, capfdbinary, text, f"run={trained_run}", "batch_size=3")
    assert (code, err) == (0, "")
    lines = out.decode("utf-8").split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(words)
    assert lines[2] == lines[4] == ""
    for word, line in zip(words, lines, strict=True):  # as if it had come alone
        assert (
            translate(monkeypatch, capfdbinary, word.encode() + b"\n", f"run={trained_run}")[1].decode() == f"{line}\n"
        )


@pytest.mark.parametrize(
    ("text", "num_lines"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"one", 1),
        (b"one\r\ntwo\r\n", 2),
        (b"\xf0\x9f\x90\x95 one \x00\x01\x1b[31m two\n", 1),
        ("one\u2028two\u0085three\x0bfour\x0c\n".encode(), 1),
        ("\u202eeno\u202c \ufeffone\n".encode(), 1),
        (b"\xff\xfe one\nbad \xc3\n\n", 3),
        (b"one " * 20_000 + b"\ntwo\n", 2),
    ],
)
def test_strange_lines_are_lines(
    text: bytes,
    num_lines: int,
    trained_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    code, out, err = translate(
        monkeypatch, capfdbinary, text, f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0"
    )
    assert code == 0, err
    assert out.count(b"\n") == num_lines
    assert len(out.decode("utf-8").splitlines()) == num_lines


def test_bytes_that_are_not_utf8_are_told_with_their_line(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, _, err = translate(monkeypatch, capfdbinary, b"one\ntw\xffo\n", f"run={trained_run}")
    assert "line 2" in err
    assert "UTF-8" in err


def test_an_endless_line_is_cut_with_its_number(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A recurrent model has no limit of its own; the line behind must not wait for a megabyte."""
    arguments = (f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0")
    code, out, err = translate(monkeypatch, capfdbinary, b"one\n" + b"two " * 3000 + b"\nthree\n", *arguments)
    assert code == 0
    assert out.count(b"\n") == 3
    assert "line 2" in err
    assert "cut off" in err
    assert err.count("\n") == 1


def test_files(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.en").write_text("one\ntwo\n", encoding="utf-8")
    arguments = [f"run={trained_run}", f"input={tmp_path / 'in.en'}", f"output={tmp_path / 'out.de'}", "device=cpu"]
    assert main(["translate", *arguments]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out.de").read_text(encoding="utf-8").count("\n") == 2
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["in.en", "out.de"]


def test_json_lines(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = [f"run={trained_run}", "format=jsonl", "n_best=3", "attention=true"]
    code, out, _ = translate(monkeypatch, capfdbinary, b"one two\n\n", *arguments)
    assert code == 0
    first, empty = (json.loads(line) for line in out.decode("utf-8").splitlines())
    assert empty["text"] == ""
    assert len(first["n_best"]) == 3
    assert first["n_best"][0]["text"] == first["text"]
    scores = [each["score"] for each in first["n_best"]]
    assert scores == sorted(scores, reverse=True)
    for each in first["n_best"]:
        assert len(each["attention"]) == len(each["target_tokens"])
        assert all(sum(row) == pytest.approx(1.0, abs=1e-4) for row in each["attention"])


def test_without_attention_asked_for_there_is_none(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, out, _ = translate(monkeypatch, capfdbinary, b"one two\n", f"run={trained_run}", "format=jsonl")
    assert "attention" not in json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["format=xml"], "format=xml"),
        (["n_best=2"], "format=jsonl"),
        (["batch_size=0"], "batch_size=0"),
        (["input=nowhere.en"], "nowhere.en"),
        (["format=jsonl", "n_best=9"], "n_best=9"),
        (["output=/dev/null/x"], "/dev/null"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    said: str,
    trained_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    code, out, err = translate(monkeypatch, capfdbinary, b"one\n", f"run={trained_run}", *arguments)
    assert (code, out) == (2, b"")
    assert said in err
    assert err.count("\n") == 1


def test_it_streams_and_a_closed_pipe_is_quiet(trained_run: Path) -> None:
    """The first line comes out before the second is written, in a process of its own; then nobody reads any more."""
    command = [sys.executable, "-m", "nmt", "translate", f"run={trained_run}", "batch_size=1", "device=cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")
        process.stdout.close()
        process.stdin.write(b"two\n" * 100)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
