"""The web application: the page, its API, and LibreTranslate's calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, Response

from nmt.explore import api, libretranslate
from nmt.explore.batching import BatchingQueue
from nmt.explore.examples import Example
from nmt.explore.guard import Guard
from nmt.explore.page import PAGE_FOLDER, render_page
from nmt.explore.problems import ANSWERED, answer_error
from nmt.explore.systems import System

TEMPLATE_PATH = "/explorer.html"
"""Where the page finds itself as one file, into which it writes what it shows for a download."""


def create_app(
    systems: Mapping[str, System],
    *,
    examples: Sequence[Example],
    hosts: Collection[str] | None,
    origins: Collection[str],
    queue: BatchingQueue,
) -> FastAPI:
    """The application that serves the page and the calls of some systems.

    Args:
        systems: by the names by which requests choose them, which are the only ones that a request can reach.
        examples: sentences to begin with.
        hosts: names by which requests may call the server; None: any.
        origins: other sites whose pages may call it (CORS).
        queue: where requests wait; it starts and ends with the application.
    """

    @asynccontextmanager
    async def run_queue(app: FastAPI) -> AsyncIterator[None]:
        queue.start()
        yield
        queue.close()

    app = FastAPI(title="nmt explore", docs_url=None, redoc_url=None, lifespan=run_queue)
    app.state.systems = dict(systems)
    app.state.examples = list(examples)
    app.state.queue = queue
    app.include_router(api.router)
    app.include_router(libretranslate.router)
    for path in sorted(PAGE_FOLDER.iterdir()):  # exactly these files: no part of a request is ever used as a path
        add_file(app, path)
    app.add_route(TEMPLATE_PATH, serve_template)
    for kind in ANSWERED:
        app.add_exception_handler(kind, answer_error)
    app.add_middleware(Guard, hosts=hosts, origins=origins)
    if origins:  # around the guard, so that pages of these sites can read its answers, too
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST"], allow_headers=["content-type"]
        )
    return app


def add_file(app: FastAPI, path: Path) -> None:
    """Serves a file of the page under its name; index.html also as the page itself."""

    async def serve_file(request: Request) -> Response:
        return FileResponse(path)

    app.add_route(f"/{path.name}", serve_file)
    if path.name == "index.html":
        app.add_route("/", serve_file)


async def serve_template(request: Request) -> Response:
    """The page as one file without data."""
    return HTMLResponse(render_page([]))
