"""A server for tests: in a thread, on a port that is free."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from synergynet.serve.server import address_of, open_socket


@contextmanager
def serving(app: object) -> Iterator[str]:
    """The address at which ``app`` answers."""
    listening = open_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield address_of(listening)
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def command(*args: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``synergynet args`` in a process of its own, and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "synergynet", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        yield process, line.split()[0]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
