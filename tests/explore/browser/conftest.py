"""A server for the browser, and pages that fail a test if their program fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from nmt.explore.app import create_app
from nmt.explore.batching import BatchingQueue
from nmt.explore.examples import Example
from nmt.explore.server import Server, address_of, bind
from nmt.explore.systems import System

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

OpenPage = Callable[..., "Page"]


@pytest.fixture(scope="module")
def address(systems: dict[str, System]) -> Iterator[str]:
    """Where `nmt explore` answers, with the tiny systems; it runs in a thread."""
    is_ready = threading.Event()
    examples = [Example(line, line, None) for line in ("one two three", "four five")]
    with bind("127.0.0.1", 0) as listener:
        app = create_app(systems, examples=examples, hosts={"127.0.0.1"}, origins=[], queue=BatchingQueue())
        server = Server(app, is_ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert is_ready.wait(10)
        yield address_of(listener)
        server.should_exit = True
        thread.join()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a window of its own: `open_page(url, width=1280, scheme="light", is_offline=False)`.

    The test fails if a page reports an error, or if an offline page asks for anything but its file.
    """
    contexts, problems = [], []

    def report(message: ConsoleMessage) -> None:
        """Keeps errors, but not those of requests that the server refuses: the page shows them to the reader."""
        if message.type == "error" and "the server responded with a status of 422" not in message.text:
            problems.append(message.text)

    def open_window(url: str, *, width: int = 1280, scheme: Any = "light", is_offline: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, offline=is_offline
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", report)
        if is_offline:
            page.on("request", lambda request: problems.append(request.url) if request.url[:5] == "http:" else None)
        page.goto(url)
        settle(page)
        return page

    yield open_window
    for context in contexts:
        context.close()
    assert problems == []


def settle(page: Page) -> None:
    """Waits until every system has answered."""
    page.wait_for_selector("#systems .card")
    page.wait_for_selector('#systems [aria-busy="true"]', state="detached")
    page.wait_for_function("document.getElementById('status').textContent !== 'translating'")


@pytest.fixture(scope="session")
def read_table() -> Callable[[Page], tuple[list[str], list[str], list[list[float]]]]:
    """Reads the columns, the rows and the weights of a page's table."""

    def read(page: Page) -> tuple[list[str], list[str], list[list[float]]]:
        page.evaluate("document.getElementById('numbers').open = true")
        page.wait_for_selector("#table table")
        rows = page.locator("#table tr").evaluate_all("rows => rows.map(r => [...r.cells].map(c => c.textContent))")
        columns, *body = rows
        return columns[1:], [row[0] for row in body], [[float(cell) for cell in row[1:]] for row in body]

    return read
