"""Standard output and errors that never stop the work: what cannot be shown is let go."""

import errno
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class _Unfailing(io.FileIO):
    """A descriptor whose writes succeed; ``error`` keeps the first that did not."""

    error: OSError | None = None

    def write(self, data: object, /) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        if self.error is not None:
            return size
        try:
            written = super().write(data)  # type: ignore[arg-type]
            while written is None:  # a pipe that does not wait, and is full
                select.select([], [self.fileno()], [])
                written = super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            self.error = error
            return size
        return written


@contextmanager
def unfailing_streams() -> Iterator[Callable[[], str | None]]:
    """Inside, a message that cannot be shown raises nothing.

    Characters that the encoding lacks become escapes. Streams that were closed by the caller
    (``>&-``) lead nowhere: else the first file opened takes their number, and messages go into
    it. Streams that somebody put in place of Python's own, as tests do, stay as they are.

    Yields:
        To be called behind the block: what was lost, a sentence; None if nothing, or only what a
        reader that went away (``| head``) did not want.
    """
    _open_closed_ones()
    before = sys.stdin, sys.stdout, sys.stderr
    raws: dict[str, _Unfailing] = {}
    for name, own in (("output", sys.__stdout__), ("error", sys.__stderr__)):
        attribute = "stdout" if name == "output" else "stderr"
        stream = getattr(sys, attribute)
        if isinstance(stream, io.TextIOWrapper) and stream is own:
            raws[name], text = _wrapped(stream, buffered=name == "output")
            setattr(sys, attribute, text)
    nowhere = Path(os.devnull)
    sys.stdin = sys.stdin or nowhere.open(encoding="utf-8")
    sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")

    def lost() -> str | None:
        for name, raw in raws.items():
            if raw.error is not None and raw.error.errno != errno.EPIPE:
                return f"standard {name}: cannot be written ({raw.error.strerror})"
        return None

    try:
        yield lost
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _wrapped(stream: io.TextIOWrapper, *, buffered: bool) -> tuple[_Unfailing, TextIO]:
    stream.flush()
    raw = _Unfailing(stream.fileno(), "wb", closefd=False)
    as_on_disk = stream.errors == "surrogateescape"  # names that are no UTF-8, in the C locale
    return raw, io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="surrogateescape" if as_on_disk else "backslashreplace",
        line_buffering=stream.line_buffering or not buffered,
    )


def _open_closed_ones() -> None:
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            if opened != number:
                os.close(opened)
