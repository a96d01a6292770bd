"""The photo of a request: its bytes, counted as they come."""

import asyncio
import re
from typing import TYPE_CHECKING

from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect, Request

from .problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_MULTIPART = "multipart/form-data"


class Budget:
    """Bytes of all requests that are in memory at once."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    def take(self, count: int) -> None:
        """Raise Problem 429 where there is no room for ``count`` more bytes."""
        if self.used + count > self.limit:
            raise Problem(429, "the server holds as many photos as it may; try again in a second")
        self.used += count

    def give_back(self, count: int) -> None:
        """What :meth:`take` took."""
        self.used -= count


async def read_body(request: Request, budget: Budget, *, most: int, seconds: float) -> bytes:
    """The content of a request; its length stays counted in ``budget``.

    Raises:
        Problem: too large, too slow, cut off, or no room.
    """
    too_large = Problem(413, f"a request may have {most >> 20} MiB; scale the photo down")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    data = bytearray()

    async def receive() -> None:
        async for chunk in request.stream():
            if len(data) + len(chunk) > most:
                raise too_large
            budget.take(len(chunk))
            data.extend(chunk)

    try:
        await asyncio.wait_for(receive(), seconds)
    except BaseException as error:
        budget.give_back(len(data))
        if isinstance(error, asyncio.TimeoutError):
            raise Problem(408, f"the request took longer than {seconds:g} s to arrive") from None
        if isinstance(error, ClientDisconnect):
            raise Problem(400, "the request was cut off") from None
        raise
    return bytes(data)


def photo_of(content_type: str, body: bytes) -> bytes:
    """The photo in a body: all of it, or the first file of a form.

    Raises:
        Problem: a form without a file, or a broken one.
    """
    if not content_type.lower().startswith(_MULTIPART):
        return body
    match = _BOUNDARY.search(content_type)
    if match is None:
        raise Problem(400, "the form's content type names no boundary")
    parts = _Parts()
    try:
        parser = MultipartParser((match[1] or match[2]).encode("latin-1"), parts.callbacks())
        parser.write(body)
        parser.finalize()
    except Exception:  # the parser has half a dozen kinds of its own
        raise Problem(400, "not a complete multipart form") from None
    if parts.photo is None:
        raise Problem(400, "the form holds no file; send the photo as a part with a file name")
    return parts.photo


class _Parts:
    """The first part of a form that has a file name."""

    def __init__(self) -> None:
        self.photo: bytes | None = None
        self._field = self._value = b""
        self._is_file = False
        self._data = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._data, self._is_file = bytearray(), False

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition" and b"filename" in self._value:
            self._is_file = True
        self._field = self._value = b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file and self.photo is None:
            self._data += data[start:end]

    def _end(self) -> None:
        if self._is_file and self.photo is None:
            self.photo = bytes(self._data)
