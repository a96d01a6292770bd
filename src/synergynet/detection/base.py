"""What a face detector is: the answer, the interface, and the box geometry they share.

Frame of every box and point here: pixels of the image handed to the detector, 0-based
pixel centres (the centre of the top-left pixel is (0, 0)), x right, y down.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ..errors import SynergyNetError


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
    """Finds faces in a photo; implementations are interchangeable behind this interface.

    One may also have ``doubtful_below``, a score: below it the detector is right so rarely that
    the landmark network has to confirm its answers (:func:`doubtful_below`).
    """

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


def doubtful_below(detector: FaceDetector) -> float:
    """The detector's own ``doubtful_below``; 0 for one that has none."""
    return float(getattr(detector, "doubtful_below", 0.0))


Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (K, 4), scores (K,) and points (K, 5, 2) of a look, pixels of the photo."""


def check_image(bgr: np.ndarray) -> None:
    """Raise SynergyNetError for an array that is empty, not uint8 or not (H, W, 3)."""
    if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8 or bgr.size == 0:
        raise SynergyNetError(
            f"a face detector needs a (H, W, 3) uint8 image, not {bgr.shape} {bgr.dtype}"
        )


def scaled(bgr: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) uint8, its sides times ``scale``; and (2,) photo pixels per pixel of it,
    in x and y."""
    height, width = bgr.shape[:2]
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    halvings = 0
    while bgr.shape[0] >= 2 * h and bgr.shape[1] >= 2 * w:
        # Quick, unlike other factors; a last odd row or column is left out.
        y, x = bgr.shape[0] // 2, bgr.shape[1] // 2
        bgr = cv2.resize(bgr[: 2 * y, : 2 * x], (x, y), interpolation=cv2.INTER_AREA)
        halvings += 1
    zoom = np.array([bgr.shape[1] / w, bgr.shape[0] / h]) * 2**halvings
    if bgr.shape[:2] != (h, w):
        bgr = cv2.resize(bgr, (w, h), interpolation=cv2.INTER_LINEAR)  # by less than 2
    return bgr, zoom


def network_input(
    bgr: np.ndarray, scale: float, multiple: int, *, rgb: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) uint8 as a network sees it.

    Args:
        scale: of its sides.
        multiple: to which the scaled sides are filled up with black, right and below.

    Returns:
        (1, 3, h, w) float32, 0..255, B, G, R or R, G, B; and (2,) photo pixels per pixel of it,
        in x and y.
    """
    bgr, zoom = scaled(bgr, scale)
    h, w = bgr.shape[:2]
    padded = tuple(-(-side // multiple) * multiple for side in (h, w))
    image = (np.empty if padded == (h, w) else np.zeros)((1, 3, *padded), np.float32)
    for channel, plane in zip(image[0], cv2.split(bgr)[:: -1 if rgb else 1], strict=True):
        channel[:h, :w] = plane
    return image, zoom


def detections(boxes: np.ndarray, scores: np.ndarray, points: np.ndarray) -> list[Detection]:
    """One :class:`Detection` for each row."""
    rows = zip(boxes.tolist(), scores.tolist(), points, strict=True)
    return [Detection((*box,), score, five) for box, score, five in rows]


@dataclass(frozen=True)
class SquareCalibration:
    """Linear map from what a detector saw to the training crop, in units of its box.

    With (x, y) the centre and s = sqrt(w * h) of the box::

        cx, cy, log(side) = x, y, log(s) + (s, s, 1) * (weights @ features)

    so the answer moves and scales with the box. The features are (1, log(w / h)) or, where the
    weights have 12 columns, behind them the five points' (x, y) from the centre in units of s.

    Attributes:
        weights: (3, 2) or (3, 12) nested tuples; rows are x shift, y shift, log scale.
    """

    weights: tuple[tuple[float, ...], ...]

    def __call__(self, detection: Detection) -> tuple[float, float, float]:
        """(cx, cy, side) of ``detection``, pixels, 0-based pixel centres."""
        cx, cy, size = box_centre(detection.box)
        weights = np.asarray(self.weights)
        dx, dy, log_scale = weights @ crop_features(detection, points=weights.shape[1] > 2)
        return cx + size * float(dx), cy + size * float(dy), size * float(np.exp(log_scale))


def box_centre(box: tuple[float, float, float, float]) -> tuple[float, float, float]:
    """Centre x, centre y and geometric mean side of a box, in its pixels."""
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2, float(np.sqrt(max(x1 - x0, 1e-6) * max(y1 - y0, 1e-6)))


def crop_features(detection: Detection, *, points: bool = False) -> np.ndarray:
    """What ``SquareCalibration`` is linear in, (2,) or with the five points (12,) float64.

    Raises:
        SynergyNetError: ``points`` of a detection that has none.
    """
    x0, y0, x1, y1 = detection.box
    shape = [1.0, float(np.log(max(x1 - x0, 1e-6) / max(y1 - y0, 1e-6)))]
    if not points:
        return np.array(shape)
    if detection.points is None:
        raise SynergyNetError(
            "the weights' calibration reads five points, but the detector has none"
        )
    *centre, size = box_centre(detection.box)
    return np.concatenate([shape, ((detection.points - centre) / size).ravel()])
