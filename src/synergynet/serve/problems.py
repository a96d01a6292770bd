"""Answers that say what is wrong: one sentence, never a traceback."""

import logging

from starlette.requests import Request
from starlette.responses import JSONResponse

RETRY_SECONDS = "1"


class Problem(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP.
        text: one sentence that names the cure.
    """

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, dict(headers or {})
        if status in (429, 503):
            self.headers.setdefault("Retry-After", RETRY_SECONDS)
        if status == 401:
            self.headers.setdefault("WWW-Authenticate", "Bearer")

    def response(self) -> JSONResponse:
        """``{"error": text}``."""
        return JSONResponse({"error": self.text}, self.status, headers=self.headers)


async def on_problem(_: Request, error: Exception) -> JSONResponse:
    """The answer to a :class:`Problem`."""
    assert isinstance(error, Problem)
    return error.response()


async def on_any_error(request: Request, error: Exception) -> JSONResponse:
    """The answer where the server itself failed; the traceback goes to its log."""
    logging.getLogger("synergynet.serve").error("%s failed", request.url.path, exc_info=error)
    return Problem(500, "the server failed at this request; its log says more").response()
