"""Runs the app: binds the address, serves until SIGTERM or Ctrl-C, and finishes what is in progress."""

from __future__ import annotations

import errno
import ipaddress
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from nmt.errors import UserError

GRACE_SECONDS = 30
"""How long the requests in progress may take to finish after SIGTERM. A client that has stopped in the middle of its
request, or does not read its answer, would otherwise keep the server running."""

MAX_PORT = 65535


def bind(host: str, port: int) -> socket.socket:
    """Opens the address at which the server will listen; port 0 takes any free port.

    Raises:
        UserError: the port is taken, or may not be used; or this machine does not have the address.
    """
    if not 0 <= port <= MAX_PORT:
        raise UserError(f"port={port} must be from 0 to {MAX_PORT}; 0 takes any free port")
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return socket.create_server(address[:2], family=family)
    except UnicodeError:  # no name of a host has such characters
        raise UserError(f"host={host} is no address: use host=127.0.0.1") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port={port} is taken: choose another one, or port=0 for any free one") from None
        if error.errno == errno.EACCES:
            raise UserError(f"port={port} needs the rights of the administrator: choose one above 1023") from None
        reason = error.strerror or str(error)
        raise UserError(f"host={host} is no address of this machine ({reason}): use host=127.0.0.1") from None


def is_loopback(listener: socket.socket) -> bool:
    """Whether only programs on this machine can reach the address."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def address_of(listener: socket.socket) -> str:
    """The address as a browser takes it, such as http://127.0.0.1:8765/."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Server(uvicorn.Server):
    """Serves an app, and calls `announce` when it is ready."""

    def __init__(self, app: FastAPI, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,  # the program prints warnings of libraries itself
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        super().__init__(config)
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen; see `uvicorn.Server`."""
        await super().startup(sockets)
        self.announce()


def serve(app: FastAPI, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serves until SIGTERM or Ctrl-C; then refuses new requests, and finishes those in progress.

    After SIGTERM it returns: somebody has asked for a regular end.

    Raises:
        KeyboardInterrupt: after Ctrl-C. A second Ctrl-C does not wait for what is in progress.
    """

    def end_regularly(number: int, frame: FrameType | None) -> None:
        """uvicorn raises the signals that it has received again when it has finished; SIGTERM then does nothing."""

    previous = signal.signal(signal.SIGTERM, end_regularly)
    try:
        Server(app, announce).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, previous)
