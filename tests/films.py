"""Small films with one face, made by ffmpeg, with whatever a container can say of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import ASTRONAUT

SIZE = (300, 400)


def ffmpeg_program() -> str:
    """ffmpeg on the PATH, or that of the package imageio-ffmpeg; else the test is skipped."""
    found = shutil.which("ffmpeg")
    if found is None:
        try:
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            pytest.skip("neither ffmpeg nor imageio-ffmpeg is installed")
    return found


def ffmpeg(*arguments: object) -> None:
    command = [ffmpeg_program(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def first_picture(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """As ffmpeg shows it: turned, mirrored, in colour; scaled to ``shape``."""
    command = [ffmpeg_program(), "-v", "error", "-i", path, "-frames:v", "1"]
    command += ["-vf", f"scale={shape[1]}:{shape[0]}", "-pix_fmt", "bgr24", "-f", "rawvideo", "-"]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8).reshape(shape)


def write_base(folder: Path, frames: int = 12) -> Path:
    """A portrait at 25 frames/s, and beside it ``tone.m4a``, three seconds of sound."""
    path = folder / "base.mp4"
    still = ["-loop", 1, "-r", 25, "-i", ASTRONAUT, "-frames:v", frames]
    height, width = SIZE
    ffmpeg(*still, "-vf", f"crop={width}:{height}:0:0", "-c:v", "libx264", "-pix_fmt", "yuv420p",
           "-bf", 0, path)  # fmt: skip
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:a", "aac", folder / "tone.m4a")
    return path


def starts(path: Path) -> dict[str, float]:
    """Seconds of the first picture and the first sound, by PyAV."""
    av = pytest.importorskip("av")
    out = {}
    for kind in ("video", "audio"):
        with av.open(str(path)) as film:
            streams = [s for s in film.streams if s.type == kind]
            if streams:
                out[kind] = float(next(film.decode(streams[0])).time)
    return out
