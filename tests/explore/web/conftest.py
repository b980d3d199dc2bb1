"""The application with tiny systems, called without a network and on a real port."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from nmt.explore.app import create_app
from nmt.explore.batching import BatchingQueue
from nmt.explore.examples import Example
from nmt.explore.server import Server, address_of, bind
from nmt.explore.systems import System

EXAMPLES = [Example("one two", "one two", None)]


@pytest.fixture
def make_app(systems: dict[str, System]) -> Callable[..., FastAPI]:
    """`create_app` with these systems; the client of the tests calls the server "testserver"."""

    def make(queue: BatchingQueue, *, origins: Sequence[str] = ()) -> FastAPI:
        return create_app(systems, examples=EXAMPLES, hosts={"testserver", "127.0.0.1"}, origins=origins, queue=queue)

    return make


@pytest.fixture
def client(make_app: Callable[..., FastAPI]) -> Iterator[TestClient]:
    """A client of the running application. An error of the program is answered, not raised."""
    with TestClient(make_app(BatchingQueue()), raise_server_exceptions=False) as client:
        yield client


@contextmanager
def run_server(app: FastAPI) -> Iterator[str]:
    """Serves an app in a thread, and yields its address."""
    is_ready = threading.Event()
    with bind("127.0.0.1", 0) as listener:
        server = Server(app, is_ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert is_ready.wait(10)
        yield address_of(listener)
        server.should_exit = True
        thread.join()


@pytest.fixture(name="run_server")
def run_server_fixture() -> Callable[[FastAPI], AbstractContextManager[str]]:
    """`run_server` as a fixture, since tests cannot import this file."""
    return run_server


@pytest.fixture(scope="session")
def address(systems: dict[str, System]) -> Iterator[str]:
    """The address of a real server."""
    app = create_app(systems, examples=EXAMPLES, hosts={"127.0.0.1"}, origins=[], queue=BatchingQueue())
    with run_server(app) as address:
        yield address
