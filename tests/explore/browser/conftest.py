"""A browser, a server for it, and pages that fail a test if their program fails."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from nmt.explore.analysis import analyse
from nmt.explore.page import PAGE_FOLDER
from nmt.explore.systems import System

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

OpenPage = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine. It ends with each module: while it runs, no other test could use asyncio."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs Chromium, such as Debian's package chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(systems: dict[str, System]) -> Iterator[str]:
    """Where a server for the tiny systems answers."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, content: object, kind: str = "application/json") -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path == "/api/systems":
                self.answer(200, [asdict(system.info) for system in systems.values()])
            elif self.path == "/api/examples":
                examples = ["one two three", "four five"]
                self.answer(200, [{"source": each, "label": each, "picture": None} for each in examples])
            elif self.path == "/explorer.html":
                from nmt.explore.page import render_page

                self.answer(200, render_page([]).encode(), "text/html")
            else:
                path = PAGE_FOLDER / (self.path.removeprefix("/") or "index.html")
                kinds = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
                self.answer(200, path.read_bytes(), kinds[path.suffix])

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/beam":
                self.answer(200, None)
                return
            try:
                with lock:
                    system = systems[request["system"]]
                    analysis = analyse(
                        system, request["source"], request.get("target"), heads_off=request.get("heads_off", [])
                    )
                self.answer(200, asdict(analysis))
            except Exception as error:
                self.answer(422, {"detail": str(error)})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


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
