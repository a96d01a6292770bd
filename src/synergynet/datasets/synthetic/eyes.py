"""Eyes: white, iris, pupil and catch-light, worked out per pixel on an eyeball behind the lids.

The lids of Open Head move over a surface that is sewn to them, so a painted iris would be
squeezed when an eye closes. An eyeball that is intersected pixel by pixel is covered instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ...geometry.params import FloatArray
from .head import HeadScene

_BALL_MM = 12.5
_IRIS = np.array([[52, 34, 24], [78, 48, 26], [104, 72, 40], [96, 96, 60], [92, 122, 140],
                  [116, 142, 160], [84, 104, 92]], dtype=np.float64)[:, ::-1]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Eyes:
    """Colours (BGR in [0, 255]) and sizes (sines of angles on the eyeball) of a pair of eyes."""

    iris: FloatArray
    white: FloatArray
    iris_size: float
    pupil_size: float
    glint: FloatArray
    gaze: FloatArray


def draw_eyes(gaze: FloatArray, dark: float, rng: Generator) -> Eyes:
    """Random eyes that look along ``gaze``, (2,) degrees to the subject's left and up.

    People of dark skin (``dark`` near 1) have brown eyes.
    """
    kind = rng.integers(3) if rng.random() < 0.45 + 0.6 * dark else rng.integers(len(_IRIS))
    left, up = np.deg2rad(gaze)
    ahead = np.array([np.sin(left) * np.cos(up), np.sin(up), np.cos(left) * np.cos(up)])
    glint = ahead + np.array([rng.normal(0, 0.22), rng.uniform(0.05, 0.3), 0])
    return Eyes(
        iris=_IRIS[kind] * np.exp(rng.normal(0, 0.2)),
        white=np.array([214, 220, 228]) * rng.uniform(0.78, 1.0),
        iris_size=rng.uniform(0.46, 0.52),
        pupil_size=rng.uniform(0.14, 0.27),
        glint=glint / np.linalg.norm(glint),
        gaze=ahead,
    )


def color_eyes(
    scene: HeadScene, face: FloatArray, points: FloatArray, eyes: Eyes
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour of eye pixels whose surface lies at ``points`` (K, 3), model frame.

    Args:
        face: (Vh, 3) head vertices of this face, model frame.

    Returns:
        (K, 3) BGR in [0, 255] and (K,) catch-light in [0, 1].
    """
    color = np.empty((len(points), 3), dtype=np.float32)
    glint = np.empty(len(points), dtype=np.float32)
    right = points[:, 0] < 0
    for ring, chosen in zip(scene.eye_rings, (right, ~right), strict=True):
        margin = face[ring]
        inside = face[_middle_of(scene, ring)]
        ball = np.array([*margin.mean(axis=0)[:2], inside[2] - _BALL_MM])
        away = (points[chosen] - ball) / _BALL_MM
        # Seen along the gaze: the sine of the angle between surface and gaze.
        along = away @ eyes.gaze
        across = np.sqrt(np.maximum((away**2).sum(axis=1) - along**2, 0))
        color[chosen] = _paint(across, eyes)
        toward = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        glint[chosen] = _step(toward @ eyes.glint, 0.991, 0.998)
        # The upper lid shades the ball.
        top, bottom = margin[:, 1].max(), margin[:, 1].min()
        height = (points[chosen, 1] - bottom) / max(top - bottom, 2.0)
        color[chosen] *= (1 - 0.45 * _step(height, 0.55, 1.0))[:, None]
    return color, glint


def _middle_of(scene: HeadScene, ring: NDArray[np.intp]) -> int:
    """The eyeball vertex in the middle of a lid margin."""
    mean = scene.model.mean
    inside = np.flatnonzero(scene.eye[: len(mean)])
    distance = np.linalg.norm(mean[inside, :2] - mean[ring, :2].mean(axis=0), axis=1)
    return int(inside[np.argmin(distance)])


def _paint(across: FloatArray, eyes: Eyes) -> FloatArray:
    """(K,) sine of the angle from the gaze -> (K, 3) colour."""
    edge = _step(across, eyes.iris_size - 0.04, eyes.iris_size + 0.03)[:, None]
    limbus = _step(across, eyes.iris_size - 0.14, eyes.iris_size)[:, None]
    pupil = 1 - _step(across, eyes.pupil_size - 0.03, eyes.pupil_size + 0.03)[:, None]
    iris = eyes.iris * (1.15 - 0.7 * limbus)
    iris = iris * (1 - pupil) + 8 * pupil
    red = _step(across, 0.6, 1.1)[:, None] * np.array([0.2, 0.16, 0.05])
    return iris * (1 - edge) + eyes.white * (1 - red) * edge


def _step(x: FloatArray, low: float, high: float) -> FloatArray:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
