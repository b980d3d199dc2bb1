"""Who may call the server, how much they may send, and what every response forbids."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nmt.explore.batching import BatchingQueue
from nmt.explore.guard import MAX_BODY_BYTES, SECURITY_HEADERS
from nmt.explore.page import PAGE_FOLDER


def test_the_page_comes_from_this_server_alone(client: TestClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.content == (PAGE_FOLDER / "index.html").read_bytes()
    assert response.headers["content-type"].startswith("text/html")
    for name, value in SECURITY_HEADERS.items():
        assert response.headers[name] == value
    assert "http" not in response.headers["content-security-policy"]
    assert client.get("/main.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/explorer.html").text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("path", ["/nothing", "/../app.py", "/%2e%2e/app.py", "/api/nothing", "/docs", "/redoc"])
def test_an_unknown_path_does_not_exist(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"host": "127.0.0.1:8765"}, 200),
        ({"origin": "http://testserver"}, 200),
        ({"origin": "http://localhost:3000", "sec-fetch-site": "same-origin"}, 200),  # behind a proxy
        ({"host": "evil.example"}, 403),  # a name that was resolved to this machine
        ({"host": "testserver.evil.example"}, 403),
        ({"host": "["}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://testserver"}, 403),
        ({"origin": "http://testserver", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://testserver:81", "sec-fetch-site": "same-site"}, 403),
    ],
)
def test_pages_of_other_sites_cannot_translate(client: TestClient, headers: dict[str, str], status: int) -> None:
    response = client.post("/translate", data={"q": "one", "source": "en", "target": "de"}, headers=headers)
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers
    if "host" in headers:
        assert client.get("/", headers=headers).status_code == status


def test_pages_of_a_named_site_can_translate(make_app: Callable[..., FastAPI]) -> None:
    origin = "https://example.org"
    body = {"q": "one", "source": "en", "target": "de"}
    with TestClient(make_app(BatchingQueue(), origins=[origin])) as client:
        asked = {"origin": origin, "access-control-request-method": "POST"}
        preflight = client.options("/translate", headers=asked | {"access-control-request-headers": "content-type"})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, origin)
        response = client.post("/translate", json=body, headers={"origin": origin, "sec-fetch-site": "cross-site"})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, origin)
        other = client.post("/translate", json=body, headers={"origin": "https://evil.example"})
        assert other.status_code == 403
        assert "access-control-allow-origin" not in other.headers


def test_a_foreign_script_may_not_ask_for_permission(client: TestClient) -> None:
    headers = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    response = client.options("/api/translate", headers=headers)
    assert response.status_code == 405
    assert not any(name.startswith("access-control") for name in response.headers)


def test_a_large_body_is_refused_before_it_is_parsed(client: TestClient) -> None:
    exact = b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"'
    headers = {"content-type": "application/json"}
    assert client.post("/api/translate", content=exact, headers=headers).status_code == 422
    response = client.post("/api/translate", content=exact + b" ", headers=headers)
    assert (response.status_code, response.json()) == (413, {"detail": "the request is larger than 262,144 bytes"})


class WatchedQueue(BatchingQueue):
    """A queue that remembers its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.futures: list[Future[Any]] = []

    def submit(self, *arguments: Any, **options: Any) -> Future[Any]:
        self.futures.append(super().submit(*arguments, **options))
        return self.futures[-1]


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds, at most ten seconds."""
    for _ in range(1_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it does not happen")


def test_a_client_that_goes_takes_only_its_own_request_with_it(
    make_app: Callable[..., FastAPI], run_server: Callable[[FastAPI], AbstractContextManager[str]]
) -> None:
    queue, may_end = WatchedQueue(), threading.Event()
    headers = {"content-type": "application/json"}
    with run_server(make_app(queue)) as address:
        queue.submit_alone(lambda: may_end.wait(10))
        clients = [HTTPConnection(urlsplit(address).netloc) for _ in range(2)]
        for number, client in enumerate(clients):
            client.request("POST", "/api/translate", b'{"system": "luong", "text": "one"}', headers)
            wait_until(lambda count=number + 2: len(queue.futures) == count)  # type: ignore[misc]
        clients[0].close()
        _, gone, stays = queue.futures
        wait_until(gone.cancelled)
        may_end.set()
        response = clients[1].getresponse()
        assert (response.status, len(json.load(response)["translations"])) == (200, 1)
        clients[1].close()
    assert stays.done() and not stays.cancelled()


def test_a_full_queue_asks_to_try_again(make_app: Callable[..., FastAPI]) -> None:
    queue, has_begun, may_end = BatchingQueue(max_waiting=1), threading.Event(), threading.Event()

    def block() -> bool:
        has_begun.set()
        return may_end.wait(10)

    with TestClient(make_app(queue)) as client:
        running = queue.submit_alone(block)
        assert has_begun.wait(10)
        waiting = queue.submit_alone(block)
        full = client.post("/api/translate", json={"system": "luong", "text": "one"})
        form = client.post("/translate", data={"q": "one", "source": "en", "target": "de"})
        assert client.get("/health").json() == {"status": "ok"}  # the event loop is free
        may_end.set()
        assert running.result(10) == waiting.result(10) == [True]
        assert client.post("/api/translate", json={"system": "luong", "text": "one"}).status_code == 200
    assert (full.status_code, full.headers["retry-after"]) == (429, "1")
    assert full.json() == {"detail": "too many requests are waiting: try again later"}
    assert (form.status_code, form.json()) == (429, {"error": "too many requests are waiting: try again later"})
