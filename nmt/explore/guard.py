"""What surrounds every endpoint: who may call it, how much they may send, and how errors are answered.

A page on another site can make the user's browser send requests to this server, which the user's own machine would
answer. Two checks prevent that:

- The browser names the server in the header `Host`. A site that has its own name resolved to 127.0.0.1 (DNS rebinding)
  still sends its own name there.
- The browser says in `Sec-Fetch-Site` or `Origin` that another site is the sender. Programs send neither. The rules are
  those of `CrossOriginProtection` in Go's net/http.
"""

from __future__ import annotations

import traceback
from collections.abc import Collection
from contextlib import suppress
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmt.explore.problems import error_response

MAX_BODY_BYTES = 2**18
"""Maximum size of a request. The longest allowed text, 20,000 characters, has at most 12 bytes per character in JSON
(two escapes such as \\ud83d), and there is room for the other fields."""

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Methods that change and compute nothing."""

SECURITY_HEADERS = {
    # Scripts and styles only from this server; pictures also from the page itself, which draws them.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # a new version of the program has a new page
}
"""Headers of every response."""


class Guard:
    """ASGI middleware that refuses foreign and too large requests, and answers an error of the program in one line.

    Args:
        app: the application.
        hosts: names by which a request may call this server; None: any.
        origins: other sites whose pages may call it, such as https://example.org.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, origins: Collection[str]) -> None:
        self.app = app
        self.hosts = hosts
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        request = Request(scope)
        try:
            self.check_sender(request)
            body = await read_body(receive)
            await self.app(scope, replay(body, receive), send_with_headers)
        except HTTPException as error:
            await error_response(request, error.status_code, error.detail)(scope, receive, send_with_headers)
        except Exception:
            with suppress(OSError):  # standard error cannot be written
                traceback.print_exc()
            if not has_started:
                response = error_response(request, 500, "a defect of nmt explore: see its messages in the terminal")
                await response(scope, receive, send_with_headers)

    def check_sender(self, request: Request) -> None:
        """Raises HTTPException if a request calls this server by a foreign name, or another site has sent it."""
        host = request.headers.get("host", "")
        name = host_name(host)
        if self.hosts is not None and name not in self.hosts:
            raise HTTPException(403, f"Host: {host} is not this server; it answers to {', '.join(sorted(self.hosts))}")
        if request.method in SAFE_METHODS:
            return
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        is_own = site in ("same-origin", "none") if site is not None else origin in (None, f"http://{host}")
        if not is_own and origin not in self.origins:
            raise HTTPException(403, "a page of another site has sent this request")


def host_name(host: str) -> str | None:
    """The name or address in a header such as "localhost:8765" or "[::1]:8765"; None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def read_body(receive: Receive) -> bytes:
    """The whole body of a request; what there is of it if the client disconnects.

    Raises:
        HTTPException: it is larger than `MAX_BODY_BYTES`.
    """
    body, has_more = b"", True
    while has_more:
        message = await receive()
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the request is larger than {MAX_BODY_BYTES:,} bytes")
    return body


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` whose first message is the body that has been read; the next one says that the client has gone."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
