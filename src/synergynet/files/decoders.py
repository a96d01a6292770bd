"""Decoders behind one door: OpenCV for files and cameras, PyAV for what OpenCV cannot decode."""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .containers import FilmHead, codec_code
from .film_names import ONLY_FILMS, for_ffmpeg

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOCK = threading.Lock()


class Decoder(Protocol):
    """Pictures of one film or camera.

    Attributes:
        size: (H, W) that is declared, before turning; (0, 0) if nothing is.
        frame_rate: frames per second that is declared, 0 if none.
        frame_count: frames that are declared, 0 if none.
        pixel_aspect: width of a pixel by its height, of the pictures as they are given.
    """

    size: tuple[int, int]
    frame_rate: float
    frame_count: float

    @property
    def pixel_aspect(self) -> Fraction: ...

    @property
    def opened(self) -> bool: ...

    def read(self) -> NDArray[np.uint8] | None:
        """The next picture, upright, (H, W) or (H, W, 3) uint8 BGR; None after the last."""

    def now(self) -> float:
        """Seconds: the time stamp of the last picture; for a camera the computer's clock."""

    def code(self) -> str | None:
        """The container's code of the codec."""

    def close(self) -> None: ...


class OpenCvDecoder:
    """OpenCV's; ``source`` is a file or a camera's number."""

    def __init__(self, source: Path | int, head: FilmHead | None = None) -> None:
        self.path = source if isinstance(source, Path) else None
        self._head = head
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our own sentences only
        if isinstance(source, Path):
            self._capture = open_file(source)
        else:
            self._capture = cv2.VideoCapture(source)
        self._mirror = head is not None and head.mirrored
        if self._mirror:  # OpenCV turns, but takes a mirrored picture for a turned one
            self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        height, width = (
            self._get(name) for name in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        )
        self.size = (int(height), int(width))
        self.frame_rate = self._get(cv2.CAP_PROP_FPS)
        self.frame_count = self._get(cv2.CAP_PROP_FRAME_COUNT)
        self.pixel_aspect = Fraction(1)
        wide, high = self._get(cv2.CAP_PROP_SAR_NUM), self._get(cv2.CAP_PROP_SAR_DEN)
        if self.path is not None and wide > 0 and high > 0:
            aspect = Fraction(int(wide), int(high)) if wide >= 1 and high >= 1 else Fraction(1)
            turned = round(self._get(cv2.CAP_PROP_ORIENTATION_META) / 90) % 2 == 1
            self.pixel_aspect = 1 / aspect if turned else aspect

    @property
    def opened(self) -> bool:
        return self._capture.isOpened()

    def read(self) -> NDArray[np.uint8] | None:
        try:
            found, image = self._capture.read()
        except cv2.error:
            return None
        if not found or image is None or not image.size:
            return None
        picture = np.asarray(image, dtype=np.uint8)
        return upright(picture, self._head) if self._mirror and self._head else picture

    def now(self) -> float:
        return time.monotonic() if self.path is None else self._get(cv2.CAP_PROP_POS_MSEC) / 1000

    def code(self) -> str | None:
        code = int(self._get(cv2.CAP_PROP_FOURCC)) if self.opened else 0
        text = (code & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1").strip("\0 ")
        if text.isascii() and text.isprintable() and text:
            return text
        return None if self.path is None else codec_code(self.path)

    def _get(self, number: int) -> float:
        value = float(self._capture.get(number))
        return value if math.isfinite(value) else 0.0

    def close(self) -> None:
        self._capture.release()


class PyAvDecoder:
    """PyAV's, of the first stream of pictures that is no cover.

    Raises:
        ImportError: PyAV is not installed.
        ValueError, OSError: it cannot open the file, or there is no picture in it.
    """

    def __init__(self, path: Path, head: FilmHead | None = None) -> None:
        import av

        self.path, self._head = path, head
        self._container: Any = av.open(
            for_ffmpeg(path),
            metadata_errors="ignore",
            options=ONLY_FILMS,
        )
        cover = 0x400  # AV_DISPOSITION_ATTACHED_PIC
        films = [s for s in self._container.streams.video if not int(s.disposition) & cover]
        if not films:
            self._container.close()
            raise ValueError("no pictures")
        self._stream: Any = films[0]
        self._stream.thread_type = "AUTO"
        self._frames = self._decode()
        self._now = 0.0
        self.size = (int(self._stream.height or 0), int(self._stream.width or 0))
        self.frame_rate = float(self._stream.average_rate or self._stream.base_rate or 0)
        self.frame_count = float(self._stream.frames or 0)
        self._turned = False
        aspect = self._stream.sample_aspect_ratio
        self._aspect = Fraction(aspect) if aspect else Fraction(1)

    @property
    def pixel_aspect(self) -> Fraction:  # known with the first picture
        return 1 / self._aspect if self._turned else self._aspect

    @property
    def opened(self) -> bool:
        return True

    def _decode(self) -> Iterator[Any]:
        import av

        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:  # a damaged frame: players go on, and so does OpenCV
                continue

    def read(self) -> NDArray[np.uint8] | None:
        try:
            frame = next(self._frames, None)
        except (OSError, ValueError):
            frame = None
        if frame is None:
            return None
        self._now = frame.time if frame.time is not None else self._now
        picture = np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
        quarters = round((frame.rotation or 0) / 90) % 4
        self._turned = quarters % 2 == 1
        if self._head is not None and self._head.mirrored:
            return upright(picture, self._head)
        return np.ascontiguousarray(np.rot90(picture, quarters)) if quarters else picture

    def now(self) -> float:
        return self._now

    def code(self) -> str | None:
        return codec_code(self.path) or str(self._stream.codec_context.name)

    def close(self) -> None:
        self._container.close()


def upright(picture: NDArray[np.uint8], head: FilmHead) -> NDArray[np.uint8]:
    """A stored picture (H, W, ...) turned and mirrored as the film's head says, by quarters."""
    a, b, c, d = head.matrix
    if abs(a) + abs(d) < abs(b) + abs(c):
        picture, right, down = np.swapaxes(picture, 0, 1), c, b
    else:
        right, down = a, d
    return np.ascontiguousarray(picture[:: 1 if down >= 0 else -1, :: 1 if right >= 0 else -1])


def open_file(path: Path) -> cv2.VideoCapture:
    """Open with OpenCV's FFmpeg, if it has one: other back ends read names in ways of their own."""
    if cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends():
        return cv2.VideoCapture(str(path.absolute()))
    options = "|".join(f"{key};{value}" for key, value in ONLY_FILMS.items())
    with _LOCK, _environment(_OPTIONS, options):
        return cv2.VideoCapture(for_ffmpeg(path), cv2.CAP_FFMPEG)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Add ``value`` to the options in an environment variable, for as long as the block runs."""
    old = os.environ.get(name)
    os.environ[name] = value if not old else f"{old}|{value}"
    try:
        yield
    finally:
        if old is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = old
