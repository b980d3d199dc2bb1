"""`nmt translate` through the real entry point: one line in is one line out."""

import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from nmt.cli import COMMANDS, main
from nmt.cli import translate as command
from nmt.cli.shell.configuration import complete, opened
from nmt.cli.shell.errors import attempt
from nmt.cli.shell.overrides import configure
from nmt.cli.translate import LONGEST_LINE, MOST_REMARKS, as_json
from nmt.data.tokenizer import Tokenizer
from nmt.run import RunFolder
from nmt.run.weights import save_weights
from nmt.translator import Translation, sanitize

LIMIT = 24
"""The most pieces that the model of `babbling_run` takes."""

ENDS = ("<0x0A>", "<0x0D>", "<0x0B>", "<0x0C>", "<0x1C>", "<0x1D>", "<0x1E>")


@pytest.fixture(scope="module")
def babbling_run(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A Transformer with random weights over a vocabulary that is mostly bytes; it loves those that end a line."""
    folder = tmp_path_factory.mktemp("runs") / "babbling"
    overrides = [
        *tiny_models["transformer"],
        *tiny_training,
        "tokenizer.byte_fallback=true",
        f"model.max_length={LIMIT}",
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
            if parameter.size(0) == len(pieces):  # the embedding, and with it the output
                parameter[[pieces.index(piece) for piece in ENDS]] = 5 * torch.randn(len(ENDS), *parameter.shape[1:])
    save_weights(model.state_dict(), run.best, step=1)
    return folder


Filter = Callable[..., tuple[int, bytes, str]]


@pytest.fixture(scope="module")
def translate_fast() -> Iterator[Filter]:
    """Like `translate`, with each configuration composed once: that takes ten times as long as a few lines."""
    configs: dict[tuple[str, ...], DictConfig] = {}
    (translating,) = (one for one in COMMANDS if one.name == "translate")

    def run(text: bytes, *arguments: str) -> tuple[int, bytes, str]:
        if arguments not in configs:
            with opened() as folder:
                configs[arguments] = complete(configure(translating, folder, [*arguments, "device=cpu"]))
        out, err = io.BytesIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out))
            patch.setattr(sys, "stderr", err)
            code = attempt("nmt translate", lambda: command.run(configs[arguments]) or 0)
            return code, out.getvalue(), err.getvalue()

    yield run


def translate(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], text: bytes, *arguments: str
) -> tuple[int, bytes, str]:
    """The exit code, standard output and standard error of `nmt translate` with `text` on its standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code = main(["translate", *arguments, "device=cpu"])
    captured = capfdbinary.readouterr()
    return code, captured.out, captured.err.decode("utf-8")


@pytest.mark.parametrize("kind", ["trained_run", "babbling_run"])
def test_what_translating_does_not_need_is_never_imported(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(kind)
    code = "import sys; from nmt.cli import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    command = [sys.executable, "-c", code, "translate", f"run={run}", "device=cpu"]
    done = subprocess.run(command, input="one two\n", capture_output=True, text=True, check=True)
    imported = done.stdout.split("\n")[1].split()
    assert "torch" in imported
    # Together they take longer than all the rest, torch included.
    unneeded = {"datasets", "pandas", "pyarrow", "torch._dynamo", "torch._inductor", "sympy"}
    unneeded |= {"matplotlib", "sacrebleu", "rich", "nmt.training", "nmt.evaluation", "nmt.report"}
    assert unneeded & set(imported) == set()


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


STRANGE = [
    "\ud800", "\udfff", "\0", "\u202e", "\u2066", "\u2069", "\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\x1d",
    "\x1e", "\r", "\ufeff", "\u200b", "\U0010ffff", "\ufffe", "e\u0301", "👩\u200d👧", "\u3000", "\x1b[2J", "</s>",
    "<0x0A>", "▁", "⁇",
]  # fmt: skip
anything = st.text(st.characters(exclude_characters="\n", categories=None), max_size=20)
words = st.lists(st.sampled_from(["one", "two", "nine", *STRANGE]), max_size=8).map(" ".join)
endless = st.builds(
    lambda part, length: (part * length)[:length],
    st.sampled_from(["one ", "onetwo", "é", "\u2028", " ", "\r", "\0", "\ud800", "中"]),
    st.sampled_from([2_000, 100_000]),
)
text_lines = (anything | words | endless).map(lambda line: line.encode("utf-8", "surrogatepass"))
byte_lines = st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))
inputs = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else b""),
    st.lists(text_lines | byte_lines | st.just(b""), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@example(text=b"", kind="recurrent", batch_size=1)
@example(text=b"\n" * 200, kind="babbling", batch_size=64)
@example(text=b"one\rtwo\n\rthree", kind="recurrent", batch_size=64)
@given(text=inputs, kind=st.sampled_from(["recurrent", "babbling"]), batch_size=st.sampled_from([1, 64]))
def test_whatever_comes_in_one_line_in_is_one_line_out(
    trained_run: Path, babbling_run: Path, translate_fast: Filter, text: bytes, kind: str, batch_size: int
) -> None:
    folder = trained_run if kind == "recurrent" else babbling_run
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    arguments = [f"run={folder}", f"batch_size={batch_size}", "search=greedy", "search.max_length_factor=0.0"]
    code, out, err = translate_fast(text, *arguments)
    assert code == 0, err
    assert out.count(b"\n") == len(out.decode("utf-8").splitlines()) == len(lines)
    code, out_json, _ = translate_fast(text, *arguments, "format=jsonl")
    assert code == 0
    found = [json.loads(line) for line in out_json.decode("utf-8").splitlines()]
    assert out_json.count(b"\n") == len(found) == len(lines)
    assert [one["text"] for one in found] == out.decode("utf-8").splitlines()
    tokenizer = Tokenizer.load(folder)
    limit = LIMIT if kind == "babbling" else 1024
    for line, one in zip(lines, found, strict=True):  # in their order
        (ids,) = tokenizer.encode_source([sanitize(line.removesuffix(b"\r").decode("utf-8", "replace"))])
        pieces = tokenizer.source_pieces([*ids[: limit - 1], tokenizer.eos_id]) if ids else []
        assert one["source_tokens"] == pieces


def test_what_a_model_babbles_is_one_line(babbling_run: Path, translate_fast: Filter) -> None:
    """The model of the test above does spell line separators, or that test would show nothing."""
    text = "\n".join(f"{one} {two}" for one in "abcdefgh" for two in "abcdefgh").encode()
    _, out, _ = translate_fast(text, f"run={babbling_run}", "format=jsonl", "search=greedy")
    pieces = {piece for line in out.decode("utf-8").splitlines() for piece in json.loads(line)["target_tokens"]}
    assert pieces.intersection(ENDS)


def test_json_is_one_line_to_every_reader() -> None:
    """A tokenizer from elsewhere may have pieces that hold a line separator."""
    pieces = ["a\n", "\r", "\x0b\x0c", "\x1c\x1d\x1e", "\x85", "\u2028", "\u2029"]
    line = as_json([Translation("", 0.0, 0.0, pieces, [], None)])
    assert len(line.splitlines()) == 1
    assert json.loads(line)["source_tokens"] == pieces


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


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("behind", ["", "b", "é", "é" + "b" * LONGEST_LINE])
def test_a_line_without_end_is_not_read_to_its_end(
    trained_run: Path, translate_fast: Filter, behind: str, end: bytes
) -> None:
    line = ("a" + "é" * (LONGEST_LINE // 2 - 1) + behind).encode() + end  # cut inside an "é", or behind one
    arguments = [f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0", "format=jsonl"]
    code, out, err = translate_fast(b"one\n" + line + b"two\n" * bool(end), *arguments)
    assert code == 0
    found = [json.loads(line)["source_tokens"] for line in out.splitlines()]
    assert found[2:] == [json.loads(translate_fast(b"two", *arguments)[1])["source_tokens"]] * bool(end)
    assert found[1][:3] == ["▁", "a", "<unk>"]
    length = len(line.removesuffix(b"\n"))
    told = f"nmt translate: line 2: {length:,} bytes, only {LONGEST_LINE:,} are read\n"
    assert err == told * (length > LONGEST_LINE)  # that it was cut inside a character is no fault of the text's


def test_many_remarks_become_a_number(trained_run: Path, translate_fast: Filter) -> None:
    text = b"bad \xff\n" * 70 + b"one\n" * 3 + b"\xfe\n"
    code, out, err = translate_fast(text, f"run={trained_run}", "search=greedy", "search.max_length_factor=0.0")
    assert (code, out.count(b"\n")) == (0, 74)
    *each, only, total = err.splitlines()
    assert [line.split(":")[1] for line in each] == [f" line {number}" for number in range(1, MOST_REMARKS + 1)]
    assert only == "nmt translate: further lines that were not UTF-8 are only counted"
    assert total == "nmt translate: 71 lines in all were not UTF-8"


def test_a_few_remarks_are_not_summed_up(trained_run: Path, translate_fast: Filter) -> None:
    text = b"bad \xff\n" * (MOST_REMARKS - 1)
    assert translate_fast(text, f"run={trained_run}", "search=greedy")[2].count("\n") == MOST_REMARKS - 1


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


class Endless(io.RawIOBase):
    """So many short lines, made as they are read; notes what is allocated at two of them."""

    def __init__(self, num_lines: int) -> None:
        self.left = num_lines
        self.marks: dict[int, int] = {}

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        lines = min(self.left, 100)
        if self.left % 2000 == 0:
            self.marks[self.left] = tracemalloc.get_traced_memory()[0]
        self.left -= lines
        data = (b"one two\n" + b"one " * 8 + b"\n") * (lines // 2)
        buffer[: len(data)] = data
        return len(data)


class Counted(io.RawIOBase):
    """Counts lines, and keeps none."""

    lines = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.lines += bytes(data).count(b"\n")
        return len(data)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["recurrent", "babbling"])
def test_memory_does_not_grow_with_the_input(
    trained_run: Path,
    babbling_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    """Allocations by Python after 2,000 and after 20,000 lines, every second of which is over the model's limit."""
    folder = trained_run if kind == "recurrent" else babbling_run
    source, target = Endless(22_000), Counted()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(source)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(target)))
    arguments = ["search=greedy", "search.max_length_factor=0.0", "search.max_length_margin=2"]
    tracemalloc.start()
    try:
        assert main(["translate", f"run={folder}", *arguments, "device=cpu"]) == 0
    finally:
        tracemalloc.stop()
    assert target.lines == 22_000
    assert source.marks[2_000] - source.marks[20_000] < 100_000  # bytes; a list of the lines would be a million


@pytest.fixture
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes hold output back as they do by default, or none would show a flush that is missing."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


@pytest.mark.usefixtures("buffered")
@pytest.mark.parametrize("kind", ["recurrent", "babbling"])
def test_it_streams_and_a_closed_pipe_is_quiet(trained_run: Path, babbling_run: Path, kind: str) -> None:
    """Each line comes out before the next is written, in a process of its own; then nobody reads any more."""
    folder = trained_run if kind == "recurrent" else babbling_run
    command = [sys.executable, "-m", "nmt", "translate", f"run={folder}", "batch_size=1", "device=cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        watch = Timer(60, running.kill)  # a line that does not come fails the test, and does not hang it
        watch.start()
        for word in (b"one\n", b"two\n"):
            running.stdin.write(word)
            running.stdin.flush()
            assert running.stdout.readline().endswith(b"\n")
        watch.cancel()
        running.stdout.close()
        running.stdin.write(b"two\n" * 100)
        running.stdin.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0


@pytest.mark.slow
@pytest.mark.usefixtures("buffered")
@pytest.mark.parametrize(
    ("line", "code", "num_lines", "said"),
    [
        ("yes one | head -5000 | $NMT | head -1; exit ${PIPESTATUS[2]}", 0, 1, ""),
        ("$NMT <&-", 2, 0, "nmt translate: standard input is closed: name a file with input=FILE\n"),
        ("echo one | $NMT >&-", 2, 0, "nmt translate: standard output is closed: name a file with output=FILE\n"),
        ("printf 'one\nb\\xff\ntwo' | $NMT 2>&-", 0, 3, ""),
        ("printf 'one\nb\\xff\ntwo' | $NMT 2>/dev/full", 0, 3, ""),
        (
            "echo one | $NMT >/dev/full",
            1,
            0,
            "nmt translate: standard output cannot be written after 0 lines: the disk is full: make room there\n",
        ),
    ],
    ids=["head", "stdin closed", "stdout closed", "stderr closed", "stderr full", "stdout full"],
)
def test_streams_that_are_closed_or_full(line: str, code: int, num_lines: int, said: str, trained_run: Path) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = f"{sys.executable} -m nmt translate run={trained_run} search=greedy device=cpu"
    done = subprocess.run(["bash", "-c", line.replace("$NMT", command)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)
    assert done.stdout.count("\n") == num_lines
    assert "nmt translate" not in done.stdout
