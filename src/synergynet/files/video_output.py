"""Video files written: frames at a constant rate, and the sound of the film they come from."""

import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from .decoders import open_file
from .film_names import ffmpeg_input, for_ffmpeg
from .whole_file import CannotWriteError

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""Suffix of an output -> its codec, of those that OpenCV's own FFmpeg can always write."""


class VideoWriter:
    """Writes frames at a constant rate; where the source's varies, they are repeated or left out.

    Args:
        path: to write to; its suffix is one of ``CODECS``.
        size: (H, W) of the frames.
        frame_rate: frames per second.

    Attributes:
        frames_written, repeated, left_out: how many.

    Raises:
        SynergyNetError: OpenCV cannot write such a file.
    """

    def __init__(self, path: Path, size: tuple[int, int], frame_rate: float) -> None:
        self.path, self.size = path, size
        # MPEG-4 wants the rate as a fraction with a denominator of 16 bits.
        self.frame_rate = round(frame_rate, 3 if frame_rate < 65 else 2)
        self.frames_written = self.repeated = self.left_out = 0
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
        count = due - self.frames_written
        for _ in range(count):
            self._writer.write(image)
            self.frames_written += 1
        self.left_out += count < 1
        self.repeated += max(count - 1, 0)

    def close(self) -> None:
        """Finish the file.

        Raises:
            CannotWriteError: it is not there, as on a full disk, of which OpenCV says nothing.
        """
        self._writer.release()
        check = open_file(self.path)
        readable = check.read()[0]
        check.release()
        if not readable or self._frames_in_file() < self.frames_written:
            raise CannotWriteError(
                f"{self.path.name}: the video could not be written; is the disk full?"
            )

    def _frames_in_file(self) -> int:
        """Frames that arrived on the disk, counted without decoding them."""
        check = open_file(self.path)
        if not check.set(cv2.CAP_PROP_FORMAT, -1):
            return self.frames_written
        count = 0
        while check.grab():
            count += 1
        check.release()
        return count


def keep_sound(video: Path, source: Path, seconds: float, *, start: float = 0.0) -> str | None:
    """Add the sound and chapters of ``source``, if it has any, to ``video``.

    The pictures stay as they are; sound that the format cannot hold is encoded again.

    Args:
        video: silent, ``seconds`` long; replaced.
        start: seconds from the start of the source to its first picture, by which those of
            ``video`` are shown later too.

    Returns:
        A sentence if that was not possible, else None.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return "the output has no sound, because ffmpeg is not installed"
    joined = video.with_name("with_sound" + video.suffix)
    for codec in (["-c", "copy"], ["-c:v", "copy"]):
        command = [ffmpeg, "-v", "error", "-nostdin", "-y"]
        command += ["-itsoffset", f"{start:.6f}", *ffmpeg_input(video), *ffmpeg_input(source)]
        command += ["-map", "0:v:0", "-map", "1:a?", "-map_chapters", "1"]
        command += [*codec, "-t", f"{start + seconds:.3f}", for_ffmpeg(joined)]
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
