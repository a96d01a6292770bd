"""Detectors, networks and scenes whose answers are known."""

from __future__ import annotations

import numpy as np
from small_models import centred, weights_info

from synergynet.detection import Detection
from synergynet.face_model.model import FaceModel
from synergynet.geometry import params
from synergynet.geometry.crops import LANDMARK_BOX_PIXELS
from synergynet.geometry.pose import transform_camera
from synergynet.pipeline import FaceAnalyzer
from synergynet.pipeline.tracking import FaceTracker
from synergynet.regression import Prediction
from synergynet.weights.info import WeightsInfo

SIZE = (300, 400)
RATE = 25.0
"""Of the pictures and films: (H, W) pixels, frames per second."""


class FixedDetector:
    """Finds the same squares (cx, cy, side) in every photo, scores falling from 0.9."""

    name = "fixed"

    def __init__(self, *squares: tuple[float, float, float]) -> None:
        self.squares = squares

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        return [
            Detection((x - s / 3, y - s / 3, x + s / 3, y + s / 3), 0.9 - 0.1 * i)
            for i, (x, y, s) in enumerate(self.squares)
        ]

    def crop_square(self, detection: Detection) -> tuple[float, float, float]:
        return self.squares[round((0.9 - detection.score) * 10)]


class FixedRegressor:
    """Answers ``raw`` for every crop and remembers what it was shown."""

    face_model: FaceModel | None = None

    def __init__(self, info: WeightsInfo, raw: np.ndarray) -> None:
        self.info, self.raw, self.seen = info, raw, []

    def predict(self, crops: np.ndarray, /) -> np.ndarray:
        self.seen.append(crops)
        return np.tile(self.raw.astype(np.float32), (len(crops), 1))


def analyzer(
    model: FaceModel, *squares, raw=None, passes=2, conventions=None, mirror=False, **info
):
    regressor = FixedRegressor(weights_info(model, **info), centred(model) if raw is None else raw)
    return FaceAnalyzer(
        FixedDetector(*squares),
        regressor,
        model,
        conventions=conventions,
        passes=passes,
        mirror=mirror,
    )


class Scene:
    """Faces (x, y, side of the crop), a detector that sees them, and a network that answers right.

    The network says 1 % where a crop overlaps a face well, 30 % where there is none.
    """

    name = "scene"
    face_model = None

    def __init__(self, model, *faces: tuple[float, float, float]) -> None:
        self.faces = list(faces)
        self.info = weights_info(model)
        self.raw = centred(model, LANDMARK_BOX_PIXELS)
        self.looks, self.batches = 0, []

    def detect(self, bgr: np.ndarray) -> list[Detection]:
        self.looks += 1
        return [
            Detection((x - s / 3, y - s / 3, x + s / 3, y + s / 3), 0.9 - 0.1 * i)
            for i, (x, y, s) in enumerate(self.faces)
        ]

    def crop_square(self, detection: Detection) -> tuple[float, float, float]:
        return self.faces[round((0.9 - detection.score) * 10)]

    def predict(self, crops: np.ndarray, /) -> np.ndarray:
        return self.assess(crops).params

    def assess(self, crops: np.ndarray, /) -> Prediction:
        self.batches.append(len(crops))
        answers = [self._answer(crop.astype(float)) for crop in crops]
        raw, expected = zip(*answers, strict=True)
        return Prediction(np.array(raw, np.float32), np.array(expected, np.float32))

    def _answer(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        x, y = crop[..., 0].mean() / 255 * (SIZE[1] - 1), crop[..., 1].mean() / 255 * (SIZE[0] - 1)
        columns = crop[..., 0].mean(axis=0)
        side = (columns[90:].mean() - columns[:30].mean()) * 120 / 90 / 255 * (SIZE[1] - 1)
        if not self.faces or side < 1:
            return self.raw, 30.0
        fx, fy, fside = min(self.faces, key=lambda f: np.hypot(f[0] - x, f[1] - y))
        if np.hypot(fx - x, fy - y) > 0.6 * fside:
            return self.raw, 30.0
        zoom = fside / side  # from the face's own crop to this one
        shift = [(f - c) * 120 / side + 60.5 - 60.5 * zoom for f, c in ((fx, x), (fy, y))]
        affine = [[zoom, 0, shift[0]], [0, zoom, shift[1]]]
        camera, shape, expression = params.split(self.raw)
        return params.join(transform_camera(camera, affine), shape, expression), 1.0


def place_picture() -> np.ndarray:
    """A picture whose blue and green say where one is, so that a crop tells its place."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    zero = np.zeros(SIZE)
    planes = [columns * 255 / (SIZE[1] - 1), rows * 255 / (SIZE[0] - 1), zero]
    return np.rint(np.stack(planes, axis=-1)).astype(np.uint8)


def tracker(scene: Scene, model, **options: object) -> FaceTracker:
    analyzer = FaceAnalyzer(detector=scene, weights=scene, face_model=model, mirror=False)
    return FaceTracker(analyzer, **({"smooth": False, "frame_rate": RATE} | options))


# --- Rendering


def sphere(center: tuple[float, float, float], radius: float, steps: int = 24):
    """Vertices in the image frame and triangles, counter-clockwise from outside with y up."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, steps), np.linspace(0, 2 * np.pi, steps))
    up = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], -1)
    cell = np.arange(steps * steps).reshape(steps, steps)
    a, b, c, d = (q.ravel() for q in (cell[:-1, :-1], cell[:-1, 1:], cell[1:, 1:], cell[1:, :-1]))
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([a, d, c], 1)])
    return up.reshape(-1, 3) * (1, -1, 1) * radius + center, triangles


def landmarks(scale: float = 1.0, center: tuple[float, float] = (100.0, 100.0)) -> np.ndarray:
    """68 points spread over a square of 100 * scale pixels, far from one another."""
    x, y = np.meshgrid(np.arange(9), np.arange(8))
    grid = np.stack([x, y], -1).reshape(-1, 2)[:68] / (8, 7) - 0.5
    return grid * 100 * scale + center
