"""Measures MediaPipe's FaceMesh in an environment of its own: a worker process, see ``serving``."""

import sys
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[3]))

import cv2
import mediapipe
import numpy as np
from shared.timing import milliseconds_within

from harness.ends.pnp import pose_of
from harness.ends.serving import THREADS, serve

SIX = (1, 152, 33, 263, 61, 291)
"""Of the 468 points: nose tip, chin, outer corners of the eyes, corners of the mouth."""


@cache
def face_mesh(still: bool, faces: int) -> Any:
    return mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=still, max_num_faces=faces, refine_landmarks=False
    )


@cache
def rgb(path: str) -> Any:
    """What is asked for in RGB is given in RGB: turning the channels is not on its bill."""
    return np.ascontiguousarray(np.load(path)[..., ::-1])


def faces_in(mesh: Any, image: Any) -> int:
    """Landmarks (468, 3) in pixels and the pose of every face; answers with their number."""
    height, width = image.shape[:2]
    found = mesh.process(image).multi_face_landmarks or []
    for face in found:
        points = np.array([(p.x, p.y, p.z) for p in face.landmark]) * (width, height, width)
        pose_of(points[list(SIX), :2], width, height)
    return len(found)


def photo(image: str, faces: int, **how: Any) -> dict[str, Any]:
    """Photo mode: the detector runs in every call."""
    mesh, picture, found = face_mesh(True, faces), rgb(image), [0]

    def whole() -> None:
        found[0] = faces_in(mesh, picture)

    return {"ms": milliseconds_within(whole, **how), "found": found[0]}


def frames(frames: str, **how: Any) -> dict[str, Any]:
    """Tracking mode: the mean time of a frame."""
    images, mesh = rgb(frames), face_mesh(False, 1)
    mesh.reset()
    start = perf_counter()
    found = sum(faces_in(mesh, image) for image in images)
    ms = 1000 * (perf_counter() - start) / len(images)
    return {"ms": [ms], "found": round(found / len(images))}


if __name__ == "__main__":
    cv2.setNumThreads(THREADS)
    serve({"photo": photo, "frames": frames})
