"""The page of `nmt explore` in a real browser, with tiny systems behind it."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from nmt.explore.analysis import Analysis, analyse
from nmt.explore.beam_tree import beam_tree
from nmt.explore.systems import System
from nmt.translator import Attention

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

OpenPage = Callable[..., "Page"]
Systems = dict[str, System]
Table = tuple[list[str], list[str], list[list[float]]]
ReadTable = Callable[["Page"], Table]
CheckTable = Callable[["Page", Attention], None]

SETTLED = """() => document.getElementById("status").textContent !== "translating"
    && !document.querySelector('#systems [aria-busy="true"]')"""


def link(address: str, **state: Any) -> str:
    """The address of a view."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in state.items()}
    return f"{address}#{'&'.join(f'{key}={value}' for key, value in texts.items())}"


def attention_of(system: System, source: str, kind: Any = "cross") -> Attention:
    """What the page must show, computed by the translator itself."""
    return system.translator().translate(source, attention="all").attention[kind]


@pytest.fixture
def check_table(read_table: ReadTable) -> Callable[[Page, Attention], None]:
    """Checks that a page shows exactly these weights."""

    def check(page: Page, expected: Attention) -> None:
        columns, rows, weights = read_table(page)
        assert (columns, rows) == (expected.columns, expected.rows)
        np.testing.assert_allclose(weights, expected.matrix, atol=6e-4)

    return check


def test_every_system_translates_while_the_user_types(open_page: OpenPage, address: str, systems: Systems) -> None:
    page = open_page(address)
    assert page.input_value("#source") == "one two three"  # the first example
    assert page.inner_text("#systems .selected .name") == "luong"  # the first system that has attention
    page.fill("#source", "")
    page.type("#source", "six seven")
    page.wait_for_function(SETTLED)
    page.wait_for_selector("#systems .card .translation")
    cards = page.locator("#systems .card")
    assert cards.count() == 3
    for index, (name, system) in enumerate(systems.items()):
        expected, text = system.translator().translate("six seven"), cards.nth(index).inner_text()
        assert name in text and expected.text in text
        assert re.search(r"score −?\d+\.\d\d · \d+ ms", text)
        assert f"score {expected.score:.2f}".replace("-", "−") in text
    assert "no attention" in cards.nth(0).inner_text()  # of the LSTM
    page.select_option("#examples", "four five")
    page.wait_for_function("document.querySelector('#source').value === 'four five'")
    page.wait_for_function(SETTLED)
    assert systems["luong"].translator().translate("four five").text in cards.nth(1).inner_text()


def test_stale_answers_are_dropped_and_errors_shown_in_one_line(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    waiting: list[Route] = []

    def answer(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        if body["source"] == "slow":
            waiting.append(route)
        else:
            route.fulfill(status=422, json={"detail": f"no translation of {body['source']}"})

    page.route("**/api/*", answer)
    page.fill("#source", "slow")
    page.wait_for_function("document.querySelector('[aria-busy=\"true\"]')")
    page.fill("#source", "fast")
    page.wait_for_selector("text=no translation of fast")
    errors = page.locator("#systems [role=alert]").all_inner_texts()
    assert errors == ["no translation of fast"] * 3
    for route in waiting:
        route.abort()
    assert page.locator("#systems [role=alert]").all_inner_texts() == errors


def test_both_views_show_the_weights_of_the_system(
    open_page: OpenPage, address: str, systems: Systems, check_table: CheckTable
) -> None:
    page = open_page(link(address, system="transformer", threshold=0))
    expected = attention_of(systems["transformer"], "one two three").mean().words()
    check_table(page, expected)
    # The matrix: the darkness of each cell. The lines: their thickness and their weight.
    cells = page.locator("#matrix .cells rect").evaluate_all(
        "cells => cells.map(c => [c.dataset.row, c.dataset.column, c.getAttribute('fill-opacity')].map(Number))"
    )
    lines = page.locator("#lines .curves path").evaluate_all(
        "paths => paths.map(p => [p.dataset.row, p.dataset.column, p.dataset.weight].map(Number))"
    )
    for triples, digits in ((cells, 6e-4), (lines, 2e-5)):
        shown = np.zeros_like(expected.matrix)
        for row, column, weight in triples:
            shown[int(row), int(column)] = weight
        np.testing.assert_allclose(shown, expected.matrix, atol=digits)
    # The partners of the word under the mouse, on both sides.
    row, column = 0, int(expected.matrix[0].argmax())
    page.hover(f"#lines-row-{row}")
    assert page.inner_text("#readout").startswith(f"{expected.rows[row]} attends to {expected.columns[column]} ")
    assert f"{expected.columns[column]} {expected.matrix[row, column]:.2f}" in page.inner_text("#readout")
    assert page.locator("#lines .curves path.on").count() == len(expected.columns)
    assert page.locator(f"#lines-row-{row}").get_attribute("aria-selected") == "true"
    mark = page.locator(f"#lines-column-{column} .mark").get_attribute("fill-opacity")
    assert float(mark or 0) == pytest.approx(0.6 * expected.matrix[row, column], abs=1e-3)
    page.hover(f'#matrix .cells rect[data-row="1"][data-column="{column}"]')
    cell = f"{expected.rows[1]} ← {expected.columns[column]}: {expected.matrix[1, column]:.3f}."
    assert page.inner_text("#readout") == cell
    page.locator("#threshold").fill("0.5")
    visible = int((expected.matrix >= 0.5).sum())
    assert page.locator("#matrix .cells rect").count() == page.locator("#lines .curves path").count() == visible


def test_kinds_layers_heads_pieces_and_eos_are_chosen(
    open_page: OpenPage, address: str, systems: Systems, check_table: CheckTable, read_table: ReadTable
) -> None:
    page = open_page(link(address, source="three six", system="transformer", words=False))
    transformer = systems["transformer"]
    cross = attention_of(transformer, "three six")
    columns, rows, weights = read_table(page)
    assert len(columns) == len(cross.columns) and len(rows) == len(cross.rows)
    assert columns[0] == cross.columns[0].removeprefix("▁") and columns[-1] == "</s>"
    np.testing.assert_allclose(weights, cross.mean().matrix, atol=6e-4)
    page.click("#unit-0 + span")  # words
    page.click("#head-2 + span")  # mean, 0, 1
    check_table(page, cross.head(0, 1).words())
    page.uncheck("#eos")
    check_table(page, cross.head(0, 1).words().without_eos())
    page.click("#kind-1 + span")
    check_table(page, attention_of(transformer, "three six", "encoder").mean().words().without_eos())
    page.focus("#kind-1")
    page.keyboard.press("ArrowRight")  # the radio buttons are one stop of the Tab key
    page.check("#eos")
    check_table(page, attention_of(transformer, "three six", "decoder").mean().words())
    # The address holds all of it.
    again = open_page(page.url)
    assert read_table(again) == read_table(page)
    assert again.is_checked("#kind-2")
    page.locator("#systems .card").nth(1).click()
    page.wait_for_function(SETTLED)
    check_table(page, attention_of(systems["luong"], "three six").mean().words())


def test_a_head_is_enlarged_and_switched_off(
    open_page: OpenPage, address: str, systems: Systems, check_table: CheckTable
) -> None:
    page = open_page(link(address, source="one two", system="transformer"))
    before: Analysis = analyse(systems["transformer"], "one two")
    assert page.locator("#tiles .tile").count() == 2
    page.get_by_role("button", name="Show layer 0, head 1").click()
    check_table(page, attention_of(systems["transformer"], "one two").head(0, 1).words())
    assert page.get_by_role("button", name="Show layer 0, head 1").get_attribute("aria-pressed") == "true"
    page.uncheck("#switch-cross\\.0\\.1")
    page.wait_for_selector("text=without cross.0.1")
    after = analyse(systems["transformer"], "one two", heads_off=["cross.0.1"])
    assert after.score != before.score
    assert f"score {after.score:.2f}".replace("-", "−") in page.locator("#systems .card").nth(2).inner_text()
    page.check("#switch-cross\\.0\\.1")
    page.wait_for_selector("text=without cross.0.1", state="detached")
    assert f"score {before.score:.2f}".replace("-", "−") in page.locator("#systems .card").nth(2).inner_text()


def test_an_edited_translation_is_scored_word_by_word(
    open_page: OpenPage, address: str, systems: Systems, check_table: CheckTable
) -> None:
    page = open_page(link(address, source="one two", system="luong"))
    page.fill("#target", "eins drei")
    page.wait_for_selector("#words >> text=drei")
    page.wait_for_function(SETTLED)
    forced = analyse(systems["luong"], "one two", "eins drei")
    assert page.locator("#words bdi").all_inner_texts() == ["eins", "drei", "</s>"]
    for word, shown in zip(forced.target_words, page.locator("#words .scored").all(), strict=True):
        of_pieces = [forced.log_probabilities[piece] for piece in word.pieces]
        assert shown.get_attribute("title") == f"log-probability {sum(of_pieces):.3f}"
    assert f"Log-probability −{-forced.log_probability:.2f}" in page.inner_text("#target-help")
    check_table(page, systems["luong"].translator().force_decode("one two", "eins drei").attention["cross"].words())
    page.click("#clear-target")
    page.wait_for_function(SETTLED)
    assert page.input_value("#target") == systems["luong"].translator().translate("one two").text


def test_before_and_after(open_page: OpenPage, address: str, systems: Systems) -> None:
    page = open_page(link(address, source="one two", system="luong"))
    page.click("#keep")
    page.fill("#source", "one three")
    page.wait_for_function(SETTLED)
    page.wait_for_selector("#comparison figure")
    marked = page.locator("#comparison p:first-of-type mark").all_inner_texts()
    assert marked == ["two", "three"]
    translations = page.locator("#comparison .translation").all_inner_texts()
    luong = systems["luong"].translator()
    assert [each.strip() for each in translations] == [luong.translate(f"one {n}").text for n in ("two", "three")]
    page.click("#forget")
    page.wait_for_selector("#comparison figure", state="detached")


def test_what_was_kept_is_compared_with_another_system(open_page: OpenPage, address: str, systems: Systems) -> None:
    """It lacks the heads that were off, so it gets the sentence alone."""
    page = open_page(link(address, source="one two", system="transformer", headsOff=["cross.0.1"]))
    page.click("#keep")
    page.wait_for_selector("#comparison >> text=without cross.0.1")
    page.locator("#systems .card").nth(1).click()
    page.wait_for_selector("#comparison >> text=without cross.0.1", state="detached")
    page.wait_for_selector("#comparison figure")
    translations = page.locator("#comparison .translation").all_inner_texts()
    assert [each.strip() for each in translations] == [systems["luong"].translator().translate("one two").text] * 2


def test_a_comparison_that_is_refused_is_asked_for_once(open_page: OpenPage, address: str) -> None:
    kept = {"system": "luong", "source": "one", "target": None, "prefix": None, "headsOff": ["cross.9.9"]}
    page = open_page(link(address, source="one two", system="luong", kept=kept))
    page.wait_for_selector("#comparison [role=alert] >> text=cross.9.9")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.uncheck("#eos")  # draws again
    page.wait_for_selector("#comparison [role=alert] >> text=cross.9.9")
    assert requests == []


def test_a_search_without_a_beam_is_not_drawn_as_a_tree(open_page: OpenPage, address: str) -> None:
    def list_systems(route: Route) -> None:
        route.fulfill(json=[each | {"has_beam": False} for each in route.fetch().json()])

    page = open_page(link(address, source="one two", system="luong"))
    page.wait_for_selector("#beam-section")
    page.route("**/api/systems", list_systems)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    page.wait_for_selector("#words .scored")
    page.wait_for_function(SETTLED)
    assert not page.is_visible("#beam-section")
    assert not [url for url in requests if url.endswith("api/beam")]


def test_the_keyboard_reaches_the_words(open_page: OpenPage, address: str) -> None:
    page = open_page(link(address, source="one two three", system="luong"))
    page.focus("#lines")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "lines-column-0"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.id") == "lines-column-3"
    assert page.inner_text("#readout").startswith("</s> gets the attention of ")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "lines-row-0"
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert page.inner_text("#readout") == f"{label}."


def test_the_beam_is_walked(open_page: OpenPage, address: str, systems: Systems) -> None:
    page = open_page(link(address, source="one two", system="luong"))
    tree, luong = beam_tree(systems["luong"], "one two"), systems["luong"].translator()
    page.wait_for_selector("#beam .node")
    best = page.locator("#beam .node.best").evaluate_all("nodes => nodes.map(node => node.id)")
    assert best == [f"node-{id}" for id in tree.best]
    shown = {int(id.removeprefix("node-")) for id in page.locator("#beam .node").evaluate_all("n => n.map(n => n.id)")}
    assert {node.id for node in tree.nodes if node.state != "pruned"} <= shown
    other = next(node for node in tree.nodes if node.state == "kept" and node.id not in tree.best)
    node = page.locator(f"#node-{other.id}")
    assert f"probability {math.exp(other.log_probability):.2f}, kept" in (node.get_attribute("aria-label") or "")
    node.hover()
    assert f"log-probability −{-other.total:.2f}, kept" in page.inner_text("#beam-help")

    node.click()  # the translation must go on from there
    page.wait_for_selector("#clear-prefix")
    page.wait_for_function(SETTLED)
    pieces = [other.piece]
    parent = other.parent
    while parent:
        pieces.insert(0, tree.nodes[parent].piece)
        parent = tree.nodes[parent].parent
    card = page.locator("#systems .card").nth(1).locator(".translation")
    assert card.inner_text() == luong.translate("one two", prefix=pieces).text
    page.fill("#next", "acht")
    page.keyboard.press("Enter")
    page.wait_for_function(SETTLED)
    beginning = luong.tokenizer.decode_target(luong.tokenizer.target_ids(pieces))
    assert card.inner_text() == luong.translate("one two", prefix=f"{beginning} acht").text
    page.wait_for_selector(f"#prefix >> text='{beginning} acht'")
    page.click("#clear-prefix")
    page.wait_for_function(SETTLED)
    assert card.inner_text() == tree.text

    page.focus("#node-0")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == f"node-{tree.best[1]}"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.id") == "node-0"


def test_what_a_system_refuses_can_be_taken_back(open_page: OpenPage, address: str, systems: Systems) -> None:
    page = open_page(link(address, source="one two", system="luong"))
    translation = systems["luong"].translator().translate("one two").text
    page.wait_for_selector("#beam .node")
    roles = page.locator("#beam .node").evaluate_all("nodes => nodes.map(n => [n.textContent, n.getAttribute('role')])")
    assert {role for text, role in roles if "<" in text} == {"img"}  # nothing can follow "</s>"
    page.fill("#next", "☃")
    page.keyboard.press("Enter")
    page.wait_for_selector("#systems [role=alert] >> text=the prefix has a character that the vocabulary lacks")
    page.click("#clear-prefix")
    page.wait_for_selector("#beam .node")
    assert page.locator("#systems .card").nth(1).locator(".translation").inner_text() == translation

    page.route("**/api/attention", lambda route: route.fulfill(status=422, json={"detail": "not this one"}))
    page.fill("#target", "eins drei")
    page.wait_for_selector("text=not this one")
    assert page.evaluate("document.activeElement.id") == "target"  # the reader can correct it
    assert page.input_value("#target") == "eins drei"
    page.unroute("**/api/attention")
    page.click("#clear-target")
    page.wait_for_function(SETTLED)
    assert page.input_value("#target") == translation


def test_choices_of_the_wrong_type_are_left_out_of_a_link(open_page: OpenPage, address: str, systems: Systems) -> None:
    choices = {"threshold": None, "headsOff": 5, "eos": 3, "layer": "x", "constructor": 1}
    page = open_page(link(address, source="one two", system="luong", **choices))
    assert page.inner_text("#threshold-value") == "0.05"
    assert page.is_checked("#eos")
    assert systems["luong"].translator().translate("one two").text in page.locator("#systems .card").nth(1).inner_text()


def test_axe_finds_nothing_on_narrow_wide_light_and_dark_screens(open_page: OpenPage, address: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page = open_page(link(address, source="one two", system="transformer"))
    page.click("#keep")
    page.click("#numbers summary")
    page.wait_for_selector("#comparison figure")
    page.wait_for_selector("#beam .node")
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for width, scheme in itertools.product((400, 1280), schemes):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert axe.Axe().run(page).generate_snapshot() == ""
        assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing runs over the edge


def test_right_to_left_columns_run_from_the_right(open_page: OpenPage, address: str, read_table: ReadTable) -> None:
    page = open_page(link(address, source="שלום לכם", system="luong"))
    columns, _, weights = read_table(page)
    assert columns == ["שלום", "לכם", "</s>"]  # the data keep the order of the sentence
    places = page.locator("#matrix .labels text[transform]").evaluate_all(
        "texts => texts.map(t => +t.getAttribute('x'))"
    )
    assert places == sorted(places, reverse=True)
    cells = page.locator('#matrix .cells rect[data-column="0"]')
    assert cells.count() == sum(row[0] >= 0.05 for row in weights)
    assert page.evaluate("getComputedStyle(document.getElementById('source')).direction") == "rtl"
