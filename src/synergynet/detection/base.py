"""What a face detector is: the answer, the interface, and the box geometry they share.

Frame of every box and point here: pixels of the image handed to the detector, 0-based
pixel centres (the centre of the top-left pixel is (0, 0)), x right, y down.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Detection:
    """One face found in an image.

    Attributes:
        box: (x0, y0, x1, y1) in pixels, 0-based pixel centres. It follows the detector's own
            convention and may reach outside the image; ``FaceDetector.crop_square`` turns it
            into the square that the landmark network expects.
        score: confidence in 0..1, comparable only between answers of one detector.
        points: (5, 2) float64, same frame: right eye, left eye, nose tip, right and left mouth
            corner ("right" is the subject's right, which is on the left of a frontal photo);
            None for a detector without points.
    """

    box: tuple[float, float, float, float]
    score: float
    points: np.ndarray | None = None


class FaceDetector(Protocol):
    """Finds faces in a photo; implementations are interchangeable behind this interface."""

    @property
    def name(self) -> str:
        """Name under which ``create_detector`` knows it."""
        ...

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        """Find the faces of ``bgr``, (H, W, 3) uint8, B, G, R; the best score first."""
        ...

    def crop_square(self, detection: Detection) -> tuple[float, float, float]:
        """The training crop of a face: (cx, cy, side) in pixels, 0-based pixel centres.

        That is the square of side sqrt(2) * max(w, h) of the 68-landmark bounding box, centred
        on it, estimated from what the detector saw.
        """
        ...


@dataclass(frozen=True)
class SquareCalibration:
    """Linear map from a detector's box to the training crop, in units of the box.

    With (x, y) the centre and s = sqrt(w * h) of the box::

        cx, cy, log(side) = x, y, log(s) + (s, s, 1) * (weights @ (1, log(w / h)))

    so the answer moves and scales with the box.

    Attributes:
        weights: (3, 2) nested tuples; rows are x shift, y shift, log scale.
    """

    weights: tuple[tuple[float, float], ...]

    def __call__(self, detection: Detection) -> tuple[float, float, float]:
        """(cx, cy, side) of ``detection``, pixels, 0-based pixel centres."""
        cx, cy, size = box_centre(detection.box)
        dx, dy, log_scale = np.asarray(self.weights) @ box_features(detection.box)
        return cx + size * float(dx), cy + size * float(dy), size * float(np.exp(log_scale))


def box_centre(box: tuple[float, float, float, float]) -> tuple[float, float, float]:
    """Centre x, centre y and geometric mean side of a box, in its pixels."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, float(np.sqrt(max(x1 - x0, 1e-6) * max(y1 - y0, 1e-6)))


def box_features(box: tuple[float, float, float, float]) -> np.ndarray:
    """What ``SquareCalibration`` is linear in: (1, log(w / h)), (2,) float64."""
    x0, y0, x1, y1 = box
    return np.array([1.0, np.log(max(x1 - x0, 1e-6) / max(y1 - y0, 1e-6))])
