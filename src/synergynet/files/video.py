"""Video files and cameras: their frames, with the time of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .containers import SELDOM_DECODED, codec_name, file_is_whole, film_head, picture_start
from .decoders import Decoder, OpenCvDecoder, PyAvDecoder
from .film_names import Film, looks_like_a_photo
from .limits import max_pixels

FRAME_RATE = 25.0
"""Frames per second, where a video does not tell."""

_FASTEST = 240.0
_LONGEST_STEP = 60.0  # seconds between two frames; more is a broken clock
_WIDEST = 8  # of a pixel by its height, or the other way round; more is a broken header


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a video.

    Attributes:
        number: from 0.
        time: seconds since the start of the film, where its first stream begins, picture or
            sound; of a camera since its first frame.
        image: (H, W, 3) uint8 BGR, the same size in every frame, upright, of square pixels.
    """

    number: int
    time: float
    image: NDArray[np.uint8]


class VideoSource:
    """Frames of a video file or a camera, as a player shows them: upright, of square pixels, BGR.

    OpenCV decodes. Where it cannot, PyAV does if it is installed. Where the size changes on the
    way, frames are scaled to that of the first. docs/video.md lists what is honoured.

    Args:
        source: a file, ``-`` for standard input, or the number of a camera.

    Attributes:
        path: of the file; of what came through a pipe, its copy. None for a camera.
        size: (H, W) of the frames.
        start: seconds from the start of the film to its first picture.

    Raises:
        SynergyNetError: no such file or camera, or not a readable video.
    """

    def __init__(self, source: Path | int) -> None:
        self._film = Film(source) if isinstance(source, Path) else None
        self.path = None if self._film is None else self._film.path
        self.name = f"camera {source}" if self._film is None else self._film.name
        self.start = 0.0
        self._decoder: Decoder | None = None
        try:
            head = None if self.path is None else film_head(self.path)
            self._decoder = OpenCvDecoder(source if self.path is None else self.path, head)  # type: ignore[arg-type]
            self._check_size()
            first = self._decoder.read() if self._decoder.opened else None
            if first is None and self.path is not None:
                first = self._try_pyav(head)
            if first is None:
                raise SynergyNetError(self._problem())
            self.size = _shown_size(first.shape[:2], self._decoder.pixel_aspect)
            if self.size[0] * self.size[1] > max_pixels():
                raise self._too_large()
            if self.path is not None:
                self.start = picture_start(self.path, head)
        except BaseException:
            self.close()
            raise
        self._first = self._as_shown(first)
        self.frames_read = 0

    def _try_pyav(self, head: object) -> NDArray[np.uint8] | None:
        """The first picture by PyAV, which then decodes the rest."""
        assert self.path is not None and self._decoder is not None
        try:
            second = PyAvDecoder(self.path, head)  # type: ignore[arg-type]
        except (ImportError, OSError, ValueError):
            return None
        first = None
        try:
            first = second.read()
        finally:
            if first is None:
                second.close()
        if first is not None:
            self._decoder.close()
            self._decoder = second
            self._check_size()
        return first

    def _check_size(self) -> None:
        assert self._decoder is not None
        if self._decoder.size[0] * self._decoder.size[1] > max_pixels():
            raise self._too_large()

    def _too_large(self) -> SynergyNetError:
        return SynergyNetError(
            f"{self.name}: frames of more than {max_pixels() / 1e6:g} megapixels; "
            "scale the video down"
        )

    def _problem(self) -> str:
        """Why there is no picture, with the cure."""
        assert self._decoder is not None
        if self.path is None and not self._decoder.opened:
            return (
                f"{self.name} cannot be opened; check that it is plugged in, that no other "
                "program uses it, and that you may read it"
            )
        if self.path is None:
            return f"{self.name} gives no picture; try another number"
        if looks_like_a_photo(self.path):
            return f"{self.name}: not a readable video but a photo; synergynet infer reads photos"
        broken = "it may be cut off, damaged or no video at all, so copy or convert it again"
        code = self._decoder.code()
        if code is None:
            return f"{self.name}: not a readable video; {broken}"
        codec = codec_name(code)
        if pyav_is_installed():
            return f"{self.name}: not a readable video ({codec}); {broken}"
        cure = 'pip install "synergynet[video]" brings a decoder for it, or convert it to H.264'
        if codec.partition(" [")[0] in SELDOM_DECODED:
            return f"{self.name}: its pictures are {codec}, which OpenCV does not decode; {cure}"
        return (
            f"{self.name}: not a readable video; OpenCV opens it and cannot decode its {codec}; if "
            f"players show it, {cure}; else {broken}"
        )

    @property
    def frame_rate(self) -> float:
        """Frames per second that the file or camera declares; 25 if that makes no sense."""
        declared = 0.0 if self._decoder is None else self._decoder.frame_rate
        return declared if 1 <= declared <= _FASTEST else FRAME_RATE

    @property
    def frame_count(self) -> int | None:
        """Frames that the file declares, often more than it has; None if unknown."""
        if self.path is None or self._decoder is None:
            return None
        count = self._decoder.frame_count
        return int(count) if 0 < count < 1e9 else None

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames, once; memory holds one at a time."""
        assert self._decoder is not None
        image: NDArray[np.uint8] | None = self._first
        del self._first
        first, seen = self._decoder.now(), 0.0
        while image is not None:
            yield VideoFrame(self.frames_read, self.start + seen, image)
            self.frames_read += 1
            picture = self._decoder.read()
            image = None if picture is None else self._as_shown(picture)
            seen = self._next_time(seen, self._decoder.now() - first)

    def _next_time(self, last: float, now: float) -> float:
        step = now - last
        # Clocks of broken files, and of some formats, stand still or jump.
        return last + (step if 0 < step <= _LONGEST_STEP else 1 / self.frame_rate)

    def _as_shown(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        if picture.shape[:2] != self.size:
            picture = np.asarray(cv2.resize(picture, self.size[::-1]), dtype=np.uint8)
        return picture

    def complaint(self) -> str | None:
        """After the last frame: a sentence if the file ended before its time."""
        if self.path is None:
            return None
        if file_is_whole(self.path) in (True, None):
            return None
        return (
            f"{self.name}: the file is cut off or damaged after {self.frames_read} frames; the "
            "results go up to there, copy or download it again for the rest"
        )

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        if self._film is not None:
            self._film.close()


def pyav_is_installed() -> bool:
    """Whether the extra ``video`` is there."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def _shown_size(stored: tuple[int, ...], aspect: Fraction) -> tuple[int, int]:
    """(H, W) of pictures whose pixels are ``aspect`` times as wide as high: enlarged, never
    reduced."""
    height, width = stored[0], stored[1]
    if not Fraction(1, _WIDEST) <= aspect <= _WIDEST:
        return height, width
    if aspect >= 1:
        return height, round(width * aspect)
    return round(height / aspect), width
