"""Pictures from end to end: a tiny model of pictures and words, and every command that reads it."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from nmt.cli import main
from nmt.data.scenes.world import GRID, PICTURE, SYMBOLS
from nmt.run import RunFolder
from nmt.translator import Attention

SIZES = ["data.train_size=60", "data.val_size=4", "data.test_size=6", "tokenizer.vocab_size=150"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, list[str]], tiny_training: list[str]) -> Path:
    """The run folder of a tiny PictureTransformer, trained for one step; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "scenes"
    words = [*tiny_models["transformer"], *tiny_training, *SIZES, "tokenizer.shared=false"]
    assert main(["train", "data=scenes", *words, "model=picture_transformer", f"run={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def source(run: Path) -> str:
    """A picture with words."""
    return str(RunFolder(run).corpus().split("test")["source"][0])


def test_each_patch_is_one_piece_and_the_model_knows_the_first(run: Path, source: str) -> None:
    folder = RunFolder(run)
    tokenizer = folder.tokenizer()
    [ids] = tokenizer.encode_source([source])
    pieces = tokenizer.source_pieces(ids)
    assert pieces[1 : 1 + GRID * GRID] == PICTURE.findall(source)
    assert pieces[0] == "▁" and pieces[1 + GRID * GRID].startswith("▁")
    first = folder.description("model")["arguments"]["first_patch_id"]
    assert tokenizer.source_pieces(range(first, first + len(SYMBOLS))) == list(SYMBOLS)
    assert not set(SYMBOLS) & set(tokenizer.target_pieces(range(tokenizer.target_size)))


def test_evaluation_counts_captions_and_colours(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", f"run={run}", "split=test", "device=cpu"]) == 0
    printed = capsys.readouterr().out.splitlines()
    lines = {line[:31].strip(): line[31:] for line in printed}
    assert lines["exact captions"].split() == ["0.00", "0", "of", "6"]
    examples = RunFolder(run).corpus().caption_examples("test") or []
    num_hidden = sum(len(example.hidden) for example in examples)
    assert f"of {num_hidden} correct, 16.7% by chance" in lines["hidden colours"]
    record = json.loads((run / "evaluation" / "test.json").read_text())["captions"]
    assert record["hidden"]["total"] + record["visible"]["total"] == sum(len(example.colors) for example in examples)


def test_pictures_are_translated_from_standard_input(
    run: Path, source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{source}\n\n".encode())))
    assert main(["translate", f"run={run}", "device=cpu"]) == 0
    output, messages = capsys.readouterr()
    assert output.count("\n") == 2
    assert "lack" not in messages  # the names of patches are no text that a translation should repeat


def plot(run: Path, source: str, out: Path) -> Path:
    words = [f"run={run}", f"source={source}", "target=Das Bild zeigt einen Ring.", f"out={out}", "device=cpu"]
    assert main(["plot", *words]) == 0
    return out


def test_the_attention_of_each_word_is_drawn_on_the_picture(run: Path, source: str, tmp_path: Path) -> None:
    image = imread(plot(run, source, tmp_path / "picture.png"))[:, :, :3]  # (height, width, 3)
    assert image.shape[1] > image.shape[0] / 2
    assert (np.abs(image - 0.22).max(-1) < 0.1).any()  # dark patches, which a matrix does not have
    for suffix in (".svg", ".pdf"):
        assert plot(run, source, tmp_path / f"picture{suffix}").stat().st_size > 1000


def test_a_page_has_the_picture(run: Path, source: str, tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    [analysis] = read_page(plot(run, source, tmp_path / "page.html"))["analyses"]
    assert analysis["picture"]["image"].startswith("data:image/png;base64,")
    assert (analysis["picture"]["rows"], analysis["picture"]["columns"]) == (GRID, GRID)
    assert analysis["source_pieces"][analysis["picture"]["first"]] in SYMBOLS


def test_data_has_a_column_for_each_patch(run: Path, source: str, tmp_path: Path) -> None:
    written: dict[str, Any] = json.loads(plot(run, source, tmp_path / "data.json").read_text(encoding="utf-8"))
    cross = Attention.from_json(written["systems"][0]["attention"]["cross"])
    assert [column for column in cross.columns if column in SYMBOLS] == PICTURE.findall(source)
    assert cross.rows == ["Das", "Bild", "zeigt", "einen", "Ring", ".", "</s>"]
    assert cross.matrix.sum(1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["data=scenes", *SIZES],
            "model: Transformer cannot read the pictures of this corpus: choose model=",
        ),
        (
            ["data=scenes", *SIZES, "data.picture=false", "model=picture_transformer"],
            "model: PictureTransformer needs a corpus with pictures: choose data=scenes with data.picture=true",
        ),
        (
            ["data=scenes", *SIZES, "model=picture_transformer"],
            "model: only the source has pictures, so its",
        ),
        (["data=scenes", "data.words=false", "data.picture=false"], "data.picture and data.words are both false"),
    ],
)
def test_mistakes_end_in_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    tiny_training: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", *tiny_training, *words, "tokenizer.vocab_size=150", f"run={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"nmt train: {message}") and error.count("\n") == 1, error
    assert not (tmp_path / "run").exists()
