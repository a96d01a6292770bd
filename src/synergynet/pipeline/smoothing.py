"""The One Euro filter on the parameters of a face, in the frame of the image.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in
Interactive Systems", CHI 2012: an exponential low-pass filter whose cutoff rises with speed, so
that what stands still does not tremble and what moves is not late.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import SynergyNetError
from ..geometry.params import FloatArray, join, split
from ..geometry.pose import transform_camera
from .face import Face, crop_to_image


@dataclass(frozen=True)
class OneEuro:
    """Constants of one filter.

    Attributes:
        min_cutoff: Hz, at rest; lower trembles less.
        beta: Hz per speed, here per face size per second; higher is late less.
        speed_cutoff: Hz, of the low-pass on the derivative from which the speed is taken.
    """

    min_cutoff: float
    beta: float
    speed_cutoff: float = 1.0

    def __post_init__(self) -> None:
        """Raises SynergyNetError where a filter of these constants would answer with nonsense."""
        for name in ("min_cutoff", "beta", "speed_cutoff"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0) or (value == 0 and name != "beta"):
                least = "0 or more" if name == "beta" else "more than 0"
                raise SynergyNetError(f"{name} is {value}; it is a finite number, {least}")


@dataclass(frozen=True)
class SmoothingConstants:
    """Filters of the camera, the identity and the expression coefficients.

    The defaults come from ``tools/research/video_smoothing.py`` (docs/video.md has its table).
    """

    camera: OneEuro = OneEuro(0.15, 45.0)
    identity: OneEuro = OneEuro(0.1, 5.0)
    expression: OneEuro = OneEuro(0.3, 40.0)


class FilteredArray:
    """One array under a One Euro filter; all its numbers share one cutoff.

    So the answer lies on the line between the last answer and the new value, which keeps cameras
    what they are (filters per number bend them) and makes speed a property of the face.
    """

    def __init__(self, constants: OneEuro) -> None:
        self.constants = constants
        self._value: FloatArray | None = None
        self._last: FloatArray | None = None
        self._derivative: FloatArray | None = None

    def __call__(
        self, value: FloatArray, step: float, speed: Callable[[FloatArray], float]
    ) -> FloatArray:
        """The filtered value; the first passes as it is.

        Args:
            value: of this frame, the same shape every time.
            step: seconds since the frame before.
            speed: length of a derivative (same shape, per second) in face sizes per second.
        """
        if self._value is None or self._last is None or self._derivative is None:
            self._value, self._last, self._derivative = value, value, np.zeros_like(value)
            return value
        c = self.constants
        slope = (value - self._last) / step
        self._derivative = self._derivative + blend(c.speed_cutoff, step) * (
            slope - self._derivative
        )
        cutoff = c.min_cutoff + c.beta * speed(self._derivative)
        self._last = value
        self._value = self._value + blend(cutoff, step) * (value - self._value)
        return self._value


class FaceSmoother:
    """Filters one face from frame to frame.

    Crops change with every frame, and with them the numbers of a face that stands still. So the
    camera is carried into the image's frame, filtered there, and carried back.
    """

    def __init__(self, constants: SmoothingConstants | None = None) -> None:
        c = constants or SmoothingConstants()
        self._camera = FilteredArray(c.camera)
        self._identity = FilteredArray(c.identity)
        self._expression = FilteredArray(c.expression)

    def __call__(self, face: Face, step: float) -> Face:
        """The face with filtered parameters, valid in the same crop.

        Args:
            face: of this frame, unfiltered.
            step: seconds since the frame before, more than 0.
        """
        model = face.face_model
        camera, identity, expression = split(np.asarray(face.params, dtype=np.float64))
        to_image = crop_affine(face)
        placed = transform_camera(camera, to_image)
        points = model.landmarks(identity, expression)
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        scale = float(np.linalg.norm(placed[:2, :3]) / math.sqrt(2))  # pixels per model unit
        size = model_size(points) * max(scale, 1e-9)

        def camera_speed(change: FloatArray) -> float:
            return _rms(homogeneous @ change[:2].T) / size

        def identity_speed(change: FloatArray) -> float:
            return _rms(np.tensordot(change, model.landmark_identity, 1)) * scale / size

        def expression_speed(change: FloatArray) -> float:
            return _rms(np.tensordot(change, model.landmark_expression, 1)) * scale / size

        placed = self._camera(placed, step, camera_speed)
        identity = self._identity(identity, step, identity_speed)
        expression = self._expression(expression, step, expression_speed)
        params = join(transform_camera(placed, _inverse(to_image)), identity, expression)
        return replace(face, params=params)


def blend(cutoff: float, step: float) -> float:
    """Weight of the new value in an exponential filter: cutoff in Hz, step in seconds."""
    turn = 2 * math.pi * cutoff * step
    return turn / (1 + turn)


def crop_affine(face: Face) -> FloatArray:
    """(2, 3) from the 1-based pixels of the face's crop to the image, as its frame has it."""
    (x, y, _), (x1, y1, _) = crop_to_image([[0, 0, 0], [1, 1, 1]], face.crop, face.frame).tolist()
    return np.array([[x1 - x, 0, x], [0, y1 - y, y]])


def model_size(points: FloatArray) -> float:
    """sqrt(w h) of the box about (68, 3) landmarks in the model's frame: the size of a frontal
    face, whichever way the head turns."""
    extent = np.ptp(points[:, :2], axis=0)
    return float(np.sqrt(np.prod(extent)))


def _inverse(affine: FloatArray) -> FloatArray:
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, -linear @ affine[:, 2:]], axis=1)


def _rms(vectors: FloatArray) -> float:
    """Root of the mean squared length of (n, 2 or 3) vectors."""
    return float(np.sqrt((vectors**2).sum(axis=1).mean()))
