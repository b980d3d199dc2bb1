"""`nmt translate` through the real entry point: each input line gives exactly one output line."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli import translate as translate_command
from nmt.cli.shell.commands import find_command
from nmt.cli.shell.configuration import complete_config, hydra_initialized
from nmt.cli.shell.errors import run_catching_errors
from nmt.cli.shell.line_streams import MAX_LINE_BYTES
from nmt.cli.shell.line_warnings import MAX_WARNINGS_PER_KIND
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.trained_run import load_translator
from nmt.cli.translate import format_json
from nmt.data.file_format import HEAD_BYTES, describe_foreign_format
from nmt.data.tokenizer import Tokenizer
from nmt.run import RunFolder
from nmt.run.registry import Description
from nmt.run.weights import save_weights
from nmt.translator import Attention, Translation, Translator, sanitize

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAX_PIECES = 24
"""Maximum number of pieces per line of the model in `babbling_run`."""

LINE_END_PIECES = ("<0x0A>", "<0x0D>", "<0x0B>", "<0x0C>", "<0x1C>", "<0x1D>", "<0x1E>")
"""Byte pieces that `str.splitlines` takes for a line end."""


@pytest.fixture(scope="module")
def babbling_run(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run of a Transformer with random weights, which often produces the bytes that end a line."""
    folder = tmp_path_factory.mktemp("runs") / "babbling"
    overrides = [
        *tiny_models["transformer"],
        *tiny_training,
        "tokenizer.byte_fallback=true",
        f"model.positions.max_length={MAX_PIECES}",
    ]
    overrides += ["tokenizer.vocab_size=290"]
    assert main(["train", "data=files", f"data.path={corpus_folder}", f"run={folder}", *overrides]) == 0
    run = RunFolder.open(folder)
    model = run.model()
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    pieces = run.tokenizer().target_pieces(range(run.tokenizer().target_size))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.size(0) == len(pieces):  # the embedding, whose weights the output layer shares
                line_ends = [pieces.index(piece) for piece in LINE_END_PIECES]
                parameter[line_ends] = 5 * torch.randn(len(line_ends), *parameter.shape[1:])
    save_weights(model.state_dict(), run.best, step=1)
    return folder


Translate = Callable[..., tuple[int, bytes, str]]
"""From the input and overrides to the exit code, standard output and standard error."""


@pytest.fixture(scope="module")
def translate_fast() -> Translate:
    """Like `translate`, but composes each configuration and loads each model only once: both take most of the time."""
    configs: dict[tuple[str, ...], DictConfig] = {}
    translators: dict[str, Translator] = {}
    command = find_command("translate")
    assert command is not None

    def load(run: RunFolder, search: Description, **options: Any) -> Translator:
        key = f"{run.path} {search} {options}"
        if key not in translators:
            translators[key] = load_translator(run, search, **options)
        return translators[key]

    def run(text: bytes, *arguments: str) -> tuple[int, bytes, str]:
        if arguments not in configs:
            with hydra_initialized() as folder:
                configs[arguments] = complete_config(configure(command, folder, [*arguments, "device=cpu"]))

        def run_once() -> int:
            translate_command.run(configs[arguments])
            return 0

        out, err = io.BytesIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(translate_command, "load_translator", load)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out))
            patch.setattr(sys, "stderr", err)
            code = run_catching_errors("nmt translate", run_once)
            return code, out.getvalue(), err.getvalue()

    return run


def translate(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], text: bytes, *arguments: str
) -> tuple[int, bytes, str]:
    """Runs `nmt translate` with `text` as standard input; returns exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code = main(["translate", *arguments, "device=cpu"])
    captured = capfdbinary.readouterr()
    return code, captured.out, captured.err.decode("utf-8")


def test_the_number_and_the_order_of_lines_are_kept(
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
    for word, line in zip(words, lines, strict=True):  # the same translation as alone
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
def test_a_strange_line_is_one_line(
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


STRANGE = [
    "\ud800", "\udfff", "\0", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\x1d",
    "\x1e", "\r", "\ufeff", "\u200b", "\U0010ffff", "\ufffe", "e\u0301", "👩\u200d👧", "\u3000", "\x1b[2J", "</s>",
    "<0x0A>", "▁", "⁇",
]  # fmt: skip
any_text = st.text(st.characters(exclude_characters="\n", categories=None), max_size=20)
strange_words = st.lists(st.sampled_from(["one", "two", "nine", *STRANGE]), max_size=8).map(" ".join)
long_lines = st.builds(
    lambda unit, length: (unit * length)[:length],
    st.sampled_from(["one ", "onetwo", "é", "\u2028", " ", "\r", "\0", "\ud800", "中"]),
    st.sampled_from([2_000, 100_000]),
)
text_lines = (any_text | strange_words | long_lines).map(lambda line: line.encode("utf-8", "surrogatepass"))
byte_lines = st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))
inputs = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else b""),
    st.lists(text_lines | byte_lines | st.just(b""), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@example(text=b"", kind="recurrent", batch_size=1)
@example(text=b"\n" * 200, kind="babbling", batch_size=64)
@example(text=b"one\rtwo\n\rthree", kind="recurrent", batch_size=64)
@given(text=inputs, kind=st.sampled_from(["recurrent", "babbling"]), batch_size=st.sampled_from([1, 64]))
def test_any_input_line_gives_one_output_line(
    trained_run: Path, babbling_run: Path, translate_fast: Translate, text: bytes, kind: str, batch_size: int
) -> None:
    folder = trained_run if kind == "recurrent" else babbling_run
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    arguments = [f"run={folder}", f"batch_size={batch_size}", "search=greedy", "search.max_length_factor=0.0"]
    code, out, err = translate_fast(text, *arguments)
    if describe_foreign_format(text[:HEAD_BYTES]) is not None:  # such as a single line of carriage returns
        assert (code, out) == (2, b"")
        return
    assert code == 0, err
    assert out.count(b"\n") == len(out.decode("utf-8").splitlines()) == len(lines)
    code, out_json, _ = translate_fast(text, *arguments, "format=jsonl")
    assert code == 0
    values = [json.loads(line) for line in out_json.decode("utf-8").splitlines()]
    assert out_json.count(b"\n") == len(values) == len(lines)
    assert [value["text"] for value in values] == out.decode("utf-8").splitlines()
    tokenizer = Tokenizer.load(folder)
    limit = MAX_PIECES if kind == "babbling" else 1024
    for line, value in zip(lines, values, strict=True):  # in order
        source = sanitize(line.removesuffix(b"\r").decode("utf-8", "replace"))
        (ids,) = tokenizer.encode_source([source])
        pieces = tokenizer.source_pieces([*ids[: limit - 1], tokenizer.eos_id], text=source) if ids else []
        assert value["source_tokens"] == pieces


def test_line_ends_that_a_model_produces_do_not_end_the_line(babbling_run: Path, translate_fast: Translate) -> None:
    """Shows that the model of the test above does produce pieces that end a line."""
    text = "\n".join(f"{first} {second}" for first in "abcdefgh" for second in "abcdefgh").encode()
    _, out, _ = translate_fast(text, f"run={babbling_run}", "format=jsonl", "search=greedy")
    pieces = {piece for line in out.decode("utf-8").splitlines() for piece in json.loads(line)["target_tokens"]}
    assert pieces.intersection(LINE_END_PIECES)


def test_a_json_object_is_one_line_for_every_reader() -> None:
    """The tokenizer of another program may have pieces that contain a line separator."""
    pieces = ["a\n", "\r", "\x0b\x0c", "\x1c\x1d\x1e", "\x85", "\u2028", "\u2029"]
    line = format_json([Translation("", 0.0, 0.0, pieces, [])], n_best=1, with_attention=False)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["source_tokens"] == pieces


@pytest.mark.parametrize("lines", [b"one two\nnine\n", b"one", b""])
def test_a_byte_order_mark_is_no_text(trained_run: Path, translate_fast: Translate, lines: bytes) -> None:
    _, expected, _ = translate_fast(lines, f"run={trained_run}")
    assert translate_fast(codecs.BOM_UTF8 + lines, f"run={trained_run}") == (0, expected, "")


def test_a_line_that_is_not_utf8_is_named(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, _, err = translate(monkeypatch, capfdbinary, b"one\ntw\xffo\n", f"run={trained_run}")
    assert "line 2" in err
    assert "UTF-8" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one\n".encode("utf-16"), "is text in UTF-16, not UTF-8: convert it with iconv -f UTF-16 -t UTF-8"),
        ("one\n".encode("utf-16-le"), "is text in UTF-16LE, not UTF-8: convert it with iconv -f UTF-16LE -t UTF-8"),
        ("один\n".encode("utf-32-be"), "is text in UTF-32BE, not UTF-8: convert it with iconv -f UTF-32BE -t UTF-8"),
        (gzip.compress(b"one\n", mtime=0), "is compressed with gzip: decompress it with gunzip"),
        (b"one\rtwo\r", "is text whose lines end in a bare carriage return: convert it with tr '\\r' '\\n'"),
    ],
)
def test_input_in_another_format_is_refused_before_anything_is_written(
    content: bytes,
    message: str,
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    for text, words, name in ((content, [], "standard input"), (b"", [f"input={path}"], f"input={path}")):
        code, out, err = translate(
            monkeypatch, capfdbinary, text, f"run={trained_run}", f"output={tmp_path / 'out'}", *words
        )
        assert (code, out, err) == (2, b"", f"nmt translate: {name} {message}\n")
        assert not (tmp_path / "out").exists()


def test_a_line_over_the_limit_of_the_model_is_cut_and_named(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A recurrent model has no limit of its own, but the next line must not wait for a megabyte."""
    arguments = (f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0")
    code, out, err = translate(monkeypatch, capfdbinary, b"one\n" + b"two " * 3000 + b"\nthree\n", *arguments)
    assert code == 0
    assert out.count(b"\n") == 3
    assert "line 2" in err
    assert "cut off" in err
    assert err.count("\n") == 2  # the second: the translations are cut, too


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("rest", ["", "b", "é", "é" + "b" * MAX_LINE_BYTES])
def test_a_line_over_the_limit_of_bytes_is_read_up_to_the_limit(
    trained_run: Path, translate_fast: Translate, rest: str, end: bytes
) -> None:
    line = ("a" + "é" * (MAX_LINE_BYTES // 2 - 1) + rest).encode() + end  # the limit is inside or after an "é"
    arguments = [f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0", "format=jsonl"]
    code, out, err = translate_fast(b"one\n" + line + b"two\n" * bool(end), *arguments)
    assert code == 0
    pieces = [json.loads(line)["source_tokens"] for line in out.splitlines()]
    assert pieces[2:] == [json.loads(translate_fast(b"two", *arguments)[1])["source_tokens"]] * bool(end)
    assert pieces[1][:2] == ["▁", "a"] and pieces[1][2].startswith("é")  # an unknown piece shows its text
    length = len(line.removesuffix(b"\n"))
    warning = f"nmt translate: line 2: {length:,} bytes, only the first {MAX_LINE_BYTES:,} are read\n"
    assert err == warning * (length > MAX_LINE_BYTES)  # and no warning about the character that was cut


def test_many_warnings_of_a_kind_are_only_counted(trained_run: Path, translate_fast: Translate) -> None:
    text = b"bad \xff\n" * 70 + b"one\n" * 3 + b"\xfe\n"
    code, out, err = translate_fast(text, f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0")
    assert (code, out.count(b"\n")) == (0, 74)
    *warnings, last_warning, total = err.splitlines()
    numbers = range(1, MAX_WARNINGS_PER_KIND + 1)
    assert [line.split(":")[1] for line in warnings] == [f" line {number}" for number in numbers]
    assert last_warning == "nmt translate: further lines that were not UTF-8 are only counted"
    assert total == "nmt translate: 71 lines in total were not UTF-8"


def test_a_few_warnings_have_no_total(trained_run: Path, translate_fast: Translate) -> None:
    text = b"bad \xff\n" * (MAX_WARNINGS_PER_KIND - 1)
    assert translate_fast(text, f"run={trained_run}", "search=greedy")[2].count("\n") == MAX_WARNINGS_PER_KIND - 1


def test_a_file_is_translated_to_a_file(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.en").write_text("one\ntwo\n", encoding="utf-8")
    arguments = [f"run={trained_run}", f"input={tmp_path / 'in.en'}", f"output={tmp_path / 'out.de'}", "device=cpu"]
    assert main(["translate", *arguments]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "out.de").read_text(encoding="utf-8").count("\n") == 2
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["in.en", "out.de"]


def test_json_lines_have_scores_attention_and_an_n_best_list(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = [f"run={trained_run}", "format=jsonl", "n_best=3", "attention=all"]
    code, out, _ = translate(monkeypatch, capfdbinary, b"one two\n\n", *arguments)
    assert code == 0
    first, empty = (json.loads(line) for line in out.decode("utf-8").splitlines())
    assert list(empty) == list(first)
    assert [list(hypothesis) for hypothesis in empty["n_best"]] == [list(first["n_best"][0])]
    assert (empty["text"], empty["attention"], empty["target_tokens"]) == ("", {}, [])
    assert len(first["n_best"]) == 3
    assert first["n_best"][0]["text"] == first["text"]
    scores = [translation["score"] for translation in first["n_best"]]
    assert scores == sorted(scores, reverse=True)
    for translation in first["n_best"]:
        assert list(translation["attention"]) == ["cross"]  # a recurrent model has no other
        cross = Attention.from_json(translation["attention"]["cross"])
        assert (cross.rows, cross.columns) == (translation["target_tokens"], translation["source_tokens"])
        assert cross.matrix.sum(1) == pytest.approx(1.0, abs=1e-4)


def test_attention_is_written_only_on_request(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    _, out, _ = translate(monkeypatch, capfdbinary, b"one two\n", f"run={trained_run}", "format=jsonl")
    assert "attention" not in json.loads(out)


LOST = b"one https://example.org/a two\nthree {0} <b> four\nfive\n2019 and \xe7\x8a\xac 7\n\xf0\x9f\x98\x80\n"
"""Lines with text that the tokenizer of the small run does not know, and one without."""


def test_lost_text_is_reported_once(trained_run: Path, translate_fast: Translate) -> None:
    code, out, err = translate_fast(LOST, f"run={trained_run}", "search=greedy")
    assert (code, out.count(b"\n")) == (0, 5)
    assert err == (
        "nmt translate: translations lack text of their source: 2 numbers, 1 URL, 1 placeholder, 1 tag, "
        "1 unknown word, 1 emoji (lines 1, 2, 4, 5); copy=true copies it\n"
    )
    assert translate_fast(b"one two\n", f"run={trained_run}", "search=greedy")[2] == ""


@pytest.mark.parametrize("kind", ["recurrent", "babbling"])
def test_lost_text_is_copied_on_request(
    kind: str, trained_run: Path, babbling_run: Path, translate_fast: Translate
) -> None:
    folder = trained_run if kind == "recurrent" else babbling_run
    code, out, err = translate_fast(LOST, f"run={folder}", "search=greedy", "copy=true", "format=jsonl")
    assert code == 0
    values = [json.loads(line) for line in out.decode().splitlines()]
    expected = [["https://example.org/a"], ["{0}", "<b>"], [], ["2019", "犬"], ["😀"]]
    for value, texts in zip(values, expected, strict=True):
        assert all(text in value["text"] for text in texts)
        assert "attention" not in value
    if kind == "recurrent":
        assert [value["missing"] for value in values] == [[], [], [], ["7"], []]
        assert err == (
            "nmt translate: translations lack text of their source: 1 number (line 4); numbers of one or two digits "
            "are not copied, since they may be written in words\n"
        )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["format=xml"], "format=xml"),
        (["n_best=2"], "format=jsonl"),
        (["batch_size=0"], "batch_size=0"),
        (["input=nowhere.en"], "input=nowhere.en cannot be read: no such file or directory"),
        (["input=/"], "input=/ cannot be read: is a directory"),
        (["n_best=two"], "n_best: must be a whole number (the default is 1), not two"),
        (["search.beam_size=two"], "search.beam_size: must be a whole number or null, not two"),
        (["format=jsonl", "n_best=9"], "n_best=9"),
        (["attention=cross"], "format=jsonl"),
        (["format=jsonl", "attention=true"], "attention=true is unknown: it can be cross, encoder, decoder, a list"),
        (["format=jsonl", "attention=[cross,self]"], "attention=self is unknown"),
        (["output=/dev/null/x"], "/dev/null"),
        (["output=/tmp"], "output=/tmp is a folder: add the name of a file"),
        (["output=" + "x" * 300], "cannot be written (file name too long): use another name"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    expected: str,
    trained_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    code, out, err = translate(monkeypatch, capfdbinary, b"one\n", f"run={trained_run}", *arguments)
    assert (code, out) == (2, b"")
    assert expected in err
    assert err.count("\n") == 1


class GeneratedLines(io.RawIOBase):
    """An input of `num_lines` lines, generated as they are read.

    `allocated` holds the bytes that Python has allocated, by the number of lines that remained at that time.
    """

    def __init__(self, num_lines: int) -> None:
        self.remaining = num_lines
        self.allocated: dict[int, int] = {}

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        lines = min(self.remaining, 100)
        if self.remaining % 1000 == 0:
            self.allocated[self.remaining] = tracemalloc.get_traced_memory()[0]
        self.remaining -= lines
        data = (b"one two\n" + b"one " * 8 + b"\n") * (lines // 2)
        memoryview(buffer)[: len(data)] = data
        return len(data)


class LineCounter(io.RawIOBase):
    """An output that only counts its lines."""

    num_lines = 0

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        self.num_lines += bytes(data).count(b"\n")
        return memoryview(data).nbytes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["recurrent", "babbling"])
def test_memory_does_not_grow_with_the_input(
    trained_run: Path,
    babbling_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    """Compares what Python has allocated after 2,000 and 5,000 lines; every second line is over the model's limit."""
    folder = trained_run if kind == "recurrent" else babbling_run
    source, target = GeneratedLines(6_000), LineCounter()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(source)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(target)))
    arguments = ["search=greedy", "search.max_length_factor=0.0", "search.max_length_margin=2"]
    tracemalloc.start()
    try:
        assert main(["translate", f"run={folder}", *arguments, "device=cpu"]) == 0
    finally:
        tracemalloc.stop()
    assert target.num_lines == 6_000
    assert source.allocated[1_000] - source.allocated[4_000] < 60_000  # bytes; a list of the lines takes 240,000


@pytest.fixture
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets Python buffer its output as it does by default; otherwise a missing flush would not be noticed."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


MAIN_THEN_MODULES = """
import sys
from pathlib import Path
from nmt.cli import main
code = main(sys.argv[2:])
Path(sys.argv[1]).write_text(" ".join(sys.modules))
sys.exit(code)
"""
"""A program that is `nmt`, and afterwards writes the names of all imported modules to a file."""

NOT_NEEDED = {"datasets", "pandas", "pyarrow", "torch._dynamo", "torch._inductor", "sympy", "matplotlib", "sacrebleu"}
NOT_NEEDED |= {"rich", "nmt.training", "nmt.evaluation", "nmt.report"}
"""Modules that translation does not need; importing them takes longer than everything else, torch included."""


@pytest.mark.usefixtures("buffered")
@pytest.mark.parametrize("kind", ["recurrent", "babbling"])
def test_lines_are_translated_as_they_come_a_closed_pipe_is_no_error_and_imports_are_few(
    trained_run: Path, babbling_run: Path, kind: str, tmp_path: Path
) -> None:
    """Each translation arrives before the next line is sent; then the reader closes the pipe."""
    folder = trained_run if kind == "recurrent" else babbling_run
    modules = tmp_path / "modules.txt"
    command = [sys.executable, "-c", MAIN_THEN_MODULES, str(modules)]
    command += ["translate", f"run={folder}", "batch_size=1", "device=cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        timeout = Timer(60, running.kill)  # the test fails, instead of waiting forever, if a line does not arrive
        timeout.start()
        for word in (b"one\n", b"two\n"):
            running.stdin.write(word)
            running.stdin.flush()
            assert running.stdout.readline().endswith(b"\n")
        timeout.cancel()
        running.stdout.close()
        running.stdin.write(b"two\n" * 100)
        running.stdin.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0
    imported = set(modules.read_text(encoding="utf-8").split())
    assert "torch" in imported
    assert NOT_NEEDED & imported == set()


@pytest.mark.parametrize(
    ("streams", "code", "num_lines", "message"),
    [
        ({"stdin": None}, 2, 0, "nmt translate: standard input is closed: name a file with input=FILE\n"),
        ({"stdout": None}, 2, 0, "nmt translate: standard output is closed: name a file with output=FILE\n"),
        ({"stderr": None}, 0, 3, ""),
        ({"stderr": Path("/dev/full")}, 0, 3, ""),
        (
            {"stdout": Path("/dev/full")},
            1,
            0,
            "nmt translate: standard output cannot be written after 0 lines: the disk is full: make room there\n",
        ),
    ],
    ids=["stdin closed", "stdout closed", "stderr closed", "stderr full", "stdout full"],
)
def test_streams_may_be_closed_or_full(
    streams: dict[str, Path | None],
    code: int,
    num_lines: int,
    message: str,
    trained_run: Path,
    run_with_streams: Callable[..., tuple[int, bytes, str]],
) -> None:
    if Path("/dev/full") in streams.values() and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = ["translate", f"run={trained_run}", "search=greedy", "device=cpu"]
    text = b"one" if "stdout" in streams else b"one\nb\xff\ntwo"  # the second line has a remark
    ended, output, error = run_with_streams(words, text, **streams)
    assert (ended, error) == (code, message)
    assert output.count(b"\n") == num_lines
    assert b"nmt translate" not in output


def test_n_best_texts_are_distinct_and_missing_ones_are_named(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    options = (f"run={trained_run}", "format=jsonl", "n_best=4")
    code, out, err = translate(monkeypatch, capfdbinary, b"one two\n\nthree\n", *options)
    first, _, last = map(json.loads, out.decode().splitlines())
    assert code == 0
    assert err == ""
    assert all(len({one["text"] for one in line["n_best"]}) == 4 for line in (first, last))
    # Without room for any piece, only the empty translation is left.
    limits = ("search.max_length_factor=0", "search.max_length_margin=1")
    code, out, err = translate(monkeypatch, capfdbinary, b"one two\n\nthree\n", *options, *limits)
    assert code == 0
    assert [json.loads(line)["text"] for line in out.decode().splitlines()] == [""] * 3
    for number in (1, 3):
        assert f"nmt translate: line {number}: only 1 of 4 different translations were found\n" in err
    assert "line 2" not in err


def test_more_translations_than_the_beam_holds_name_the_remedy(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code, out, err = translate(
        monkeypatch, capfdbinary, b"one\n", f"run={trained_run}", "format=jsonl", "n_best=9", "search.beam_size=4"
    )
    assert (code, out) == (2, b"")
    assert err == "nmt translate: n_best=9 must be from 1 to search.beam_size=4: set search.beam_size=9\n"


def test_guards_of_the_search_are_overrides(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    guards = ("search.min_length=9", "search.no_repeat_ngram=2", "format=jsonl")
    code, out, _ = translate(monkeypatch, capfdbinary, b"one\n\ntwo two\n", f"run={trained_run}", *guards)
    assert code == 0
    for line in map(json.loads, out.decode().splitlines()):
        pieces = line["target_tokens"][:-1]
        assert len(pieces) >= 9 or line["source_tokens"] == []
        assert len(set(pairwise(pieces))) == max(0, len(pieces) - 1)
    for guard in ("search.min_length=-1", "search.no_repeat_ngram=x", "search.no_repeat_ngram=1.5"):
        code, _, err = translate(monkeypatch, capfdbinary, b"one\n", f"run={trained_run}", guard)
        assert code == 2
        assert err.startswith("nmt translate: search.") and err.count("\n") == 1


def test_translations_that_the_length_limit_cut_are_counted_in_one_remark(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = b"one two three four five six\n\n" * 7
    limits = ("search.max_length_factor=0", "search.max_length_margin=2", "search=greedy")
    code, out, err = translate(monkeypatch, capfdbinary, text, f"run={trained_run}", *limits)
    assert code == 0
    assert out.count(b"\n") == 14
    remark = "nmt translate: 7 translations were cut at the length limit (lines 1, 3, 5, 7, 9, …): "
    assert err.startswith(remark) and err.count("\n") == 1
    assert "search.max_length_factor" in err
    assert translate(monkeypatch, capfdbinary, text, f"run={trained_run}")[2] == ""


def test_translations_begin_with_the_prefixes_of_a_file(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "prefixes, with a comma"
    words = ["one two three", "", "nine", "four"]
    text = "\n".join(words).encode()

    def run(prefixes: list[str]) -> tuple[int, str, str]:
        path.write_text("".join(prefix + "\n" for prefix in prefixes), encoding="utf-8")
        arguments = (f"run={trained_run}", f"prefix={path}", "batch_size=3")
        code, out, err = translate(monkeypatch, capfdbinary, text, *arguments)
        return code, out.decode("utf-8"), err

    code, out, err = run(["neun vier", "eins", "", "acht"])
    assert (code, err) == (0, "")
    translator = Translator.load(trained_run, device="cpu")
    expected = [each.text for each in translator.translate(words, prefix=["neun vier", "", "", "acht"])]
    assert out.split("\n")[:-1] == expected
    assert expected[0].startswith("neun vier") and expected[3].startswith("acht")
    assert run(["", "", ""])[2].startswith("nmt translate: standard input has 4 lines, but prefix=")
    code, _, err = run(["", "", "", "ж"])
    assert code == 2
    assert "line 4: the prefix has a character that the vocabulary lacks: 'ж'" in err and err.count("\n") == 1


def test_samples_and_minimum_bayes_risk(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    text = b"one two 7\nnine\n\n"  # 7 is lost

    def run(*arguments: str) -> list[dict[str, Any]]:
        code, out, _ = translate(monkeypatch, capfdbinary, text, f"run={trained_run}", "format=jsonl", *arguments)
        assert code == 0
        return [json.loads(line) for line in out.decode("utf-8").split("\n")[:-1]]

    samples = run("search=sampling", "search.temperature=2", "search.seed=5", "n_best=8")
    assert [len(value["n_best"]) for value in samples] == [8, 8, 1]  # the same text may be drawn twice
    assert [each["text"] for each in samples] == [
        each["text"] for each in run("search=sampling", "search.temperature=2", "search.seed=5", "batch_size=1")
    ]
    chosen = run("search=mbr", "search.num_candidates=8", "search.candidates.temperature=2", "search.candidates.seed=5")
    for value, found in zip(samples[:2], chosen[:2], strict=True):
        assert found["text"] in {each["text"] for each in value["n_best"]}
        assert 0 < found["score"] <= 100
    of_beam = run("search=mbr", "search/candidates=beam", "search.num_candidates=3", "search.utility=bleu", "n_best=2")
    assert [len({each["text"] for each in value["n_best"]}) for value in of_beam] == [2, 2, 1]


def test_translations_contain_the_terms_of_a_file(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "terms, with a comma.tsv"

    def run(terms: str, *arguments: str) -> tuple[int, str, str]:
        path.write_text(terms, encoding="utf-8")
        words = (f"run={trained_run}", f"terms={path}", *arguments)
        code, out, err = translate(monkeypatch, capfdbinary, b"one two\nnine\n\n", *words)
        return code, out.decode("utf-8"), err

    code, out, err = run("One\tacht\n nine \t sechs \n")
    assert (code, err) == (0, "")
    assert "acht" in out.split("\n")[0].split() and "sechs" in out.split("\n")[1].split()
    for terms, message in (
        ("one\tacht\ntwo acht\n", "line 2: a line is a source term, a tab and its target term"),
        ("one\tacht\tneun\n", "line 1: a line is a source term, a tab and its target term"),
        ("\tacht\n", "line 1: a line is a source term, a tab and its target term"),
        ("one\tacht\nOne\tneun\n", "line 2: One has another target term before: leave one of them out"),
        ("one\tж\n", "line 1: the term has a character that the vocabulary lacks: 'ж'"),
    ):
        code, out, err = run(terms)
        assert (code, out) == (2, "") and message in err and err.count("\n") == 1
    code, out, err = run("ten\tacht\n", "search=sampling")
    assert (code, out) == (2, "") and "terms need a search that compares scores" in err
