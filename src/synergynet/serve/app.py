"""The server as an ASGI application."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from .api import Api
from .batching import Analyzer
from .problems import Problem, on_any_error, on_problem
from .security import Guard
from .settings import Settings


def create_app(
    analyzer: Analyzer | None, settings: Settings, pages: Sequence[BaseRoute] = ()
) -> Starlette:
    """An application that answers with the faces of photos, and with pages.

    Args:
        analyzer: for ``/v1/faces``; None to serve pages alone.
        settings: what is allowed.
        pages: more routes.
    """
    api = None if analyzer is None else Api(analyzer, settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if api is not None:
            api.close()

    return Starlette(
        routes=[*([] if api is None else api.routes()), *pages],
        middleware=[Middleware(Guard, settings=settings)],
        exception_handlers={
            Problem: on_problem,
            HTTPException: _on_http,
            Exception: on_any_error,
        },
        lifespan=lifespan,
    )


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "there is nothing here", 405: "this address does not know that method"}
    headers = dict(error.headers or {})
    return Problem(error.status_code, texts.get(error.status_code, "no"), headers).response()
