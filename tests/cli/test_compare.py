"""`nmt compare` through the real entry point."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from nmt.cli import main
from nmt.cli.compare import print_table
from nmt.report.tables import Cell, Table
from nmt.run import RunFolder
from nmt.run.weights import save_weights


@pytest.fixture
def two_runs(
    trained_run: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str], tmp_path: Path
) -> list[Path]:
    """A trained run with attention, and one without; neither has been evaluated."""
    other = tmp_path / "transformer"
    data = ["data=files", f"data.path={corpus_folder}"]
    assert main(["train", *data, f"run={other}", *tiny_models["transformer"], *tiny_training]) == 0
    return [Path(shutil.copytree(trained_run, tmp_path / "luong")), other]


def test_runs_without_an_evaluation_are_evaluated_and_all_are_compared(
    two_runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    luong, transformer = two_runs
    assert main(["evaluate", f"run={luong}", "split=test", "device=cpu"]) == 0
    before = (luong / "evaluation" / "test.json").read_bytes()
    capsys.readouterr()
    out = tmp_path / "report"
    assert main(["compare", f"runs=[{luong},{transformer}]", "split=test", f"out={out}", "device=cpu"]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("evaluating") == 1
    assert (luong / "evaluation" / "test.json").read_bytes() == before
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    page = (out / "report.html").read_text(encoding="utf-8")
    for system, folder in zip(report["systems"], two_runs, strict=True):
        evaluation = json.loads((folder / "evaluation" / "test.json").read_text(encoding="utf-8"))
        assert system["metrics"]["bleu"]["score"] == evaluation["metrics"]["bleu"]["score"]
        score = f"{evaluation['metrics']['bleu']['score']:.1f}"
        assert score in page
        assert score in captured.out
        assert folder.name in captured.out
    assert (out / "report.md").is_file()
    for index, sentence in enumerate(report["translations"]):
        assert page.count(f'<tr><th scope="row">{index}</th>') == 1
        for folder, translation in zip(two_runs, sentence["translations"], strict=True):
            lines = (folder / "evaluation" / "test.hyp.txt").read_text(encoding="utf-8").splitlines()
            assert (translation["system"], translation["text"]) == (folder.name, lines[index])


def test_seeds_are_also_compared_by_their_means(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [Path(shutil.copytree(trained_run, tmp_path / f"luong-seed{seed}")) for seed in (1, 2)]
    edit("config.yaml", "\nseed: 1\n", "\nseed: 2\n")(runs[1])
    words = [f"runs=[{runs[0]},{runs[1]}]", "split=test", f"out={tmp_path / 'report'}", "device=cpu"]
    assert main(["compare", *words]) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    [group] = report["groups"]
    assert (group["name"], group["systems"], group["seeds"]) == ("luong", ["luong-seed1", "luong-seed2"], [1, 2])
    mean = f"{report['systems'][0]['metrics']['bleu']['score']:.1f} ± 0.0"  # two copies of the same weights
    assert mean in printed
    assert mean in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert f"luong reaches a mean BLEU of {mean} over 2 seeds" in printed


@pytest.fixture(scope="module")
def evaluated_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run with an evaluation of test; tests copy it."""
    folder = Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("evaluated") / "luong"))
    assert main(["evaluate", f"run={folder}", "split=test", "device=cpu"]) == 0
    return folder


@pytest.fixture
def run(evaluated_run: Path, tmp_path: Path) -> Path:
    """An evaluated run that a test may change."""
    return Path(shutil.copytree(evaluated_run, tmp_path / "luong"))


def change_weights(run: Path) -> None:
    """Changes one number in the weights, whose step stays the same."""
    tensors = load_file(run / "checkpoints" / "best.safetensors")
    name = min(tensors)
    tensors[name].view(-1)[0] += 1.0
    save_weights(tensors, run / "checkpoints" / "best.safetensors", step=RunFolder(run).best_step())


def change_step(run: Path) -> None:
    tensors = load_file(run / "checkpoints" / "best.safetensors")
    save_weights(tensors, run / "checkpoints" / "best.safetensors", step=7)


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replaces text in a file of the run."""

    def change(run: Path) -> None:
        text = (run / name).read_text(encoding="utf-8")
        assert old in text
        (run / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def cut_in_half(run: Path) -> None:
    path = run / "evaluation" / "test.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def take_from_another_split(run: Path) -> None:
    for suffix in ("json", "hyp.txt", "ref.txt"):
        (run / "evaluation" / f"test.{suffix}").rename(run / "evaluation" / f"val.{suffix}")
    shutil.copy(run / "evaluation" / "val.json", run / "evaluation" / "test.json")
    edit("evaluation/test.json", '"split": "test"', '"split": "val"')(run)


def lose_the_hypotheses(run: Path) -> None:
    (run / "evaluation" / "test.hyp.txt").unlink()


def nothing(run: Path) -> None:
    pass


@pytest.mark.parametrize("command", ["evaluate", "compare"])
@pytest.mark.parametrize(
    ("change", "overrides", "reason"),
    [
        (nothing, [], None),
        (nothing, ["search=beam"], None),  # the same search in another way
        (nothing, ["data=files", "data.path={corpus}"], None),  # and the same text
        (change_weights, [], "another model of the same step"),
        (change_step, [], "weights of step 7 instead of "),
        (nothing, ["search.beam_size=2"], "search.beam_size=2 instead of 5"),
        (nothing, ["search.length_penalty=0"], "search.length_penalty=0.0 instead of 0.6"),
        (nothing, ["search=greedy"], "GreedySearch instead of BeamSearch"),
        (
            edit("search.json", '"max_length_margin": 10', '"max_length_margin": 9'),
            [],
            "max_length_margin=9 instead of",
        ),
        (nothing, ["data.path={other}"], "other text"),
        (nothing, ["data.path={other}", "search.beam_size=2"], "search.beam_size=2 instead of 5, other text"),
        (edit("evaluation/test.json", "tok:13a", "tok:zh"), [], "has been changed"),
        (edit("evaluation/test.json", '"sentences": 8', '"sentences": 9'), [], "has been changed"),
        (edit("evaluation/test.hyp.txt", "\n", " neun\n"), [], "has been changed"),
        (edit("evaluation/test.json", '"format": 2', '"format": 1'), [], "has format 1"),
        (cut_in_half, [], "test.json is damaged"),
        (take_from_another_split, [], "is an evaluation of val"),
        (lose_the_hypotheses, [], "test.hyp.txt is missing"),
        (lambda run: (run / "evaluation" / "test.attention.gz").write_bytes(b""), [], "has been changed"),
    ],
)
def test_an_evaluation_is_used_again_only_if_nothing_has_changed(
    command: str,
    change: Callable[[Path], None],
    overrides: list[str],
    reason: str | None,
    run: Path,
    corpus_folder: Path,
    own_corpus: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (own_corpus / "test.en").write_text("one two\n" * 8, encoding="utf-8")
    change(run)
    before = (run / "evaluation" / "test.json").read_bytes()
    words = [f"run={run}"] if command == "evaluate" else [f"runs=[{run}]", f"out={run.parent / 'report'}"]
    words += [word.format(corpus=corpus_folder, other=own_corpus) for word in overrides]
    capsys.readouterr()
    assert main([command, *words, "split=test", "device=cpu"]) == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "again" in line and "remove it" not in line]
    if reason is None:
        assert lines == []
        assert (run / "evaluation" / "test.json").read_bytes() == before
    else:
        assert len(lines) == 1
        assert f"nmt {command}: evaluating {run} on test again: " in lines[0]
        assert reason in lines[0]
        assert (run / "evaluation" / "test.json").read_bytes() != before
    result = json.loads((run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    assert f"{result['metrics']['bleu']['score']:.{2 if command == 'evaluate' else 1}f}" in captured.out
    if "search.beam_size=2" in overrides:
        assert result["search"]["arguments"]["beam_size"] == 2
    # Now it is up to date, and the same command changes nothing.
    after = (run / "evaluation" / "test.json").read_bytes()
    assert main([command, *words, "split=test", "device=cpu"]) == 0
    assert (run / "evaluation" / "test.json").read_bytes() == after


def test_a_run_without_its_corpus_is_compared_by_its_stored_evaluation(
    run: Path, own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("corpus.json", json.loads((run / "corpus.json").read_text("utf-8"))["arguments"]["path"], "/nowhere")(run)
    words = [f"runs=[{run}]", f"out={tmp_path / 'report'}", "split=test", "device=cpu"]
    capsys.readouterr()
    assert main(["compare", *words]) == 0
    assert "was not compared, since the corpus cannot be read: /nowhere is not a folder" in capsys.readouterr().err
    assert main(["compare", *words, "search.beam_size=2"]) == 2  # it would have to be evaluated again
    assert "/nowhere is not a folder" in capsys.readouterr().err
    assert main(["evaluate", f"run={run}", "split=test", "device=cpu"]) == 2
    assert "/nowhere is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("second", ["{run}", "{run}/", "{run}/../luong", "{link}", "{relative}"])
def test_a_run_that_is_listed_twice_is_refused_before_anything_is_evaluated(
    second: str, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(trained_run, tmp_path / "luong"))
    (tmp_path / "link").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    other = second.format(run=run, link=tmp_path / "link", relative="luong")
    assert main(["compare", f"runs=[{run},{other}]", "split=val", f"out={tmp_path / 'report'}"]) == 2
    error = capsys.readouterr().err
    assert "is listed twice: name different runs" in error
    assert error.count("\n") == 1
    assert not (run / "evaluation").exists()


@pytest.mark.parametrize(
    ("language", "line", "message"),
    [("en", "one two", "different text for test"), ("de", "eins zwei", "different text for test")],
)
def test_runs_with_different_text_are_refused_before_anything_is_evaluated(
    language: str,
    line: str,
    message: str,
    trained_run: Path,
    own_corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [Path(shutil.copytree(trained_run, tmp_path / name)) for name in ("a", "b")]
    (own_corpus / f"test.{language}").write_text(f"{line}\n" * 8, encoding="utf-8")
    edit("corpus.json", json.loads((runs[1] / "corpus.json").read_text("utf-8"))["arguments"]["path"], str(own_corpus))(
        runs[1]
    )
    words = [f"runs=[{runs[0]},{runs[1]}]", f"out={tmp_path / 'report'}", "split=test", "device=cpu"]
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any((run / "evaluation").exists() for run in runs)
    assert main(["compare", *words, f"data.path={own_corpus}"]) == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_character_that_the_output_cannot_represent_does_not_fail_the_command(
    encoding: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = run.rename(tmp_path / "你")
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
    assert main(["compare", f"runs=['{named}']", f"out={tmp_path / 'report'}", "split=test", "device=cpu"]) == 0
    text = printed.getvalue().decode(encoding)
    assert ("BLEU ↑" in text and "你" in text) if encoding == "utf-8" else ("BLEU ?" in text and "? " in text)
    assert "BLEU ↑" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("streams", "code", "message"),
    [
        ({"stdout": None}, 0, None),
        ({"stdout": Path("/dev/full")}, 1, "the output cannot be written: the disk is full: make room there"),
        ({"stderr": Path("/dev/full")}, 0, None),
        ({"stderr": None}, 0, None),
    ],
    ids=["stdout closed", "stdout full", "stderr full", "stderr closed"],
)
def test_streams_may_be_closed_or_full(
    streams: dict[str, Path | None],
    code: int,
    message: str | None,
    run: Path,
    tmp_path: Path,
    run_with_streams: Callable[..., tuple[int, bytes, str]],
) -> None:
    if Path("/dev/full") in streams.values() and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    words = ["compare", f"runs=[{run}]", "split=test", f"out={tmp_path / 'report'}", "device=cpu"]
    ended, _, error = run_with_streams(words, **streams)
    assert ended == code, error
    assert "Traceback" not in error
    assert (tmp_path / "report" / "report.json").is_file()
    if message is not None:
        assert error == f"nmt compare: {message}\n"


@pytest.mark.slow
def test_a_reader_that_reads_nothing_is_no_error(run: Path, tmp_path: Path) -> None:
    """In a new Python process, which must not report its standard output a second time when it exits."""
    command = f"{sys.executable} -m nmt compare runs=[{run}] split=test out={tmp_path / 'report'} device=cpu"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -0; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report" / "report.json").is_file()


@pytest.mark.parametrize(("columns", "lines"), [("40", 3), ("20", 4)])
def test_a_narrow_terminal_breaks_headings_and_cuts_nothing_off(
    columns: str, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(Table(["System", "chrF ↑", "TER ↓"], [[Cell("transformer-seed1"), Cell("98.7"), Cell("1.4")]]))
    printed = capsys.readouterr().out.split("\n")
    assert printed[-3].split() == ["transformer-seed1", "98.7", "1.4"]
    assert len(printed) == lines + 2  # and an empty line, and the end of the output


def test_square_brackets_in_names_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(["", "lstm [big]", "a [/b]"], [[Cell("[i]BLEU"), Cell("98.7"), Cell("1.4")]]))
    printed = capsys.readouterr().out
    assert "lstm [big]" in printed and "a [/b]" in printed and "[i]BLEU" in printed


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("nowhere", "runs=nowhere must be a list of run folders, such as runs=[runs/a,runs/b]"),
        ("[nowhere]", "runs=nowhere is not a folder: name one that nmt train wrote"),
        ("[]", "runs=[] must be a list of run folders"),
        ("3", "runs=3 must be a list of run folders"),
        ("[[a]]", "runs=[a] is not a folder"),
    ],
)
def test_mistakes_end_in_one_line(runs: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", f"runs={runs}", "split=val", f"out={tmp_path / 'report'}"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "words", "message"),
    [
        (1, [], "other.de has 1 lines, but test has {count} sentences: it needs one line for each"),
        (None, ["names=[a]"], "names has 1 entries, but runs has 2: give each of these a name, in this order"),
        (None, ["names=[a,a]"], "names has a twice: give each system a name of its own"),
        (None, ["names=[a,' ']"], "names has ' ': a name needs characters that can be seen"),
    ],
)
def test_mistakes_with_translations_of_another_program_end_in_one_line(
    lines: int | None,
    words: list[str],
    message: str,
    evaluated_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    translations = (evaluated_run / "evaluation" / "test.hyp.txt").read_text(encoding="utf-8").splitlines(True)
    file = tmp_path / "other.de"
    file.write_text("".join(translations[:lines]), encoding="utf-8")
    out = tmp_path / "report"
    assert main(["compare", f"runs=[{evaluated_run},{file}]", "split=test", f"out={out}", "device=cpu", *words]) == 2
    assert message.format(count=len(translations)) in capsys.readouterr().err
    assert not out.exists()


def test_translations_alone_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.de").write_text("Haus\n", encoding="utf-8")
    assert main(["compare", f"runs=[{tmp_path / 'a.de'}]", "split=test", f"out={tmp_path / 'report'}"]) == 2
    assert "runs names files of translations only: add a run, whose sentences they translate" in capsys.readouterr().err
