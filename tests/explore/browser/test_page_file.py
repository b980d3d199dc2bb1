"""What the page lets its reader download, and the page as one file, which opens without a network."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from nmt.cli import main
from nmt.data.words import join_pieces
from nmt.explore.analysis import Analysis, AttentionView, Word, analyse
from nmt.explore.page import render_page
from nmt.explore.pictures import Picture
from nmt.explore.systems import System
from nmt.translator import Attention

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

OpenPage = Callable[..., "Page"]
ReadTable = Callable[["Page"], tuple[list[str], list[str], list[list[float]]]]

HOSTILE = "one </script><script>document.title='broken'</script> two"


def download(page: Page, button: str, folder: Path) -> Path:
    """Clicks a button, and returns the file that it offers."""
    with page.expect_download() as event:
        page.click(f"#download-{button}")
    path = folder / event.value.suggested_filename
    event.value.save_as(path)
    return path


def test_every_download_holds_what_is_shown(
    open_page: OpenPage, address: str, systems: dict[str, System], read_table: ReadTable, tmp_path: Path
) -> None:
    page = open_page(f"{address}#source=one two&system=transformer&words=false&head=1&threshold=0")
    png = download(page, "png", tmp_path).read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">II", png[16:24])) > 300

    svg = ElementTree.parse(download(page, "svg", tmp_path)).getroot()
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    columns, rows, weights = read_table(page)
    assert [texts.count(label) >= 2 for label in columns + rows].count(False) == 0  # in both views
    lines = [element for element in svg.iter("{http://www.w3.org/2000/svg}path") if "data-weight" in element.attrib]
    assert len(lines) == sum(weight > 0 for row in weights for weight in row)
    assert all(line.get("stroke", "").startswith("rgb(") for line in lines)  # it needs no style sheet

    page.evaluate("() => { HTMLCanvasElement.prototype.toBlob = (answer) => answer(null); }")  # if it is too large
    page.click("#download-png")
    page.wait_for_selector("#status >> text=too large")

    shown = json.loads(download(page, "json", tmp_path).read_text(encoding="utf-8"))
    expected = [asdict(analyse(system, "one two")) for system in systems.values()]
    for each in (*shown, *expected):
        assert each.pop("milliseconds") > 0
    assert shown == json.loads(json.dumps(expected))

    file = open_page(download(page, "html", tmp_path).as_uri(), is_offline=True)
    assert read_table(file) == (columns, rows, weights)
    assert file.locator("#systems .translation").all_inner_texts() == [each["text"] for each in shown]
    again = download(file, "html", tmp_path / "again")
    assert read_table(open_page(again.as_uri(), is_offline=True)) == (columns, rows, weights)


def test_the_file_of_nmt_plot_opens_without_a_network(
    open_page: OpenPage, trained_run: Path, transformer_run: Path, read_table: ReadTable, tmp_path: Path
) -> None:
    words = [f"runs=[{trained_run},{transformer_run}]", f"source={HOSTILE}", "target=eins zwei", "gold=0-1"]
    out, data = tmp_path / "page.html", tmp_path / "page.json"
    for path in (out, data):
        assert main(["plot", *words, "eos=false", f"out={path}", "device=cpu"]) == 0
    luong, transformer = json.loads(data.read_text(encoding="utf-8"))["systems"]
    page = open_page(out.as_uri(), is_offline=True)
    assert page.title() == "Attention explorer"
    assert page.input_value("#source") == HOSTILE
    assert not page.is_editable("#source")
    for index, system in enumerate((luong, transformer)):
        page.locator("#systems .card").nth(index).click()
        cross = Attention.from_json(system["attention"]["cross"])
        columns, rows, weights = read_table(page)
        assert (columns, rows) == (cross.columns, cross.rows)
        np.testing.assert_allclose(weights, cross.matrix, atol=6e-4)
    outline = page.locator("#matrix .outline").get_attribute("d") or ""
    assert outline.count("z") == 1
    corner = [float(number) for number in outline.removeprefix("M").split("h")[0].split()]
    paper = page.locator("#matrix .paper")
    x, y = (float(paper.get_attribute(name) or 0) for name in ("x", "y"))
    cell = float(paper.get_attribute("height") or 0) / 2
    assert corner == [x, y + cell]  # the first source word and the second target word
    page.click("#kind-1 + span")
    assert page.locator("#tiles .tile").count() == 2
    assert not page.is_visible("#edit") and not page.is_visible("#next-word") and not page.is_visible("#keep")


def test_words_by_hand(open_page: OpenPage, systems: dict[str, System], tmp_path: Path) -> None:
    """The functions that group pieces and leave out the end, on numbers that are easy to add."""
    out = tmp_path / "page.html"
    out.write_text(render_page([analyse(systems["luong"], "one")]), encoding="utf-8")
    page = open_page(out.as_uri(), is_offline=True)
    # Pieces 0 and 1 spell word 0; piece 2 spells the ends of words 0 and 1; piece 3 is the end of the sentence.
    words = [{"text": "a", "pieces": [0, 1, 2]}, {"text": "b", "pieces": [2]}, {"text": "</s>", "pieces": [3]}]
    rows = [{"text": "x", "pieces": [0, 1]}, {"text": "</s>", "pieces": [2]}]
    matrix = [[0.1, 0.2, 0.4, 0.3], [0.5, 0.1, 0.2, 0.2], [0.0, 0.0, 0.0, 1.0]]
    grouped = page.evaluate(
        "async ([m, r, c]) => (await import('nmt/attention.js')).groupWords(m, r, c)", [matrix, rows, words]
    )
    # Row 0: 0.1 + 0.2 + 0.4 / 2 = 0.5; row 1: 0.5 + 0.1 + 0.2 / 2 = 0.7; their mean is 0.6.
    np.testing.assert_allclose(grouped, np.array([[0.6, 0.15, 0.25], [0, 0, 1]]))
    shown = {"rows": ["x", "</s>"], "columns": ["a", "b", "</s>"], "weights": grouped}
    hidden = page.evaluate("async shown => (await import('nmt/attention.js')).hideEos(shown)", shown)
    assert (hidden["rows"], hidden["columns"]) == (["x"], ["a", "b"])
    np.testing.assert_allclose(hidden["weights"], [[0.8, 0.2]])  # 0.6 / 0.75, 0.15 / 0.75
    # An empty translation has only the end, which stays.
    empty = {"rows": ["</s>"], "columns": ["a", "b", "</s>"], "weights": [[0.5, 0.25, 0.25]]}
    hidden = page.evaluate("async shown => (await import('nmt/attention.js')).hideEos(shown)", empty)
    assert (hidden["rows"], hidden["columns"]) == (["</s>"], ["a", "b"])
    np.testing.assert_allclose(hidden["weights"], [[2 / 3, 1 / 3]])
    # The bytes of a character that the vocabulary lacks are text, and user-defined symbols; special pieces are not.
    spelt = ["<br>", "▁", "<0xC3>", "<0x84>", "pfel", "<br>", "▁<0", "<0xC3>"]
    text = page.evaluate("async pieces => (await import('nmt/labels.js')).spell(pieces)", [*spelt, "<.>", "</s>"])
    assert text == join_pieces(spelt)[0] == "<br> Äpfel<br> <0\ufffd"
    pieces = ["▁dog", "gie", ".", "▁", "</s>", "▁犬", "が"]
    labels = page.evaluate("async pieces => (await import('nmt/labels.js')).labelPieces(pieces)", pieces)
    assert labels == ["dog", "·gie", ".", "␣", "</s>", "犬", "が"]


def picture_analysis() -> Analysis:
    """One target word that attends to a picture of two by two patches, and to a word."""
    source, target = ["<.>", "<.>", "<.>", "<.>", "▁ring", "</s>"], ["▁Ring", "</s>"]
    source_words = [Word(piece.removeprefix("▁"), [index]) for index, piece in enumerate(source)]
    target_words = [Word("Ring", [0]), Word("</s>", [1])]
    weights = [[0.16, 0.04, 0.0, 0.64, 0.1, 0.06], [0.0, 0.0, 0.0, 0.0, 0.5, 0.5]]
    view = AttentionView("cross", [0], [0], target, source, target_words, source_words, [[weights]])
    pixel = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
    fields: dict[str, Any] = {"system": "s", "source": "<.><.><.><.> ring", "text": "Ring", "score": -1.0}
    return Analysis(
        **fields, log_probability=-1.0, milliseconds=None, source_pieces=source, target_pieces=target,
        source_words=source_words, target_words=target_words, log_probabilities=[-0.5, -0.5],
        attention={"cross": view}, gold=None, picture=Picture(pixel, 2, 2, 0), truncated=False,
        source_truncated=False, heads_off=[],
    )  # fmt: skip


def test_a_picture_is_lit_where_a_word_attends_to_it(
    open_page: OpenPage, read_table: ReadTable, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    out.write_text(render_page([picture_analysis()]), encoding="utf-8")
    page = open_page(out.as_uri(), is_offline=True)
    columns, _, weights = read_table(page)
    assert columns == ["picture", "ring", "</s>"]  # all patches are one word
    np.testing.assert_allclose(weights, [[0.84, 0.1, 0.06], [0, 0.5, 0.5]], atol=6e-4)
    assert page.locator("#picture figcaption").all_inner_texts() == ["the picture", "Ring"]
    assert page.locator("#picture small").all_inner_texts() == ["0.84 on the picture"]
    shades = page.locator("#picture .shade rect").evaluate_all(
        "rects => rects.map(r => +r.getAttribute('fill-opacity'))"
    )
    # The square roots of the weights, relative to the largest: √(16/64) = 0.5, √(4/64) = 0.25, 0 and 1.
    np.testing.assert_allclose(shades, [0.78 * 0.5, 0.78 * 0.75, 0.78, 0], atol=1e-3)
