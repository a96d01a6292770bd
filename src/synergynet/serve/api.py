"""``POST /v1/faces``, ``/healthz`` and ``/metrics``."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ..errors import SynergyNetError
from ..pipeline.analyzer import Analysis
from .answers import Wish, compose, decode
from .batching import Analyzer, Batcher, QueueFullError
from .body import Budget, photo_of, read_body
from .metrics import CONTENT_TYPE, Metrics
from .openapi import document
from .problems import Problem
from .settings import Settings

_HANDS = 2
"""Threads that decode photos and encode answers: bounds the memory that they take."""


class Api:
    """The routes of the interface, and what they share.

    Args:
        analyzer: used by one thread.
        settings: what is allowed.
    """

    def __init__(self, analyzer: Analyzer, settings: Settings) -> None:
        self._settings, self.metrics = settings, Metrics()
        self._batcher = Batcher(analyzer, settings.queue, self.metrics.batch.observe)
        self._budget = Budget(settings.in_flight_bytes)
        self._hands = ThreadPoolExecutor(_HANDS, thread_name_prefix="hands")
        self._working = 0
        self._document = document(token=settings.token is not None)
        self.metrics.waiting.set_function(lambda: self._batcher.waiting)
        self.metrics.in_flight.set_function(lambda: self._budget.used)

    def routes(self) -> list[BaseRoute]:
        """For Starlette."""
        return [
            Route("/v1/faces", self.faces, methods=["POST"]),
            Route("/healthz", self.health),
            Route("/metrics", self.counters),
            Route("/openapi.json", self.describe),
        ]

    def close(self) -> None:
        """Answer what waits, then end the threads."""
        self._batcher.close()
        self._hands.shutdown()

    async def health(self, _: Request) -> Response:
        """Up, and its models are loaded."""
        return PlainTextResponse("ok\n")

    async def counters(self, _: Request) -> Response:
        """For Prometheus."""
        return Response(self.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def describe(self, _: Request) -> Response:
        """The OpenAPI document."""
        return JSONResponse(self._document)

    async def faces(self, request: Request) -> Response:
        """The faces of the photo in the request."""
        start, status = time.perf_counter(), 500
        try:
            answer = await self._faces(request)
            status = 200
            return answer
        except Problem as problem:
            status = problem.status
            raise
        finally:
            self.metrics.requests.labels(str(status)).inc()
            self.metrics.seconds.observe(time.perf_counter() - start)

    async def _faces(self, request: Request) -> Response:
        allowed = self._settings
        wish = Wish.from_query(request.query_params)
        body = await read_body(
            request, self._budget, most=allowed.max_bytes, seconds=allowed.body_seconds
        )
        try:
            # As many again as may wait for the network: those being decoded and encoded.
            if self._working >= 2 * allowed.queue:
                raise _full()
            self._working += 1
            try:
                work = self._answer(request.headers.get("content-type", ""), body, wish)
                text = await asyncio.wait_for(work, allowed.answer_seconds)
            finally:
                self._working -= 1
        except asyncio.TimeoutError:
            raise Problem(503, f"no answer within {allowed.answer_seconds:g} s") from None
        finally:
            self._budget.give_back(len(body))
        return Response(text, media_type="application/json")

    async def _answer(self, content_type: str, body: bytes, wish: Wish) -> bytes:
        loop = asyncio.get_running_loop()
        read = partial(_read, content_type, body, self._settings.max_pixels)
        image = await loop.run_in_executor(self._hands, read)
        try:
            analysis: Analysis = await self._batcher.analyze(image)
        except QueueFullError:
            raise _full() from None
        except SynergyNetError as error:
            raise Problem(422, str(error)) from None
        self.metrics.faces.inc(len(analysis.faces))
        return await loop.run_in_executor(
            self._hands, lambda: _encode(compose(image, analysis.faces, wish))
        )


def _read(content_type: str, body: bytes, max_pixels: int):  # type: ignore[no-untyped-def]
    return decode(photo_of(content_type, body), max_pixels)


def _encode(content: object) -> bytes:
    return bytes(JSONResponse(content).body)


def _full() -> Problem:
    return Problem(429, "too many photos wait; try again in a second")
