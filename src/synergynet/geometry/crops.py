"""Crop rules: which square of a photo becomes the network's 120x120 input."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .params import INPUT_SIZE, FloatArray

LANDMARK_BOX_RATIO = math.sqrt(2.0)
"""Side of the crop over the largest side of the 68-point bounding box (3DDFA)."""

LANDMARK_BOX_PIXELS = INPUT_SIZE / LANDMARK_BOX_RATIO
"""84.85: the largest side of the 68-point box inside a crop cut by the landmark rule."""


@dataclass(frozen=True)
class CropBox:
    """A square of the photo, in the image frame (0-based pixel centres, y down).

    ``left`` and ``top`` are pixel *edges*: a box over the whole of a 10x10 photo is
    ``CropBox(-0.5, -0.5, 10)``. It may reach outside the photo.
    """

    left: float
    top: float
    side: float

    @classmethod
    def from_center(cls, x: float, y: float, side: float) -> CropBox:
        """Square of ``side`` pixels about the point (x, y)."""
        return cls(x - side / 2, y - side / 2, side)

    @classmethod
    def from_inclusive_photo1(cls, roi: ArrayLike) -> CropBox:
        """From 1-based inclusive corners [sx, sy, ex, ey] of a square box."""
        sx, sy, ex, _ = (float(v) for v in np.asarray(roi).reshape(-1)[:4])
        return cls(sx - 1.5, sy - 1.5, ex - sx + 1)

    @property
    def center(self) -> tuple[float, float]:
        return self.left + self.side / 2, self.top + self.side / 2

    def rounded(self) -> CropBox:
        """The nearest box on whole pixels, at least 1 pixel wide.

        Images are cut on whole pixels; back-projection must use the same rounded box.
        """
        side = max(1, round(self.side))
        x, y = self.center
        return CropBox(round(x - side / 2 + 0.5) - 0.5, round(y - side / 2 + 0.5) - 0.5, side)


def crop_from_landmarks(points: ArrayLike) -> CropBox:
    """The rule of training and benchmark: sqrt(2) x the larger side of the 68-point box.

    Args:
        points: (n, 2 or 3) landmarks in the image frame.
    """
    xy = np.asarray(points, dtype=np.float64)[:, :2]
    low, high = xy.min(axis=0), xy.max(axis=0)
    side = max(float((high - low).max()) * LANDMARK_BOX_RATIO, 1.0)
    x, y = (low + high) / 2
    return CropBox.from_center(float(x), float(y), side)


DEFAULT_CROP_RULE = "landmark_square"

CROP_RULES: Mapping[str, Callable[[ArrayLike], CropBox]] = {DEFAULT_CROP_RULE: crop_from_landmarks}
"""Name, as weights record it -> landmarks (n, 2 or 3) of the image frame to the network's crop."""


def crop_from_box_by_height(box: ArrayLike) -> CropBox:
    """The official demo's rule: a square of about 1.2 x the detector box's height.

    Args:
        box: [x0, y0, x1, y1] in the image frame. Half the side is floor(1.2 height / 2).
    """
    x0, y0, x1, y1 = (float(v) for v in np.asarray(box).reshape(-1)[:4])
    margin = max((y1 - y0) * 1.2 // 2, 0.5)
    return CropBox.from_center((x0 + x1) / 2, (y0 + y1) / 2, 2 * margin)


def zero_border(crops: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
    """Copy of (..., H, W, C) crops whose outer ``border`` pixels are 0; the same for border 0.

    The official training and benchmark do this with 5 pixels, its demo does not.
    """
    if border == 0:
        return crops
    out = np.zeros_like(crops)
    inner = (..., slice(border, -border), slice(border, -border), slice(None))
    out[inner] = crops[inner]
    return out


def _round_half_away(values: FloatArray) -> FloatArray:
    """MATLAB's round: halves away from zero."""
    return np.sign(values) * np.floor(np.abs(values) + 0.5)


def aflw2000_roi(points: ArrayLike, *, clip: int | None = 450) -> FloatArray:
    """Boxes with which the AFLW2000-3D crops were cut, inclusive 1-based corners.

    Args:
        points: (N, 2 or 3, 68) 'ori' landmarks in 1-based photo pixels.
        clip: size of the photos; the stored roi boxes are clipped to [1, 450]. ``None``
            gives the unclipped boxes that the (padded) crop images were really cut with.

    Returns:
        (N, 4) float64 [sx, sy, ex, ey].
    """
    xy = np.asarray(points, dtype=np.float64)[:, :2]
    low, high = xy.min(axis=2), xy.max(axis=2)
    side = (high - low).max(axis=1) / 2 * LANDMARK_BOX_RATIO * 2
    start = _round_half_away((low + high) / 2 - side[:, None] / 2)
    end = _round_half_away(start + side[:, None])
    roi = np.concatenate([start, end], axis=1)
    return roi if clip is None else np.clip(roi, 1, clip)
