"""Landmarks, pose axes and pose boxes over the photo."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..pipeline.face import Face
from ..rendering import draw_axes, draw_box, draw_landmarks
from .pictures import Pictures

Bgr = NDArray[np.uint8]


def landmarks(pictures: Pictures) -> Bgr:
    """The 68 landmarks as dots, joined by the classic lines."""
    return _each(
        pictures, lambda on, face, opacity: draw_landmarks(on, face.landmarks, opacity=opacity)
    )


def pose(pictures: Pictures) -> Bgr:
    """The axes of the head: x red, y green, z blue."""
    return _posed(pictures, draw_axes)


def box(pictures: Pictures) -> Bgr:
    """The pose box about the head."""
    return _posed(pictures, draw_box)


def _posed(pictures: Pictures, stroke: Callable[..., Bgr]) -> Bgr:
    return _each(
        pictures,
        lambda on, face, opacity: stroke(on, face.landmarks, face.pose.rotation, opacity=opacity),
    )


def _each(pictures: Pictures, stroke: Callable[[Bgr, Face, float], Bgr]) -> Bgr:
    out = pictures.image.copy()
    opacity = pictures.style.opacity_or(1.0)
    # From far to near: a face's lines end where a nearer face begins.
    for number in reversed(np.argsort(pictures.scales, kind="stable")[::-1].tolist()):
        drawn = stroke(out, pictures.faces[number], opacity)
        hidden = pictures.hidden(number)
        if hidden is not None:
            drawn[hidden] = out[hidden]
        out = drawn
    return out
