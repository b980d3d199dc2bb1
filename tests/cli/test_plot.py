"""`nmt plot` through the real entry point."""

import io
import json
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.cli import main
from nmt.data.grammar import GrammarCorpus, split_words
from nmt.data.pharaoh import format_links
from nmt.report.heat_map import OUTLINE_COLOR
from nmt.translator import Attention


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".html", b"<!DOCTYPE html")]
)
def test_the_suffix_selects_the_format(suffix: str, magic: bytes, trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / f"matrix{suffix}"
    assert main(["plot", f"run={trained_run}", "source=one, two (three): it's", f"out={out}", "device=cpu"]) == 0
    assert out.read_bytes()[: len(magic)].lower() == magic.lower()


def plot(*words: str, out: Path) -> Any:
    """What `nmt plot` writes as data."""
    assert main(["plot", *words, f"out={out}", "device=cpu"]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def test_a_given_target_is_drawn_instead_of_the_system_s_translation(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = plot(f"run={trained_run}", "source=one two", "target=neun acht sieben", out=tmp_path / "matrix.json")
    assert capsys.readouterr().out == "neun acht sieben\n"
    assert written["source"] == "one two"
    [system] = written["systems"]
    assert (system["run"], system["text"], system["gold"]) == ("luong", "neun acht sieben", None)
    assert "".join(system["target_tokens"]).replace("▁", " ").strip() == "neun acht sieben</s>"
    cross = Attention.from_json(system["attention"]["cross"])
    assert (cross.rows, cross.columns) == (["neun", "acht", "sieben", "</s>"], ["one", "two", "</s>"])
    assert cross.matrix.sum(1) == pytest.approx(1, abs=1e-4)


def test_unknown_pieces_are_the_text_that_they_stand_for(trained_run: Path, tmp_path: Path) -> None:
    words = [f"run={trained_run}", "source=one 狗 two Ω", "target=eins क्षष acht", "words=false"]
    [system] = plot(*words, out=tmp_path / "matrix.json")["systems"]
    cross = system["attention"]["cross"]
    assert (cross["rows"], cross["columns"]) == (system["target_tokens"], system["source_tokens"])
    assert "".join(cross["columns"]).replace("▁", " ").strip() == "one 狗 two Ω</s>"
    assert "".join(cross["rows"]).replace("▁", " ").strip() == "eins क्षष acht</s>"
    assert "狗" in cross["columns"]


def test_kinds_layers_and_heads_are_chosen(transformer_run: Path, tmp_path: Path) -> None:
    run, out = f"run={transformer_run}", tmp_path / "matrix.json"
    [system] = plot(run, "source=one two", "target=eins zwei", "kinds=all", "heads=all", "eos=false", out=out)[
        "systems"
    ]
    shown = {kind: Attention.from_json(value) for kind, value in system["attention"].items()}
    assert [(kind, each.weights.shape) for kind, each in shown.items()] == [
        ("cross", (1, 2, 2, 2)), ("encoder", (1, 2, 2, 2)), ("decoder", (1, 2, 2, 3)),
    ]  # fmt: skip
    assert (shown["decoder"].rows, shown["decoder"].columns) == (["eins", "zwei"], ["<s>", "eins", "zwei"])
    assert all(each.weights.sum(-1) == pytest.approx(1, abs=1e-4) for each in shown.values())
    assert shown["decoder"].weights[:, :, 0, 1:] == pytest.approx(0)  # no word attends to later ones
    [system] = plot(run, "source=one two", "kinds=[decoder,encoder]", "layers=[0,0]", out=out)["systems"]
    assert [(value["layers"], value["heads"]) for value in system["attention"].values()] == [([0], None)] * 2
    [system] = plot(run, "source=one two", "heads=[1,0]", out=out)["systems"]
    assert system["attention"]["cross"]["heads"] == [1, 0]
    [system] = plot(run, "source=one two", "heads=1", out=out)["systems"]
    np.testing.assert_allclose(Attention.from_json(system["attention"]["cross"]).matrix.sum(1), 1, atol=1e-4)


def test_systems_are_drawn_side_by_side(
    trained_run: Path, transformer_run: Path, lstm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "systems.svg"
    runs = f"runs=[{lstm_run},{trained_run},{transformer_run}]"
    words = ["source=one two", "target=eins zwei", "gold=0-0 1p1", f"out={out}", "device=cpu"]
    assert main(["plot", runs, *words]) == 0
    captured = capsys.readouterr()
    assert captured.out == "lstm\teins zwei\nluong\teins zwei\ntransformer\teins zwei\n"
    assert captured.err == f"nmt plot: lstm has no cross-attention\nnmt plot: wrote {out}\n"
    texts = list(ElementTree.parse(out).getroot().itertext())
    for title in ("cross-attention", "luong", "transformer, layer 0, mean of its heads"):
        assert title in texts
    assert texts.count("eins") == 1  # the labels of equal rows are written once
    caption = "Outlined: word links that are known to be right. lstm has no cross-attention."
    assert caption in " ".join(" ".join(texts).split())  # in several lines
    assert out.read_text(encoding="utf-8").count(f"stroke: {OUTLINE_COLOR}") == 2 * 2


def test_the_caption_explains_outlines_only_where_there_are_some(trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "links.svg"
    for gold, is_outlined in (("0-0", True), ("", False)):
        words = ["source=one two", "target=eins zwei", f"gold={gold}", f"out={out}", "device=cpu"]
        assert main(["plot", f"run={trained_run}", *words]) == 0
        assert ("Outlined" in out.read_text(encoding="utf-8")) == is_outlined


def test_a_page_holds_everything_and_first_shows_what_the_settings_choose(
    trained_run: Path, transformer_run: Path, lstm_run: Path, tmp_path: Path, read_page: Callable[[Path], Any]
) -> None:
    out, runs = tmp_path / "page.html", f"runs=[{lstm_run},{trained_run},{transformer_run}]"
    words = ["source=one </script><b>two", "target=eins zwei", "gold=0-0 1p1"]
    assert main(["plot", runs, *words, "heads=1", "layers=0", "kinds=[decoder]", f"out={out}", "device=cpu"]) == 0
    page = read_page(out)
    first = {"system": "transformer", "kind": "decoder", "layer": 0, "head": 1, "words": True, "eos": True}
    assert page["state"] == first
    assert [list(each["attention"]) for each in page["analyses"]] == [[], [], ["decoder"]]
    assert main(["plot", runs, *words, "eos=false", "words=false", f"out={out}", "device=cpu"]) == 0
    page, text = read_page(out), out.read_text(encoding="utf-8")
    first = {"system": "luong", "kind": "cross", "layer": None, "head": None, "words": False, "eos": False}
    assert page["state"] == first
    assert [list(each["attention"]) for each in page["analyses"]] == [[], ["cross"], ["cross", "encoder", "decoder"]]
    for each in page["analyses"]:
        assert (each["source"], each["text"]) == ("one </script><b>two", "eins zwei")
        assert each["gold"] == [[0, 0], [1, 1]]
        assert sum(each["log_probabilities"]) == pytest.approx(each["log_probability"], rel=1e-4)
    assert text.count("</script>") == 3  # the data, the import map, and the start of the program
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import|https?://(?!www\.w3\.org)", text)


def test_a_page_scores_the_system_s_own_translation(
    trained_run: Path, tmp_path: Path, read_page: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["plot", f"run={trained_run}", "source=one two", f"out={tmp_path / 'page.html'}", "device=cpu"]
    assert main(words) == 0
    [analysis] = read_page(tmp_path / "page.html")["analyses"]
    assert len(analysis["log_probabilities"]) == len(analysis["target_pieces"])
    assert sum(analysis["log_probabilities"]) == pytest.approx(analysis["log_probability"], rel=1e-4)
    monkeypatch.setattr("nmt.cli.plot.MAX_PAGE_WEIGHTS", 3)
    assert main(words) == 2


def test_the_links_of_a_grammar_sentence_are_known(grammar_run: Path, tmp_path: Path) -> None:
    pair = GrammarCorpus(
        source="en", target="de", seed=1, train_size=200, val_size=8, test_size=8, test_long_size=8
    ).pairs("test")[3]
    run, out = f"run={grammar_run}", tmp_path / "matrix.json"
    [system] = plot(run, f"source={pair.source}", f"target={pair.target}", out=out)["systems"]
    assert system["gold"] == format_links(pair.alignment)
    cross = system["attention"]["cross"]
    assert cross["columns"] == [*split_words(pair.source), "</s>"]
    assert cross["rows"] == [*split_words(pair.target), "</s>"]
    [system] = plot(run, f"source={pair.source}", f"target={pair.target} Ja.", out=out)["systems"]
    assert system["gold"] is None  # another translation


def test_a_missing_glyph_is_reported_with_its_package(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    for suffix, remarks in ((".png", 1), (".pdf", 1), (".svg", 0), (".html", 0)):  # a browser has fonts of its own
        out = tmp_path / f"matrix{suffix}"
        assert main(["plot", f"run={trained_run}", "source=one 狗 two", f"out={out}", "device=cpu"]) == 0
        error = capsys.readouterr().err
        assert error.count("\n") == remarks + 1
        assert error.count("no font on this machine can draw 狗 (U+72D7); ") == remarks
        assert error.count("apt install fonts-noto-cjk") == remarks


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["out=matrix.gif", "source=one"], ".png"),
        (["source="], "source="),
        (["source=one", "target= "], "target"),
        ([], "source=… is required: sentence to translate"),
        (["source=one", "layers=first"], "layers=first must be a number from 0, a list such as [0,1], or all"),
        (["source=one", "layers=1"], "luong: there is no layer 1: the only one is 0"),
        (["source=one", "heads=[0,7]"], "luong: there is no head 7: the only one is 0"),
        (["source=one", "layers=-1"], "luong: there is no layer -1: the only one is 0"),
        (["source=one", "layers=[]"], "layers=[] must be a number from 0"),
        (["source=one", "layers=[a]"], "layers"),
        (
            ["source=one", "kinds=self"],
            "kinds=self is unknown: it can be cross, encoder, decoder, a list of them, or all",
        ),
        (["source=one", "kinds=[]"], "kinds=[] names no kind of attention: choose cross, encoder, decoder or all"),
        (["source=one", "kinds=encoder"], "luong has no encoder self-attention, so there is nothing to draw: choose"),
        (["source=one", "gold=0-0"], "gold= needs target="),
        (["source=one", "target=eins", "gold=0-1"], "gold=: the link 0-1 needs word 1 on the right, but the line"),
        (["source=one", "target=eins", "gold=a"], "gold=: a is not a link"),
        (["source=one", "runs=[a,b]"], "name either a run folder, as in run=runs/a, or several"),
        (["source=\u200b"], "contains no words"),
        (["source=\u3000"], "contains no words"),
        (["source=one", "target=\u200b"], "the target has no words"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str],
    expected: str,
    trained_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plot", f"run={trained_run}", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def grammar_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that says that it was trained on the built-in corpus."""
    folder = tmp_path_factory.mktemp("runs") / "grammar"
    shutil.copytree(trained_run, folder)
    sizes = {"train_size": 200, "val_size": 8, "test_size": 8, "test_long_size": 8}
    corpus = {"class": "GrammarCorpus", "arguments": {"source": "en", "target": "de", "seed": 1, **sizes}}
    stored = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    (folder / "corpus.json").write_text(json.dumps(stored | corpus), encoding="utf-8")
    return folder


def test_a_model_without_attention_cannot_be_drawn(
    lstm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", f"run={lstm_run}", "source=one", f"out={tmp_path / 'x.png'}", "device=cpu"]) == 2
    message = "lstm has no cross-attention, so there is nothing to draw: choose another run or other kinds"
    assert capsys.readouterr().err == f"nmt plot: {message}\n"
    assert not (tmp_path / "x.png").exists()


def test_a_source_that_is_cut_off_is_named(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={trained_run}", "source=" + "one " * 1030, f"out={tmp_path / 'x.json'}", "device=cpu"]
    assert main(["plot", *words, "search=greedy", "search.max_length_factor=0.0"]) == 0
    expected = "nmt plot: source: 1030 pieces, but the model takes at most 1023: the rest is cut off\n"
    assert capsys.readouterr().err.startswith(expected)


@pytest.mark.parametrize(("encoding", "expected"), [("ascii", b"f?nf\n"), ("utf-8", "fünf\n".encode())])
def test_a_translation_that_the_output_cannot_represent_is_printed_as_far_as_possible(
    encoding: str, expected: bytes, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding))
    words = ["source=five", "target=fünf", f"out={tmp_path / 'x.json'}", "device=cpu"]
    assert main(["plot", f"run={trained_run}", *words]) == 0
    assert printed.getvalue() == expected


def test_an_output_that_is_a_folder_is_refused(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.png").mkdir()
    assert main(["plot", f"run={trained_run}", "source=one", f"out={tmp_path / 'x.png'}", "device=cpu"]) == 2
    assert capsys.readouterr().err.endswith("x.png is a folder: add the name of a file\n")
