"""Attention matrices as pictures and pages."""

import base64
import io
import struct
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
from nmt.report.alignment_plot import PICTURE_SUFFIXES, write_figure
from nmt.report.figure import Figure, Panel
from nmt.report.heat_map import layout_heat_map
from nmt.report.labels import piece_labels, shorten

Matrix = npt.NDArray[np.float64]

SOURCE = ["▁Ein", "▁Straßen", "bahn", "fahrer", "▁zahlt", "▁$5", "▁🚀🙂", "▁<b>", "\x07", ".", "</s>"]
TARGET = ["▁A", "▁tram", "▁dri", "ver", "▁pays", "▁" + "x" * 60, "▁", ".", "</s>"]


def weights() -> Matrix:
    """Random weights (T, S); each row sums to 1."""
    rows: Matrix = np.random.default_rng(0).random((len(TARGET), len(SOURCE)))
    return rows / rows.sum(axis=1, keepdims=True)


def write(out: Path, *, title: str = "T", **changes: Any) -> None:
    panel = Panel(**{"title": "", "columns": SOURCE, "rows": TARGET, "matrix": weights(), **changes})
    write_figure(out, Figure(title, [[panel]]), warn=print)


def test_labels_show_where_words_start() -> None:
    assert piece_labels(["▁Ein", "▁Straßen", "bahn", "▁", ".", "▁(", "a", "</s>", "<unk>"]) == [
        "Ein", "Straßen", "·bahn", "␣", ".", "(", "·a", "</s>", "<unk>",
    ]  # fmt: skip
    assert piece_labels(["<2de>", "▁a", "<br>", "b"]) == ["<2de>", "a", "<br>", "·b"]
    assert piece_labels(["A", "dog", "</s>"]) == ["A", "dog", "</s>"]
    assert piece_labels(["▁a\tb", "\x07", "\x7f", "<\x07>"]) == ["a␉b", "␇", "�", "<␇>"]
    assert piece_labels(["▁A", "\u2028", "\uffff", "\ud800"]) == ["A", "␤", "�", "�"]


@pytest.mark.parametrize(
    ("pieces", "labels"),
    [
        (["▁الكل", "ب", "،"], ["الكل", "·ب", "،"]),
        (["▁הכל", "ב", "?"], ["הכל", "·ב", "?"]),
        (["▁कुत्", "ता", "ि", "।"], ["कुत्", "·ता", "·◌ि", "।"]),  # a vowel sign is a letter, and needs a base
        (["▁e", "\u0301"], ["e", "·◌\u0301"]),
        (["▁一", "只狗", "。"], ["一", "只狗", "。"]),  # no spaces between words: no piece continues a word
        (["▁犬が", "コン"], ["犬が", "コン"]),
        (["▁สุนัข", "วิ่ง"], ["สุนัข", "วิ่ง"]),
        (["▁개가", "눈"], ["개가", "·눈"]),
        (["▁می\u200cخواهم", "\u200c", "\ufeff\u200b"], ["می\u200cخواهم", "U+200C", "U+FEFF U+200B"]),
        (["▁", "▁▁", "", "\u00a0", "▁a\u3000b▁c"], ["␣", "␣␣", "␣", "␣", "a␣b␣c"]),
    ],
)
def test_labels_in_other_scripts(pieces: list[str], labels: list[str]) -> None:
    assert piece_labels(pieces) == labels


def test_long_labels_are_cut() -> None:
    assert shorten("x" * 24) == "x" * 24
    assert shorten("x" * 25) == "x" * 23 + "…"
    assert shorten("x" * 22 + "e\u0301" + "x" * 9) == "x" * 22 + "…"  # not between a letter and its accent
    assert shorten("x" * 21 + "👩\u200d👧" + "x" * 9) == "x" * 21 + "…"


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
    write(out, columns=tokens, rows=tokens, matrix=identity, title="")
    picture = imread(out)[..., :3]
    dark_blue = (picture[..., 2] - picture[..., 0] > 0.25) & (picture[..., 0] < 0.1)
    rows, columns = np.nonzero(dark_blue[:, : int(picture.shape[1] * 0.9)])  # without the colour bar
    assert np.corrcoef(rows, columns)[0, 1] > 0.99  # down and to the right, not up
    assert picture.shape[0] > 40 * 35  # a cell is large enough for its label


def test_a_heat_map_has_a_cell_for_each_weight() -> None:
    heat_map = layout_heat_map(SOURCE, TARGET, weights())
    matrix = np.zeros((len(TARGET), len(SOURCE)))
    for row, column, weight in heat_map.cells:
        matrix[row, column] = weight
    np.testing.assert_allclose(matrix, weights(), atol=5e-4)  # cells too light to be seen are left out
    assert heat_map.width > heat_map.left + heat_map.cell * len(SOURCE)


def test_the_columns_of_a_right_to_left_source_run_from_right_to_left(tmp_path: Path) -> None:
    source, target = ["▁الكلب", "▁USB", "▁يركض", "</s>"], ["▁the", "▁dog", "</s>"]
    matrix = [[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0.25, 0.75]]
    heat_map = layout_heat_map(source, target, matrix)
    assert heat_map.right_to_left
    assert [full for _, full in heat_map.columns] == ["</s>", "\u2068يركض\u2069", "USB", "\u2068الكلب\u2069"]
    assert heat_map.cells == [(0, 3, 1.0), (1, 2, 1.0), (2, 0, 0.75), (2, 1, 0.25)]
    assert not layout_heat_map(target, source, np.transpose(matrix)).right_to_left  # the rows run downwards anyway
    write(tmp_path / "a.svg", columns=source, rows=target, matrix=matrix)
    assert "from right to left" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_right_to_left_labels_are_isolated_from_what_stands_beside_them() -> None:
    pieces = ["▁הכל", "ב", ".", "</s>"]
    heat_map = layout_heat_map(pieces, pieces, np.eye(4))
    assert heat_map.rows[1] == ("\u2068·ב\u2069", "\u2068·ב\u2069")


WRITE_LARGE_MATRIX = """
import re, sys
from pathlib import Path
import numpy as np
from nmt.report.alignment_plot import write_figure
from nmt.report.figure import Figure, Panel
weights = np.random.default_rng(0).dirichlet(np.full(400, 0.05), 400)
tokens = [f"▁w{i}" for i in range(400)]
for out in sys.argv[1:]:
    write_figure(Path(out), Figure("t", [[Panel("", tokens, tokens, weights)]]), warn=print)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""
"""Writes a matrix of 400 × 400 pieces to files, and prints the peak of the memory in kB."""


@pytest.fixture(scope="module")
def large_matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a large matrix; their process, which needs its own count, took less than 500 MB."""
    folder = tmp_path_factory.mktemp("large")
    files = [str(folder / f"a{suffix}") for suffix in PICTURE_SUFFIXES]
    result = subprocess.run(
        [sys.executable, "-c", WRITE_LARGE_MATRIX, *files], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 500_000  # kB
    return folder


@pytest.mark.parametrize("suffix", PICTURE_SUFFIXES)
def test_a_large_matrix_stays_small(large_matrix: Path, suffix: str) -> None:
    """A picture of 400 × 400 pieces once took 2.2 GB."""
    out = large_matrix / f"a{suffix}"
    assert out.stat().st_size < 5_000_000
    if suffix == ".svg":
        text = out.read_text(encoding="utf-8")
        assert text.count("<image") <= 2  # of the matrix, and of the colour bar
        assert "w398" in text
    if suffix == ".png":
        width, height = struct.unpack(">II", out.read_bytes()[16:24])
        assert 3600 <= min(width, height) <= max(width, height) < 4500


def test_the_image_of_a_large_page_holds_the_weights(tmp_path: Path) -> None:
    from matplotlib.image import imread

    matrix = np.random.default_rng(0).dirichlet(np.full(90, 5.0), 70)  # 70 × 90, all of them visible
    heat_map = layout_heat_map([f"▁a{i}" for i in range(90)], [f"▁b{i}" for i in range(70)], matrix)
    assert heat_map.image is not None
    image = imread(io.BytesIO(base64.b64decode(heat_map.image)))  # (70, 90, 4), from 0 to 1
    np.testing.assert_allclose(image[..., 0], matrix, atol=1 / 255)
    assert heat_map.cells == [(row, int(matrix[row].argmax()), matrix[row].max()) for row in range(70)]


def test_weights_may_be_an_array_or_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.svg", matrix=weights())
    for kind in (weights().tolist(), [tuple(row) for row in weights()]):
        write(tmp_path / "b.svg", matrix=kind)
        assert (tmp_path / "b.svg").read_bytes() == (tmp_path / "a.svg").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matrix": weights().T}, "11 × 9, but there are labels for 9 rows × 11 columns"),
        ({"matrix": weights()[0]}, "attention weights are 11, but"),
        ({"matrix": [[0.5], [0.5, 0.5]]}, "rows of equally many numbers"),
        ({"matrix": weights() - 1}, "between 0 and 1"),
        ({"matrix": weights() * np.nan}, "between 0 and 1"),
        ({"rows": [], "matrix": []}, "no pieces"),
    ],
)
def test_wrong_weights_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(tmp_path / "a.png", **changes)


def test_an_unknown_suffix_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.gif: .* \.png \.svg \.pdf"):
        write(tmp_path / "a.gif")


def test_matplotlib_is_imported_only_for_pictures() -> None:
    code = "import sys, nmt.report.alignment_plot, nmt.report.comparison; print('matplotlib' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
