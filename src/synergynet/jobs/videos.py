"""A video or camera in, drawn frames and JSON lines out, one frame at a time."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.ahead import ahead
from ..files.video import VideoFrame, VideoSource
from ..files.video_output import VideoWriter, keep_sound
from ..files.whole_file import whole_file
from ..outputs.kinds import IN_VIDEOS, LINES, SURFACES
from ..outputs.pictures import Pictures
from ..pipeline.tracking import FaceTracker, TrackedFace
from ..rendering.draw import face_size


@dataclass(frozen=True)
class VideoSummary:
    """What became of a video.

    Attributes:
        frames: read and analysed.
        faces: ids given.
        notes: sentences about what is missing in the output.
    """

    frames: int
    faces: int
    notes: list[str]


def process_video(
    source: VideoSource,
    tracker: FaceTracker,
    *,
    output: Path | None = None,
    json_lines: Path | None = None,
    draw: Sequence[str] = (),
    show: Callable[[NDArray[np.uint8]], bool] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> VideoSummary:
    """Follow the faces of a video from the first frame to the last, or until told to stop.

    The files appear when everything is written, also after ``stop``; after an error there are
    none. Of a file up to four frames are in memory at a time, of a camera one.

    Args:
        source: to read from.
        tracker: fresh, or reset.
        output: video of the drawn frames, with the source's sound if ffmpeg is installed.
        json_lines: one JSON object per frame and line, see :func:`frame_record`.
        draw: kinds of drawings, see :func:`draw_tracked`.
        show: is handed every drawn frame, and says False to end.
        stop: asked after every frame.
        progress: is handed the number of frames done.

    Raises:
        SynergyNetError: files that cannot be written, or drawings that the face model lacks.
    """
    notes: list[str] = []
    done = 0
    with ExitStack() as stack:
        lines: IO[str] | None = None
        writer: VideoWriter | None = None
        if json_lines is not None:
            partial = stack.enter_context(whole_file(json_lines))
            lines = stack.enter_context(partial.open("w", encoding="utf-8", newline="\n"))
        if output is not None:
            partial = stack.enter_context(whole_file(output))
            writer = VideoWriter(partial, source.size, source.frame_rate)
        # A camera's frames are wanted as they come; those of a file are decoded meanwhile.
        frames = iter(source)
        if source.path is not None:
            frames = stack.enter_context(closing(ahead(source)))
        for frame in frames:
            faces = tracker(frame.image, frame.time)
            if lines is not None:
                lines.write(json.dumps(frame_record(frame, faces), allow_nan=False) + "\n")
            if writer is not None or show is not None:
                picture = draw_tracked(frame.image, faces, draw)
            if writer is not None:
                writer.write(picture, frame.time - source.start)
            done += 1
            if progress is not None:
                progress(done)
            if (show is not None and not show(picture)) or (stop is not None and stop()):
                break
        if writer is not None:
            writer.close()
            if source.path is not None:
                notes += _finish(writer, source.path, source.start)
    return VideoSummary(done, tracker.faces_seen, notes)


def _finish(writer: VideoWriter, source: Path, start: float) -> list[str]:
    """Add the sound; returns sentences about what is not as in the source."""
    notes = []
    if writer.repeated or writer.left_out:
        notes.append(
            f"the output has {writer.frame_rate:g} frames/s throughout: to keep time "
            f"{writer.repeated} frames are repeated in it and {writer.left_out} left out"
        )
    seconds = writer.frames_written / writer.frame_rate
    note = keep_sound(writer.path, source, seconds, start=start)
    return notes + ([note] if note else [])


def frame_record(frame: VideoFrame, faces: Sequence[TrackedFace]) -> dict[str, object]:
    """One line of JSON: ``{"frame", "time", "width", "height", "faces"}``.

    Every face is ``{"id", "age", ...Face.to_dict()}``.
    """
    height, width = frame.image.shape[:2]
    return {
        "frame": frame.number,
        "time": round(frame.time, 4),
        "width": width,
        "height": height,
        "faces": [{"id": f.id, "age": f.age} | f.face.to_dict() for f in faces],
    }


def draw_tracked(
    image: NDArray[np.uint8], faces: Sequence[TrackedFace], kinds: Sequence[str]
) -> NDArray[np.uint8]:
    """One picture with several kinds of drawings on one another.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        faces: of this frame.
        kinds: any of ``IN_VIDEOS`` and at most one of ``SURFACES``; ``depth`` is grey here (see
            ``outputs.maps.depth_in_grey``).

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        SynergyNetError: an unknown kind, two surfaces, or a surface of a face model without
            triangles.
    """
    unknown = set(kinds) - {*SURFACES, *IN_VIDEOS}
    if unknown:
        raise SynergyNetError(
            f"unknown drawing '{unknown.pop()}'; choose from {', '.join(SURFACES + IN_VIDEOS)}"
        )
    surfaces = [kind for kind in SURFACES if kind in kinds]
    if len(surfaces) > 1:
        raise SynergyNetError(f"{' and '.join(surfaces)} hide one another; draw one of them")
    plain, out = [tracked.face for tracked in faces], image
    for kind in [*surfaces, *(kind for kind in LINES if kind in kinds)]:
        out = np.asarray(Pictures(out, plain).draw(kind, video=True), dtype=np.uint8)
    return _draw_ids(out, faces) if "id" in kinds else out


def _draw_ids(image: NDArray[np.uint8], faces: Sequence[TrackedFace]) -> NDArray[np.uint8]:
    """The number of each face below its chin, where no mesh covers it."""
    out = image.copy()
    for tracked in faces:
        size = face_size(tracked.face.landmarks)
        x0, _, x1, y1 = tracked.face.box
        if not 1 <= size < 1e5:
            continue
        scale, text = max(size / 200, 0.4), str(tracked.id)
        width = max(1, round(2 * scale))
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, width)
        at = round((x0 + x1 - w) / 2), min(round(y1 + 0.1 * size) + h, len(image) - 2)
        for color, thick in (((20, 20, 20), 3 * width), ((255, 255, 255), width)):
            cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thick, cv2.LINE_AA)
    return out


def window_problem() -> str | None:
    """Why no window can be opened here, with the cure; None if one can."""
    if not cv2.currentUIFramework():
        return (
            "this OpenCV has no windows; pip uninstall opencv-python-headless and pip install "
            "opencv-python, or write to a file with -o or --json"
        )
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not display:
        return "there is no display to open a window on; write to a file with -o or --json"
    return None


def show_in_window(image: NDArray[np.uint8]) -> bool:
    """Show a frame; False once q or Esc was pressed or the window was closed."""
    name = "synergynet"
    cv2.imshow(name, image)
    key = cv2.waitKey(1) & 0xFF
    return key not in (ord("q"), 27) and cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) >= 1
