"""The web application: the page, its API, and LibreTranslate's calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, Response

from nmt.explore import api, libretranslate
from nmt.explore.batching import BatchingQueue
from nmt.explore.guard import Guard
from nmt.explore.problems import ANSWERED, answer_error
from nmt.explore.systems import System

PAGE = Path(__file__).parent / "page"
"""The folder of the page's files."""


def create_app(systems: Mapping[str, System], *, hosts: Collection[str] | None, queue: BatchingQueue) -> FastAPI:
    """The application that serves the page and the calls of some systems.

    Args:
        systems: by the names by which requests choose them, which are the only ones that a request can reach.
        hosts: names by which requests may call the server; None: any.
        queue: where requests wait; it starts and ends with the application.
    """

    @asynccontextmanager
    async def run_queue(app: FastAPI) -> AsyncIterator[None]:
        queue.start()
        yield
        queue.close()

    app = FastAPI(title="nmt explore", docs_url=None, redoc_url=None, lifespan=run_queue)
    app.state.systems = dict(systems)
    app.state.queue = queue
    app.include_router(api.router)
    app.include_router(libretranslate.router)
    for path in sorted(PAGE.rglob("*")):  # exactly these files: no part of a request is ever used as a path
        if path.is_file():
            add_file(app, path)
    for kind in ANSWERED:
        app.add_exception_handler(kind, answer_error)
    app.add_middleware(Guard, hosts=hosts)
    return app


def add_file(app: FastAPI, path: Path) -> None:
    """Serves a file of the page under its name; index.html also as the page itself."""

    async def serve_file(request: Request) -> Response:
        return FileResponse(path)

    name = path.relative_to(PAGE).as_posix()
    app.add_route(f"/{name}", serve_file)
    if name == "index.html":
        app.add_route("/", serve_file)
