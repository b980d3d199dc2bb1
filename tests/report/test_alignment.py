"""Alignment matrices as pictures, pages and data."""

import json
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nmt.errors import UserError
from nmt.report.alignment_plot import SUFFIXES, write_alignment
from nmt.report.heat_map import layout_heat_map, piece_labels, shorten

Matrix = npt.NDArray[np.float64]

SOURCE = ["▁Ein", "▁Straßen", "bahn", "fahrer", "▁zahlt", "▁$5", "▁🚀🙂", "▁<b>", "\x07", ".", "</s>"]
TARGET = ["▁A", "▁tram", "▁dri", "ver", "▁pays", "▁" + "x" * 60, "▁", ".", "</s>"]


def weights() -> Matrix:
    """Random weights (T, S); each row sums to 1."""
    rows: Matrix = np.random.default_rng(0).random((len(TARGET), len(SOURCE)))
    return rows / rows.sum(axis=1, keepdims=True)


def write(out: Path, **changes: Any) -> None:
    arguments: dict[str, Any] = {"source_tokens": SOURCE, "target_tokens": TARGET, "weights": weights(), "title": "T"}
    write_alignment(out, **arguments | changes)


def test_labels_show_where_words_start() -> None:
    assert piece_labels(["▁Ein", "▁Straßen", "bahn", "▁", ".", "▁(", "a", "</s>", "<unk>"]) == [
        "Ein", "Straßen", "·bahn", "␣", ".", "(", "·a", "</s>", "<unk>",
    ]  # fmt: skip
    assert piece_labels(["A", "dog", "</s>"]) == ["A", "dog", "</s>"]
    assert piece_labels(["▁a\tb", "\x07", "\x7f"]) == ["a␉b", "␇", "�"]


def test_long_labels_are_cut() -> None:
    assert shorten("x" * 24) == "x" * 24
    assert shorten("x" * 25) == "x" * 23 + "…"


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_each_suffix_gives_its_file_format(tmp_path: Path, suffix: str, magic: bytes) -> None:
    out = tmp_path / "new" / f"a{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph must not reach the user's terminal
        write(out)
    assert out.read_bytes().startswith(magic)
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_an_svg_is_valid_repeatable_and_keeps_its_text(tmp_path: Path) -> None:
    out = tmp_path / "a.svg"
    write(out, title="a <title> & $x$")
    text = " ".join(ElementTree.parse(out).getroot().itertext())
    for label in ("Straßen", "·bahn", "$5", "🚀🙂", "<b>", "␇", "x" * 23 + "…", "a <title> & $x$", "attention weight"):
        assert label in text
    before = out.read_bytes()
    write(out, title="a <title> & $x$")
    assert out.read_bytes() == before


def test_a_png_is_dark_where_the_weight_is_large(tmp_path: Path) -> None:
    from matplotlib.image import imread

    out = tmp_path / "a.png"
    identity = np.eye(40)
    tokens = [f"▁w{i}" for i in range(40)]
    write(out, source_tokens=tokens, target_tokens=tokens, weights=identity, title="")
    picture = imread(out)[..., :3]
    dark_blue = (picture[..., 2] - picture[..., 0] > 0.25) & (picture[..., 0] < 0.1)
    rows, columns = np.nonzero(dark_blue[:, : int(picture.shape[1] * 0.9)])  # without the colour bar
    assert np.corrcoef(rows, columns)[0, 1] > 0.99  # down and to the right, not up
    assert picture.shape[0] > 40 * 35  # a cell is large enough for its label


def test_the_json_equals_the_input(tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    write(out)
    value = json.loads(out.read_text(encoding="utf-8"))
    assert value == {"source_tokens": SOURCE, "target_tokens": TARGET, "attention": weights().tolist()}


def test_a_page_is_self_contained_and_escaped(tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    write(out, title="<script>alert(1)</script>")
    page = out.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert "<title>·bahn" not in page  # the cell's title names the target piece first
    assert re.search(r"<title>pays ← ·bahn: 0\.\d\d</title>", page)
    assert f"<title>{'x' * 60}</title>" in page  # in full where the label is cut


def test_a_heat_map_has_a_cell_for_each_weight() -> None:
    heat_map = layout_heat_map(SOURCE, TARGET, weights())
    matrix = np.zeros((len(TARGET), len(SOURCE)))
    for row, column, weight in heat_map.cells:
        matrix[row, column] = weight
    np.testing.assert_allclose(matrix, weights(), atol=5e-4)  # cells too light to be seen are left out
    assert heat_map.width > heat_map.left + heat_map.cell * len(SOURCE)


def test_weights_may_be_an_array_or_rows(tmp_path: Path) -> None:
    for kind in (weights(), weights().tolist(), [tuple(row) for row in weights()]):
        write(tmp_path / "a.json", weights=kind)
        assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["attention"] == weights().tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": weights().T}, "11 × 9, but there are 9 target pieces × 11 source pieces"),
        ({"weights": weights()[0]}, "attention weights are 11, but"),
        ({"weights": [[0.5], [0.5, 0.5]]}, "rows of equally many numbers"),
        ({"weights": weights() - 1}, "between 0 and 1"),
        ({"weights": weights() * np.nan}, "between 0 and 1"),
        ({"target_tokens": [], "weights": []}, "no pieces"),
    ],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_wrong_weights_are_named_and_nothing_is_written(
    tmp_path: Path, suffix: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        write(tmp_path / f"a{suffix}", **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.gif: .* \.png \.svg \.pdf \.html \.json"):
        write(tmp_path / "a.gif")


def test_matplotlib_is_imported_only_for_pictures() -> None:
    code = "import sys, nmt.report.alignment_plot, nmt.report.comparison; print('matplotlib' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
