"""An application on an address, until a signal ends it."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from ..errors import SynergyNetError

_PATIENCE = 30
"""Seconds that requests in work may take after a signal to stop."""

_CONNECTIONS = 1024


class _Server(uvicorn.Server):
    """Ends orderly at SIGTERM and SIGINT; uvicorn's own would raise the signal again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {n: signal.signal(n, self.handle_exit) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def open_socket(host: str, port: int) -> socket.socket:
    """A listening address.

    Args:
        port: 0 for any that is free.

    Raises:
        SynergyNetError: taken, forbidden, or no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(512)
    except OSError as error:
        raise SynergyNetError(
            f"{host}:{port}: cannot listen there ({error.strerror or error}); give another --port"
        ) from error
    return found


def address_of(listening: socket.socket) -> str:
    """``http://127.0.0.1:8000``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: ASGIApp, listening: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; requests in work are answered first.

    Args:
        started: called once connections are accepted.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_PATIENCE,
    )
    server = _Server(config)

    async def serve() -> None:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if server.started:
            started()
        await task

    asyncio.run(serve())
