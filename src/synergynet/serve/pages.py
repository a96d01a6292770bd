"""The page and its files. What it computes with comes from the package, not from the network."""

import gzip
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from .engine_files import NETWORKS, head_file, settings_file
from .problems import Problem
from .start import Start

DATA = Path(__file__).parent / "data"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
}

_COURIER = "default-src 'none'; connect-src 'self'"
"""Of the one worker that fetches files; it never sees a pixel."""

_SCRIPT = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'"
"""Of the other workers, which see the pixels: no requests."""


def _page_policy(pictures: bool) -> str:
    own = "'self' " if pictures else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "worker-src 'self'",
            "style-src 'self'",
            f"img-src {own}blob: data:",
            f"media-src {own}blob:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


@lru_cache(maxsize=64)
def _file(name: str) -> tuple[bytes, bytes | None, str]:
    """Content, the same by gzip where that is stored, and the tag of a file of the page."""
    made: dict[str, Callable[[], bytes]] = {
        "head.bin": head_file,
        "settings.json": settings_file,
        **{network: path.read_bytes for network, path in NETWORKS.items()},
    }
    packed = DATA / f"{name}.gz"
    zipped = packed.read_bytes() if packed.is_file() else None
    if name in made:
        data = made[name]()
    elif zipped is not None:
        data = gzip.decompress(zipped)
    else:
        data = (DATA / name).read_bytes()
    return data, zipped, '"' + hashlib.sha256(data).hexdigest()[:20] + '"'


def page_routes(start: Start | None = None) -> list[BaseRoute]:
    """The page at ``/``, the description of the interface at ``/docs``.

    Args:
        start: what the page opens with, and whose files it may show (``synergynet view``).
    """
    shown = Start() if start is None else start
    names = {path.name.removesuffix(".gz") for path in DATA.iterdir()}
    names |= {"head.bin", "settings.json", *NETWORKS}

    def answer(request: Request, name: str) -> Response:
        if name not in names:
            raise Problem(404, "there is nothing here")
        data, zipped, tag = _file(name)
        # A browser asks each time whether its copy is still right: another version may be running.
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if name.endswith(".html"):
            headers["Content-Security-Policy"] = _page_policy(bool(shown.files))
        elif name == "courier.js":
            headers["Content-Security-Policy"] = _COURIER
        elif name.endswith(("js", "mjs")):
            headers["Content-Security-Policy"] = _SCRIPT
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            data = zipped
        kind = _TYPES.get("." + name.rpartition(".")[2], "application/octet-stream")
        return Response(data, media_type=kind, headers=headers)

    async def index(request: Request) -> Response:
        return answer(request, "index.html")

    async def docs(request: Request) -> Response:
        return answer(request, "docs.html")

    async def file(request: Request) -> Response:
        return answer(request, request.path_params["name"])

    async def opening(_: Request) -> Response:
        return JSONResponse(shown.content, headers={"Cache-Control": "no-store"})

    async def shown_file(request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(shown.files) or not shown.files[number].is_file():
            raise Problem(404, "this file is not there")
        # The name says what it is; browsers are told not to guess.
        return FileResponse(shown.files[number], headers={"Cache-Control": "no-cache"})

    own = [Route("/start.json", opening), Route("/view/{number:int}", shown_file)]
    return [*own, Route("/", index), Route("/docs", docs), Route("/{name}", file)]
