"""`nmt plot` through the real entry point."""

import io
import json
import sys
from pathlib import Path

import pytest

from nmt.cli import main


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".html", b"<!DOCTYPE html")]
)
def test_the_suffix_selects_the_format(suffix: str, magic: bytes, trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / f"matrix{suffix}"
    assert main(["plot", f"run={trained_run}", "source=one, two (three): it's", f"out={out}", "device=cpu"]) == 0
    assert out.read_bytes()[: len(magic)].lower() == magic.lower()


def test_a_given_target_is_drawn_instead_of_the_system_s_translation(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "matrix.json"
    arguments = [f"run={trained_run}", "source=one two", "target=neun acht sieben", f"out={out}", "device=cpu"]
    assert main(["plot", *arguments]) == 0
    assert capsys.readouterr().out == "neun acht sieben\n"
    written = json.loads(out.read_text(encoding="utf-8"))
    assert "".join(written["target_tokens"]).replace("▁", " ").strip() == "neun acht sieben</s>"


def test_unknown_pieces_are_the_text_that_they_stand_for(trained_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "matrix.json"
    arguments = [f"run={trained_run}", "source=one 狗 two Ω", "target=eins क्षष acht", f"out={out}", "device=cpu"]
    assert main(["plot", *arguments]) == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    assert "".join(written["source_tokens"]).replace("▁", " ").strip() == "one 狗 two Ω</s>"
    assert "".join(written["target_tokens"]).replace("▁", " ").strip() == "eins क्षष acht</s>"
    assert "狗" in written["source_tokens"]


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
        (["source=one", "layer=first"], "layer: must be a whole number or null, not first"),
        (["source=one", "layer=1"], "layer=1 does not exist: choose only 0"),
        (["source=one", "layer=-1"], "layer=-1 does not exist: choose only 0"),
        (["source=\u200b"], "contains no words"),
        (["source=\u3000"], "contains no words"),
        (["source=\u200b", "layer=7"], "contains no words"),
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
def tiny_transformer(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The run of a Transformer with one decoder layer."""
    folder = tmp_path_factory.mktemp("runs") / "transformer"
    data = ["data=files", f"data.path={corpus_folder}"]
    assert main(["train", *data, f"run={folder}", *tiny_models["transformer"], *tiny_training]) == 0
    return folder


def test_a_model_without_attention_cannot_be_drawn(
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "lstm"
    data = ["data=files", f"data.path={corpus_folder}"]
    assert main(["train", *data, f"run={run}", *tiny_models["lstm"], *tiny_training]) == 0
    capsys.readouterr()
    assert main(["plot", f"run={run}", "source=one", f"out={tmp_path / 'x.png'}", "device=cpu"]) == 2
    assert "without attention" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("layer", ["1", "-1", "2147483647"])
def test_a_layer_that_a_transformer_lacks_is_named(
    layer: str,
    tiny_transformer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["plot", f"run={tiny_transformer}", "source=one", f"out={tmp_path / 'x.json'}", "device=cpu"]
    assert main([*words, "layer=0"]) == 0
    capsys.readouterr()
    assert main([*words, f"layer={layer}"]) == 2
    assert capsys.readouterr().err == f"nmt plot: layer={layer} does not exist: choose only 0\n"


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
