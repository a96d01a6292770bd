"""Video files and cameras: frames read, frames written, sound kept."""

import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .limits import max_pixels
from .whole_file import CannotWriteError, check_file

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""Suffix of an output -> its codec, of those that OpenCV's own FFmpeg can always write."""

CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,m4v,h264,hevc,gif,mjpeg,mxf,ivf,dv"
)
"""FFmpeg's readers that may open a video; none of these reads another file than its own."""

FRAME_RATE = 25.0
"""Frames per second, where a video does not tell."""

_FASTEST = 240.0
_LONGEST_STEP = 60.0  # seconds between two frames; more is a broken clock
_ISO_STARTS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


@dataclass(frozen=True)
class VideoFrame:
    """One picture of a video.

    Attributes:
        number: from 0.
        time: seconds since the first frame.
        image: (H, W, 3) uint8 BGR, the same size in every frame.
    """

    number: int
    time: float
    image: NDArray[np.uint8]


class VideoSource:
    """Frames of a video file or a camera, as OpenCV reads them: upright, BGR.

    Rotation metadata is applied. Where the size changes on the way, frames are scaled to that of
    the first.

    Args:
        source: a file, or the number of a camera.

    Raises:
        SynergyNetError: no such file or camera, or not a readable video.
    """

    def __init__(self, source: Path | int) -> None:
        self.path = source if isinstance(source, Path) else None
        self.name = f"camera {source}" if self.path is None else str(source)
        if self.path is not None:
            check_file(self.path, kind="video")
            if self.path.stat().st_size == 0:
                raise SynergyNetError(f"{self.path}: empty file; copy or download the video again")
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our own sentences only
        self._capture = _open_file(self.path) if self.path else cv2.VideoCapture(int(str(source)))
        try:
            self._first = self._open()
        except BaseException:
            self._capture.release()
            raise
        self.size = (self._first.shape[0], self._first.shape[1])
        self.frames_read = 0

    def _open(self) -> NDArray[np.uint8]:
        opened = self._capture.isOpened()
        if not opened and self.path is None:
            raise SynergyNetError(
                f"{self.name} cannot be opened; check that it is plugged in, that no other "
                "program uses it, and that you may read it"
            )
        pixels = self._property(cv2.CAP_PROP_FRAME_WIDTH) * self._property(
            cv2.CAP_PROP_FRAME_HEIGHT
        )
        if pixels > max_pixels():
            raise SynergyNetError(
                f"{self.name}: frames of more than {max_pixels() / 1e6:g} megapixels; "
                "scale the video down"
            )
        first = self._read() if opened else None
        if first is None and self.path is None:
            raise SynergyNetError(f"{self.name} gives no picture; try another number")
        if first is None:
            raise SynergyNetError(
                f"{self.name}: not a readable video; it may be cut off, damaged or no video at "
                "all, so copy or convert it again"
            )
        return first

    @property
    def frame_rate(self) -> float:
        """Frames per second that the file or camera declares; 25 if that makes no sense."""
        declared = self._property(cv2.CAP_PROP_FPS)
        return declared if 1 <= declared <= _FASTEST else FRAME_RATE

    @property
    def frame_count(self) -> int | None:
        """Frames that the file declares, often more than it has; None if unknown."""
        count = self._property(cv2.CAP_PROP_FRAME_COUNT) if self.path is not None else 0.0
        return int(count) if 0 < count < 1e9 else None

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames, once; memory holds one at a time."""
        image: NDArray[np.uint8] | None = self._first
        del self._first
        start, seen = self._now(), 0.0
        while image is not None:
            yield VideoFrame(self.frames_read, seen, image)
            self.frames_read += 1
            image = self._read()
            seen = self._next_time(seen, start)

    def _now(self) -> float:
        """Seconds: the clock of the file, for a camera that of the computer."""
        if self.path is None:
            return time.monotonic()
        return self._property(cv2.CAP_PROP_POS_MSEC) / 1000

    def _next_time(self, last: float, start: float) -> float:
        step = self._now() - start - last
        # Clocks of broken files, and of some formats, stand still or jump.
        return last + (step if 0 < step <= _LONGEST_STEP else 1 / self.frame_rate)

    def _read(self) -> NDArray[np.uint8] | None:
        try:
            found, image = self._capture.read()
        except cv2.error:
            return None
        if not found or image is None or not image.size:
            return None
        picture = np.asarray(image, dtype=np.uint8)
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        size = getattr(self, "size", picture.shape[:2])
        if picture.shape[:2] != size:
            picture = np.asarray(cv2.resize(picture, (size[1], size[0])), dtype=np.uint8)
        return picture

    def complaint(self) -> str | None:
        """After the last frame: a sentence if the file ended before its time."""
        if self.path is None:
            return None
        whole = _iso_file_is_whole(self.path)
        declared = self.frame_count or 0
        if whole is None:  # other formats: only the declared length tells, and not exactly
            whole = self.frames_read >= 0.9 * declared - 5
        if whole:
            return None
        return (
            f"{self.path}: the file is cut off or damaged after {self.frames_read} frames; the "
            "results go up to there, copy or download it again for the rest"
        )

    def _property(self, number: int) -> float:
        value = float(self._capture.get(number))
        return value if math.isfinite(value) else 0.0

    def close(self) -> None:
        self._capture.release()


class VideoWriter:
    """Writes frames at a constant rate; where the source's varies, they are repeated or left out.

    Args:
        path: to write to; its suffix is one of ``CODECS``.
        size: (H, W) of the frames.
        frame_rate: frames per second.

    Raises:
        SynergyNetError: OpenCV cannot write such a file.
    """

    def __init__(self, path: Path, size: tuple[int, int], frame_rate: float) -> None:
        self.path, self.size = path, size
        # MPEG-4 wants the rate as a fraction with a denominator of 16 bits.
        self.frame_rate = round(frame_rate, 3 if frame_rate < 65 else 2)
        self.frames_written = 0
        codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(path), codec, self.frame_rate, size[::-1])
        if not self._writer.isOpened():
            raise SynergyNetError(
                f"{path.name}: OpenCV cannot write {size[1]} x {size[0]} pixels at "
                f"{self.frame_rate:g} frames/s as {path.suffix}; try another suffix or a full disk"
            )

    def write(self, image: NDArray[np.uint8], seconds: float) -> None:
        """Add (H, W, 3) uint8 BGR, seen so many seconds after the first frame."""
        due = round(seconds * self.frame_rate) + 1
        for _ in range(due - self.frames_written):
            self._writer.write(image)
            self.frames_written += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            CannotWriteError: it is not there, as on a full disk, of which OpenCV says nothing.
        """
        self._writer.release()
        check = _open_file(self.path)
        readable = check.read()[0]
        check.release()
        if not readable or self._frames_in_file() < self.frames_written:
            raise CannotWriteError(
                f"{self.path.name}: the video could not be written; is the disk full?"
            )

    def _frames_in_file(self) -> int:
        """Frames that arrived on the disk, counted without decoding them."""
        check = _open_file(self.path)
        if not check.set(cv2.CAP_PROP_FORMAT, -1):
            return self.frames_written
        count = 0
        while check.grab():
            count += 1
        check.release()
        return count


def _open_file(path: Path) -> cv2.VideoCapture:
    """A file by FFmpeg, which is to read it alone: a playlist names other files and hosts.

    OpenCV's other readers would take a name with ``%`` for a pattern of many files.
    """
    os.environ.setdefault(
        "OPENCV_FFMPEG_CAPTURE_OPTIONS", f"protocol_whitelist;file|format_whitelist;{CONTAINERS}"
    )
    by_ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getStreamBackends()
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG if by_ffmpeg else cv2.CAP_ANY)


def keep_sound(video: Path, source: Path, seconds: float) -> str | None:
    """Add the sound of ``source``, if it has any, to ``video``, which is ``seconds`` long.

    The pictures stay as they are; sound that the format cannot hold is encoded again.

    Returns:
        A sentence if that was not possible, else None.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return "the output has no sound, because ffmpeg is not installed"
    joined = video.with_name("with_sound" + video.suffix)
    for codec in (["-c", "copy"], ["-c:v", "copy"]):
        command = [ffmpeg, "-v", "error", "-nostdin", "-y"]
        alone = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS]
        command += [*alone, "-i", f"file:{video}", *alone, "-i", f"file:{source}"]
        command += ["-map", "0:v:0", "-map", "1:a?"]
        command += [*codec, "-t", f"{seconds:.3f}", f"file:{joined}"]
        try:
            # A session of its own: Ctrl-C is for us, and the file is to be finished.
            done = subprocess.run(
                command, capture_output=True, timeout=60 + seconds, start_new_session=True
            )
        except (OSError, subprocess.TimeoutExpired):
            break
        if done.returncode == 0 and joined.is_file() and joined.stat().st_size:
            joined.replace(video)
            return None
    return "the output has no sound, because ffmpeg could not read that of the input"


def _iso_file_is_whole(path: Path) -> bool | None:
    """Whether an MP4 or MOV file holds all the bytes that it declares; None for other files.

    Its frame count does not tell: players leave out what an edit list cuts off.
    """
    size = path.stat().st_size
    at = 0
    with path.open("rb") as stream:
        while at + 8 <= size:
            stream.seek(at)
            head = stream.read(16)
            if at == 0 and head[4:8] not in _ISO_STARTS:
                return None
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length == 0:  # up to the end of the file
                return True
            if length < 8:
                return False
            at += length
    return at == size
