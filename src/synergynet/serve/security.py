"""Who may ask, and what a browser may do with the answer."""

import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import Problem
from .settings import LOOPBACK_NAMES, Settings, is_loopback

COMMON: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The page may use threads only where nothing of others shares its memory.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
"""Content security policy of answers that are no page."""

_SECRET = ("/v1/", "/metrics", "/view/")


class Guard:
    """Middleware: host names, the token, and headers.

    A web page in the same browser could reach a server on loopback by a name of its own that it
    lets resolve to 127.0.0.1; hence other host names are refused there.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._local = is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in COMMON.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", NO_CONTENT)
            await send(message)

        problem = self._problem(scope["path"], Headers(scope=scope))
        answer = self._app if problem is None else problem.response()
        await answer(scope, receive, send_with_headers)

    def _problem(self, path: str, headers: Headers) -> Problem | None:
        name = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if self._local and name.lower() not in (*LOOPBACK_NAMES, self._settings.host):
            return Problem(400, "this server answers to localhost only")
        token = self._settings.token
        if token is None or not path.startswith(_SECRET):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), token.encode())
        if scheme.lower() == "bearer" and same:
            return None
        return Problem(401, "send the server's token: Authorization: Bearer TOKEN")
