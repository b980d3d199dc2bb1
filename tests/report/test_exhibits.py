"""How the attention of systems is arranged as a figure, what its titles say, and which cells are outlined."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.data.words import separate_words, spaced_words
from nmt.errors import UserError
from nmt.explore.page import PAGE_FOLDER
from nmt.models.attention import Kind
from nmt.report.alignment_plot import write_figure
from nmt.report.exhibits import Exhibit, build_figure, outline_links
from nmt.report.figure import MAX_PANELS, Figure, Panel, layout_lines
from nmt.report.heat_map import INK_COLOR, OUTLINE_COLOR, PAPER_COLOR, layout_heat_map
from nmt.report.picture import color_map
from nmt.translator import Attention

STYLES = Path(__file__).parents[2] / "nmt" / "report" / "templates"


def attention(*, layers: int = 1, heads: int = 1, kind: Kind = "cross") -> Attention:
    """Every row has 0.5 on the first column, 0.25 on the last one, which is eos."""
    weights = np.full((layers, heads, 2, 3), [0.5, 0.25, 0.25], dtype=np.float32)
    return Attention(kind, weights, ["Katze", "</s>"], ["a", "cat", "</s>"], tuple(range(layers)), tuple(range(heads)))


def titles(figure: Figure) -> list[list[str]]:
    return [[panel.title for panel in line] for line in figure.lines]


def test_systems_with_one_matrix_stand_side_by_side() -> None:
    luong = Exhibit("luong", attention(), is_only=True)
    mean = Exhibit("transformer", attention(layers=2, heads=4).mean())
    figure = build_figure([luong, mean])
    assert figure.title == "cross-attention"
    assert titles(figure) == [["luong", "transformer, mean of all heads"]]
    assert titles(build_figure([mean])) == [[""]]
    assert build_figure([mean]).title == "transformer, cross-attention, mean of all heads"
    assert build_figure([luong]).title == "luong, cross-attention"


def test_heads_stand_side_by_side_and_layers_below_each_other() -> None:
    figure = build_figure([Exhibit("transformer", attention(layers=2, heads=3))])
    assert figure.title == "transformer, cross-attention"
    assert titles(figure) == [[f"layer {layer}, head {head}" for head in range(3)] for layer in range(2)]
    layers = build_figure([Exhibit("", attention(layers=2, heads=3).select([0, 1], None))])
    assert titles(layers) == [["layer 0, mean of its heads", "layer 1, mean of its heads"]]


def test_kinds_stand_below_each_other() -> None:
    kinds: list[Kind] = ["cross", "encoder"]
    figure = build_figure([Exhibit(name, attention(kind=kind), is_only=True) for kind in kinds for name in "ab"])
    assert figure.title == ""
    assert titles(figure) == [
        [f"{name}, {kind}" for name in "ab"] for kind in ("cross-attention", "encoder self-attention")
    ]


def test_a_remark_states_the_weight_on_eos() -> None:
    [[panel]] = build_figure([Exhibit("", attention())]).lines
    assert (panel.remark, list(panel.columns)) == ("0.25 of the weight on </s>", ["a", "cat", "</s>"])
    [[panel]] = build_figure([Exhibit("", attention())], with_eos=False).lines
    assert panel.remark == "0.25 of the weight on </s>, left out"
    assert (list(panel.columns), list(panel.rows)) == (["a", "cat"], ["Katze"])
    np.testing.assert_allclose(np.asarray(panel.matrix), [[2 / 3, 1 / 3]], rtol=1e-6)


def test_word_links_outline_words_or_all_their_pieces() -> None:
    rows, columns = ["▁Das", "▁Kät", "z", "chen", ".", "</s>"], ["▁the", "▁kit", "ty", ".", "</s>"]
    cross = Attention("cross", np.full((1, 1, 6, 5), 0.2, dtype=np.float32), rows, columns, (0,), (0,))
    links = {(0, 0), (1, 1), (2, 2)}
    assert outline_links(cross, links, words=True) == [(0, 0, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1)]
    # Kätzchen has the rows 1 to 3, kitty the columns 1 and 2.
    assert outline_links(cross, links, words=False) == [(0, 0, 1, 1), (1, 1, 3, 2), (4, 3, 1, 1)]
    assert outline_links(cross, {(1, 1)}, split=spaced_words, words=False) == [(1, 1, 4, 3)]  # "Kätzchen." and "kitty."
    assert outline_links(cross, {(3, 0), (0, 3)}, words=True) == []  # words that were cut off; eos is none


def test_outlines_count_symbols_but_no_tag() -> None:
    rows, columns = ["▁vier", "▁", "<br>", "▁zwei", "</s>"], ["<2de>", "▁four", "▁", "<br>", "▁two", "</s>"]
    cross = Attention("cross", np.full((1, 1, 5, 6), 1 / 6, dtype=np.float32), rows, columns, (0,), (0,))
    links = {(0, 0), (1, 1), (2, 2)}
    for split in (spaced_words, separate_words):
        assert cross.words(split).columns == ["<2de>", "four", "<br>", "two", "</s>"]
        assert outline_links(cross, links, split=split, words=True) == [(0, 1, 1, 1), (1, 2, 1, 1), (2, 3, 1, 1)]
        assert outline_links(cross, links, split=split, words=False) == [(0, 1, 1, 1), (1, 2, 2, 2), (3, 4, 1, 1)]


def test_outlines_follow_the_columns_of_a_right_to_left_source() -> None:
    source = ["الكلب", "يركض", "</s>"]
    heat_map = layout_heat_map(source, ["runs"], [[0.0, 1.0, 0.0]], outlines=[(0, 0, 1, 2)])
    assert heat_map.cells == [(0, 1, 1.0)]
    assert heat_map.outlines == [(0, 1, 1, 2)]


def luminance(color: Any) -> float:
    """The lightness of a colour in grey, from 0 to 1 (Rec. 709, linear light)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_colours_survive_greyscale_printing() -> None:
    from matplotlib.colors import to_rgb

    lightness = [luminance(color_map()(weight)) ** (1 / 2.4) for weight in np.linspace(0, 1, 21)]
    assert (np.diff(lightness) < -0.03).all()  # every twentieth is visibly darker than the one before
    outline = luminance(to_rgb(OUTLINE_COLOR)) ** (1 / 2.4)
    assert min(lightness) + 0.25 < outline < max(lightness) - 0.25  # stands out from both ends
    for folder in (STYLES, PAGE_FOLDER):
        style = (folder / "style.css").read_text(encoding="utf-8")
        for name, color in (("paper", PAPER_COLOR), ("ink", INK_COLOR), ("outline", OUTLINE_COLOR)):
            assert f"--{name}: {color};" in style


def test_a_figure_of_many_matrices_stays_small(tmp_path: Path) -> None:
    """Four layers of eight heads with 60 words each, in bounded memory."""
    program = """
import re, sys
from pathlib import Path
import numpy as np
from nmt.report.alignment_plot import write_figure
from nmt.report.figure import Figure, Panel
words = [f"word{i}" for i in range(60)]
draw = np.random.default_rng(0)
lines = [
    [Panel(f"layer {l}, head {h}", words, words, draw.dirichlet(np.full(60, 0.05), 60), "remark") for h in range(8)]
    for l in range(4)
]
write_figure(Path(sys.argv[1]), Figure("t", lines), warn=print)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    out = tmp_path / "a.png"
    result = subprocess.run([sys.executable, "-c", program, str(out)], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 500_000  # kB
    assert out.stat().st_size < 5_000_000
    width, height = struct.unpack(">II", out.read_bytes()[16:24])
    assert max(width, height) < 4500


def test_a_figure_names_what_it_shows(tmp_path: Path) -> None:
    exhibit = Exhibit("a <system>", attention(layers=1, heads=2), outlines=[(0, 1, 1, 1)])
    out = tmp_path / "a.svg"
    write_figure(out, build_figure([exhibit], caption="Outlined: links."), warn=print)
    text = out.read_text(encoding="utf-8")
    for part in ("a &lt;system", "layer 0, head 1", "0.25 of the weight on &lt;/s", "Outlined: links."):
        assert part in text
    assert text.count(f"stroke: {OUTLINE_COLOR}") == 2
    assert text.count(">Katze<") == 1  # the labels of the rows are written once, at the left


def test_too_many_matrices_are_refused() -> None:
    panel = Panel("", ["a"], ["b"], [[1.0]])
    assert Figure("", [[panel] * MAX_PANELS]).panels
    with pytest.raises(UserError, match=r"101 matrices with 101 weights are too many .* choose fewer runs"):
        Figure("", [[panel] * (MAX_PANELS + 1)])


def test_cells_are_small_where_the_systems_would_not_fit_side_by_side() -> None:
    words = [f"word{number:02}" for number in range(14)]  # the labels are 6 · 7 = 42 pixels wide
    panel = Panel("", words, words, np.full((14, 14), 1 / 14))
    assert [each.cell for each in layout_lines([[panel] * 3])[0]] == [18] * 3
    [four] = layout_lines([[panel] * 4])
    assert [each.cell for each in four] == [13] * 4
    # Padding of 16 and gaps of 9.6 pixels, on a page of 1,280 pixels with a margin of 20 and a scroll bar of 15.
    assert sum(each.width + 16 for each in four) + 3 * 9.6 < 1280 - 2 * 20 - 15
    assert [each.cell for line in layout_lines([[panel], [panel] * 4]) for each in line] == [13] * 5
