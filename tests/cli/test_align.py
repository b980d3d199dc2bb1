"""`nmt align`, the links of `nmt translate`, and alignment quality in `nmt evaluate`, through the real entry point."""

import json
import shutil
from pathlib import Path

import pytest

from nmt.alignment.aligner import Aligner
from nmt.alignment.extraction import Extraction
from nmt.cli import main
from nmt.translator import Translator

SOURCE = ["one two three", "", "  four   five ", "six", "seven eight", "\u200b", "nine\u2028one", "字 two", ""]
TARGET = ["eins zwei drei", "eins", "vier fünf", "", "sieben acht", "x", "neun eins", "字字 zwei", ""]


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained run, in which a choice may be stored."""
    return Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("align") / "run"))


@pytest.fixture(scope="module")
def reverse_run(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model of the other direction, which has not learned anything."""
    folder = tmp_path_factory.mktemp("align") / "reverse"
    data = ["data=files", f"data.path={corpus_folder}", "data.source=de", "data.target=en"]
    assert main(["train", *data, *tiny_models["transformer"], *tiny_training, f"run={folder}"]) == 0
    return folder


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The arguments source= and target= for two files with strange lines."""
    for name, lines in (("source", SOURCE), ("target", TARGET)):
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return [f"source={tmp_path / 'source'}", f"target={tmp_path / 'target'}"]


Printed = pytest.CaptureFixture[str]


def test_every_pair_of_lines_gives_one_line_in_order(run: Path, files: list[str], capsys: Printed) -> None:
    assert main(["align", f"run={run}", *files, "device=cpu", "batch_size=2"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.split("\n")
    assert len(lines) == len(SOURCE) + 1
    assert [bool(line) for line in lines[:-1]] == [True, False, True, False, True, False, True, True, False]
    aligner = Aligner.load(run, device="cpu")
    assert lines[:-1] == [each.pharaoh for each in aligner.align(list(zip(SOURCE, TARGET, strict=True)))]
    # The choice was made without gold links, since the corpus has none, and is stored.
    choice = json.loads((run / "alignment.json").read_text(encoding="utf-8"))
    assert (choice["criterion"], choice["split"], choice["pairs"]) == ("lexical", "val", 16)
    assert "chosen on 16 pairs of val by a lexical alignment" in printed.err
    # The trained run has learned to count: most links are right.
    links = [set(line.split()) for line in lines]
    right = {(0, f"{i}-{i}") for i in range(3)} | {(2, "0-0"), (2, "1-1"), (4, "0-0"), (4, "1-1")}
    assert sum(link in links[number] for number, link in right) >= 5


def test_soft_weights(run: Path, files: list[str], tmp_path: Path, capsys: Printed) -> None:
    output = tmp_path / "out" / "links.jsonl"
    arguments = ["method=threshold", "threshold=0.3", "rows=all", "layer=mean", "format=jsonl", f"output={output}"]
    assert main(["align", f"run={run}", *files, *arguments, "device=cpu"]) == 0
    assert capsys.readouterr().out == ""
    values = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(values) == len(SOURCE)
    assert values[7]["source_words"] == ["字", "two"]
    assert values[7]["target_words"] == ["字", "字", "zwei"]
    for value in values:
        rows = zip(value["weights"], value["eos_weights"], strict=True)
        assert all(sum(row) + eos == pytest.approx(1, abs=1e-3) for row, eos in rows if sum(row) + eos)
        assert value["links"].split() == sorted(
            f"{source}-{target}"
            for target, row in enumerate(value["weights"])
            for source, weight in enumerate(row)
            if weight >= 0.3
        )


def test_translate_links_its_own_output(run: Path, tmp_path: Path, capsys: Printed) -> None:
    """The links are those that `nmt align` prints for the line and its translation."""
    path = tmp_path / "source"
    path.write_text("".join(line + "\n" for line in SOURCE), encoding="utf-8")
    arguments = [f"run={run}", f"input={path}", "format=jsonl", "links=true", "n_best=2", "batch_size=4", "device=cpu"]
    assert main(["translate", *arguments]) == 0
    values = [json.loads(line) for line in capsys.readouterr().out.split("\n")[:-1]]
    assert len(values) == len(SOURCE)
    pairs = [(line, each["text"]) for line, value in zip(SOURCE, values, strict=True) for each in value["n_best"]]
    links = [each["links"] for value in values for each in value["n_best"]]
    assert links == [each.pharaoh for each in Aligner.load(run, device="cpu").align(pairs)]
    assert [value["links"] for value in values] == [value["n_best"][0]["links"] for value in values]
    assert main(["translate", f"run={run}", f"input={path}", "links=true", "device=cpu"]) == 2
    assert "links need format=jsonl" in capsys.readouterr().err


def test_two_runs(run: Path, reverse_run: Path, files: list[str], capsys: Printed) -> None:
    """Intersection, grow-diag-final-and and union of the same directions contain each other, in this order."""
    links = []
    for method in ("intersection", "grow-diag-final-and", "union"):
        assert main(["align", f"run={run}", f"reverse={reverse_run}", f"method={method}", *files, "device=cpu"]) == 0
        links.append([set(line.split()) for line in capsys.readouterr().out.split("\n")])
    assert all(a <= b <= c for a, b, c in zip(*links, strict=True))
    assert links[0] != links[2]


def test_links_of_two_runs_end_where_the_first_one_cuts_the_line_off(run: Path, reverse_run: Path) -> None:
    class ShortTranslator(Translator):
        max_length = 3  # with `eos`

    forward = ShortTranslator.load(run, device="cpu")
    extraction = Extraction(layer=None, head=None, rows="all", method="union")
    backward = Aligner(Translator.load(reverse_run, device="cpu"), extraction)
    warnings: list[tuple[int, str]] = []
    pair = ("one two three four", "eins zwei drei vier")
    [alignment] = Aligner(forward, extraction, reverse=backward).align([pair], warn=lambda *each: warnings.append(each))
    num_source, num_target = len(alignment.source_words), len(alignment.target_words)
    assert 0 < num_source < 4
    assert {source < num_source and target < num_target for source, target in alignment.links} == {True}
    assert [message[: message.index(" has")] for _, message in warnings] == ["its source", "its target"]

    # If the other model cuts the line off, the warning says that its sides are swapped.
    warnings.clear()
    Aligner(backward.translator, extraction, reverse=Aligner(forward, extraction)).align(
        [pair], warn=lambda *each: warnings.append(each)
    )
    assert [message[: message.index(" has")] for _, message in warnings] == [
        f"in the reverse direction, its {side}" for side in ("source", "target")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["method=best"], "method=best is unknown: use one of argmax, threshold, intersection, union, grow-diag-"),
        (["rows=last"], "rows=last is unknown: use one of all, first, shifted"),
        (["format=text"], "format=text is unknown: use one of pharaoh, jsonl"),
        (["layer=3"], "layer=3 does not exist: the last layer is 0"),
        (["method=threshold", "threshold=7"], "threshold=7 must be a weight from 0 to 1"),
        (["layer=0", "head=2"], "head=2 does not exist: the last head is 0"),
        (["layer=first"], "layer=first must be a whole number from 0, or mean"),
        (["layer=0", "head=-1"], "head=-1 must be a whole number from 0, or mean"),
        (["head=0"], "head=0 needs a layer: add layer="),
        (["method=threshold"], "method=threshold and threshold= belong together: give both or neither"),
        (["threshold=0.5"], "threshold=0.5 needs method=threshold"),
        (["batch_size=0"], "batch_size=0 must be a whole number of at least 1"),
        (["reverse=RUN"], "name a run from de to en"),
        (["reverse=nowhere"], "reverse=nowhere is not a folder: name one that nmt train wrote"),
        (["source=missing.en"], "source=missing.en cannot be read: no such file or directory"),
        (["methd=argmax"], "methd"),
    ],
)
def test_a_mistake_gives_one_line(
    run: Path, files: list[str], arguments: list[str], message: str, capsys: Printed
) -> None:
    arguments = [argument.replace("RUN", str(run)) for argument in arguments]
    assert main(["align", f"run={run}", *files, *arguments, "device=cpu"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err


def test_files_of_different_lengths_are_refused(run: Path, tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "a").write_text("one\ntwo\nthree\n")
    (tmp_path / "b").write_text("eins\n")
    arguments = [f"source={tmp_path / 'b'}", f"target={tmp_path / 'a'}", f"output={tmp_path / 'out'}"]
    assert main(["align", f"run={run}", *arguments, "device=cpu"]) == 2
    assert capsys.readouterr().err.endswith(
        f"{tmp_path / 'a'} has 3 lines, but {tmp_path / 'b'} has 1: line i of one must belong to line i of the other\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.fixture
def own_run(trained_run: Path, own_corpus: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the trained run, and one of its corpus, whose test split has gold links: word i belongs to word i."""
    run = Path(shutil.copytree(trained_run, tmp_path / "run"))
    lines = (own_corpus / "test.en").read_text().splitlines()
    gold = [" ".join(f"{i}-{i}" for i in range(len(line.split()))) for line in lines]
    (own_corpus / "test.en-de.align").write_text("".join(line + "\n" for line in gold))
    return run, own_corpus


def test_evaluate_reports_alignment_quality(own_run: tuple[Path, Path], capsys: Printed) -> None:
    run, corpus = own_run
    evaluate = ["evaluate", f"run={run}", "split=test", f"data.path={corpus}", "device=cpu"]
    assert main(evaluate) == 0
    printed = capsys.readouterr()
    quality = json.loads((run / "evaluation" / "test.json").read_text(encoding="utf-8"))["alignment"]
    assert f"alignment error rate           {100 * quality['error_rate']:6.2f}  %, layer 0, head 0" in printed.out
    # The same from the links that `nmt align` prints.
    arguments = [f"source={corpus / 'test.en'}", f"target={corpus / 'test.de'}", f"data.path={corpus}"]
    assert main(["align", f"run={run}", *arguments, "device=cpu"]) == 0
    links = [line.split() for line in capsys.readouterr().out.splitlines()]
    gold = [line.split() for line in (corpus / "test.en-de.align").read_text().splitlines()]
    right = sum(len(set(a) & set(b)) for a, b in zip(links, gold, strict=True))
    assert quality["precision"] == pytest.approx(right / sum(map(len, links)))
    assert quality["recall"] == pytest.approx(right / sum(map(len, gold)))
    assert quality["error_rate"] == pytest.approx(1 - 2 * right / (sum(map(len, links)) + sum(map(len, gold))))
    assert 0 <= quality["eos_weight"] <= 1
    assert 0 < quality["entropy"] < 3
    # Nothing has changed: the stored record is used. Then the gold links change.
    assert main(evaluate) == 0
    again = capsys.readouterr()
    assert again.out == printed.out
    assert "nothing has changed" in again.err
    gold[0] = ["0p0"]
    (corpus / "test.en-de.align").write_text("".join(" ".join(line) + "\n" for line in gold))
    assert main(evaluate) == 0
    assert "again: other gold links" in capsys.readouterr().err


def test_gold_links_of_a_test_split_choose_nothing(own_run: tuple[Path, Path], tmp_path: Path) -> None:
    """Other text has a test split alone: the choice is made on the run's own corpus, or without gold links."""
    run, corpus = own_run
    other = tmp_path / "other"
    other.mkdir()
    for name in ("test.en", "test.de", "test.en-de.align"):
        shutil.copy(corpus / name, other / name)
    evaluate = ["evaluate", f"run={run}", "split=test", "data=files", f"data.path={other}", "device=cpu"]
    assert main(evaluate) == 0
    choice = json.loads((run / "alignment.json").read_text(encoding="utf-8"))
    assert (choice["criterion"], choice["split"]) == ("lexical", "val")
    # Now the run's own corpus is gone.
    (run / "alignment.json").unlink()
    (run / "evaluation" / "test.json").unlink()
    description = json.loads((run / "corpus.json").read_text(encoding="utf-8"))
    description["arguments"]["path"] = str(tmp_path / "moved")
    (run / "corpus.json").write_text(json.dumps(description))
    assert main(evaluate) == 0
    choice = json.loads((run / "alignment.json").read_text(encoding="utf-8"))
    assert (choice["criterion"], choice["split"]) == ("lexical", "test")


def test_a_choice_for_another_model_is_made_again(own_run: tuple[Path, Path], capsys: Printed) -> None:
    run, _ = own_run
    aligner = Aligner.load(run, device="cpu")
    path = run / "alignment.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["extraction"]["method"] = "union" if aligner.extraction.method != "union" else "argmax"
    path.write_text(json.dumps(stored))
    assert Aligner.load(run, device="cpu").extraction.method == stored["extraction"]["method"]
    path.write_text(json.dumps(stored | {"model_hash": "of another model"}))
    assert Aligner.load(run, device="cpu").extraction == aligner.extraction
    path.write_text("{}")
    remarks: list[str] = []
    assert Aligner.load(run, device="cpu", remark=remarks.append).extraction == aligner.extraction
    assert "alignment.json is damaged" in remarks[0]
