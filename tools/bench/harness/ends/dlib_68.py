"""Measures dlib's 68 landmarks in an environment of its own: a worker process, see ``serving``.

The weights are those of ``face_recognition_models``, found without importing that package, which
needs an old setuptools.
"""

import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[3]))

import cv2
import dlib
import numpy as np
from shared.timing import milliseconds_within

from harness.ends.pnp import pose_of
from harness.ends.serving import THREADS, serve

SIX = (30, 8, 36, 45, 48, 54)
"""Of the 68 points: nose tip, chin, outer corners of the eyes, corners of the mouth."""


@cache
def networks() -> Any:
    spec = find_spec("face_recognition_models")
    assert spec is not None and spec.origin is not None
    weights = Path(spec.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(weights))


@cache
def rgb(path: str) -> Any:
    return np.ascontiguousarray(np.load(path)[..., ::-1])


def photo(image: str, faces: int, **how: Any) -> dict[str, Any]:
    """All faces, however many are expected, and the photo not enlarged: its quickest way."""
    (detector, predictor), picture, found = networks(), rgb(image), [0]
    height, width = picture.shape[:2]

    def whole() -> None:
        rectangles = detector(picture, 0)
        for rectangle in rectangles:
            shape = predictor(picture, rectangle)
            points = np.array([(p.x, p.y) for p in shape.parts()], dtype=float)
            pose_of(points[list(SIX)], width, height)
        found[0] = len(rectangles)

    return {"ms": milliseconds_within(whole, **how), "found": found[0]}


if __name__ == "__main__":
    cv2.setNumThreads(THREADS)
    serve({"photo": photo})
