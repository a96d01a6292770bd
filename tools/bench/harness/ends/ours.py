"""Measures this package: a worker process, see ``serving``."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[3]))

import cv2
import numpy as np
from numpy.typing import NDArray
from shared.timing import milliseconds_within

from harness.ends.phases import Step, see_faces, show_faces
from harness.ends.serving import THREADS, serve
from synergynet import Face, FaceAnalyzer, FaceTracker
from synergynet.geometry.crops import CropBox
from synergynet.pipeline.face import meshes_of

Answer = dict[str, Any]
Box = tuple[float, float, float]


@cache
def analyzer_of(quality: str) -> FaceAnalyzer:
    return FaceAnalyzer(quality=quality, threads=THREADS)


@cache
def array(path: str) -> NDArray[np.uint8]:
    return np.load(path)


def timed(step: Callable[[], list[Face]], dense: bool, how: dict[str, Any]) -> Answer:
    """Times of faces with all that is asked of them."""
    found: list[Face] = []

    def whole() -> None:
        found[:] = step()
        for face in found:
            _ = face.landmarks, face.pose
        if dense:
            meshes_of(found)

    return {"ms": milliseconds_within(whole, **how), "found": len(found)}


def photo(image: str, quality: str, dense: bool = False, **how: Any) -> Answer:
    """A decoded photo to landmarks and pose, or ``dense`` vertices too, of every face."""
    analyzer, bgr = analyzer_of(quality), array(image)
    return timed(lambda: analyzer(bgr), dense, how)


def boxes(
    image: str, boxes: Sequence[Box], quality: str, dense: bool = False, **how: Any
) -> Answer:
    """Known boxes to landmarks and pose, or ``dense`` vertices too."""
    analyzer, bgr = analyzer_of(quality), array(image)
    crops = [CropBox(*box) for box in boxes]
    return timed(lambda: analyzer.faces_in(bgr, crops), dense, how)


def frames(frames: str, quality: str, **how: Any) -> Answer:
    """The frames of a video, followed: the mean time of one."""
    images, found = array(frames), 0
    tracker = tracker_of(quality)
    tracker.reset()
    start = perf_counter()
    for image in images:
        faces = tracker(image)
        for tracked in faces:
            _ = tracked.face.landmarks, tracked.face.pose
        found += len(faces)
    ms = 1000 * (perf_counter() - start) / len(images)
    return {"ms": [ms], "found": round(found / len(images))}


@cache
def tracker_of(quality: str) -> FaceTracker:
    return FaceTracker(FaceAnalyzer(quality=quality, mirror=False, threads=THREADS))


def phases(image: str, jpeg: str, boxes: Sequence[Box], quality: str, **how: Any) -> Answer:
    """Times of every step from the file to dense vertices."""
    crops = [CropBox(*box) for box in boxes]
    return times_of(see_faces(analyzer_of(quality), array(image), Path(jpeg), crops), how)


def outputs(image: str, boxes: Sequence[Box], quality: str, files: bool, **how: Any) -> Answer:
    """Times of every drawing, and of files."""
    crops = [CropBox(*box) for box in boxes]
    with tempfile.TemporaryDirectory() as folder:
        analyzer, place = analyzer_of(quality), Path(folder)
        steps = show_faces(analyzer, array(image), crops, place, files=files)
        return times_of(steps, how)


def times_of(steps: dict[str, Step], how: dict[str, Any]) -> Answer:
    return {"ms": {name: milliseconds_within(step.run, **how) for name, step in steps.items()}}


if __name__ == "__main__":
    cv2.setNumThreads(THREADS)
    serve(
        {
            "photo": photo,
            "boxes": boxes,
            "frames": frames,
            "phases": phases,
            "outputs": outputs,
        }
    )
