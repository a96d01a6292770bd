"""Coordinate frames, each conversion one named function.

Frames (settled by comparing the benchmark's crops with their photos; docs/conventions.md):

* **image**: 0-based pixel centres of the photo, x right, y down. The internal frame.
* **crop1**: 1-based pixel centres of the 120x120 crop, y down. What ``pixel`` networks and
  the labels of 3DDFA's training data answer in. Less 1 it is **crop0**, what pixels are read by.
* **camera**: crop1 with y up: ``y_camera = 121 - y_crop1``; z toward the viewer. What the
  62 parameters decode to.
* **x120**: the frame of the published protocol, in which ``X = x120 * (ex - sx) / 120 + sx``
  gives 1-based photo coordinates for a box with inclusive corners sx..ex.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .params import INPUT_SIZE, FloatArray

if TYPE_CHECKING:
    from .crops import CropBox

CROP_FLIP = INPUT_SIZE + 1
"""y_camera + y_crop1; official quirk: the flip is about 1-based pixels."""


def camera_to_crop1(points: ArrayLike) -> FloatArray:
    """(..., n, 3) camera frame -> crop1 frame; its own inverse. x and z stay."""
    out = np.array(points, copy=True)
    out[..., 1] = CROP_FLIP - out[..., 1]
    return out


def crop1_to_camera(points: ArrayLike) -> FloatArray:
    """(..., n, 3) crop1 frame -> camera frame."""
    return camera_to_crop1(points)


def crop1_to_crop0(points: ArrayLike) -> FloatArray:
    """(..., n, 2 or 3) 1-based crop pixels -> 0-based indices of the crop's pixels. z stays."""
    out = np.array(points, dtype=np.float64)
    out[..., :2] -= 1
    return out


def crop0_to_crop1(points: ArrayLike) -> FloatArray:
    """Inverse of :func:`crop1_to_crop0`."""
    out = np.array(points, dtype=np.float64)
    out[..., :2] += 1
    return out


def crop1_to_image(points: ArrayLike, box: CropBox) -> FloatArray:
    """(n, 2 or 3) 1-based crop pixels -> 0-based image pixels; z scales like x.

    Pixel centres map to pixel centres: ``X = left + (c1 - 0.5) * side / 120``.
    """
    out = np.array(points, dtype=np.float64)
    scale = box.side / INPUT_SIZE
    out[..., 0] = box.left + (out[..., 0] - 0.5) * scale
    out[..., 1] = box.top + (out[..., 1] - 0.5) * scale
    if out.shape[-1] == 3:
        out[..., 2] *= scale
    return out


def image_to_crop1(points: ArrayLike, box: CropBox) -> FloatArray:
    """(n, 2 or 3) 0-based image pixels -> 1-based crop pixels; inverse of crop1_to_image."""
    out = np.array(points, dtype=np.float64)
    scale = INPUT_SIZE / box.side
    out[..., 0] = (out[..., 0] - box.left) * scale + 0.5
    out[..., 1] = (out[..., 1] - box.top) * scale + 0.5
    if out.shape[-1] == 3:
        out[..., 2] *= scale
    return out


def crop1_to_x120(points: ArrayLike, roi: ArrayLike) -> FloatArray:
    """Move (N, n, 2+) crop1 answers into the protocol's frame of inclusive boxes (N, 4).

    So that the official arithmetic lands where the exact formula with the same boxes does:
    ``X = sx + (c1 - 0.5) N / 120 - 0.5`` with ``N = ex - sx + 1``.
    """
    out = np.array(points, dtype=np.float64)
    boxes = np.asarray(roi, dtype=np.float64)
    for axis in (0, 1):
        extent = (boxes[:, axis + 2] - boxes[:, axis])[:, None]
        target = (out[..., axis] - 0.5) * (extent + 1) / INPUT_SIZE - 0.5
        out[..., axis] = target * INPUT_SIZE / extent
    return out


def x120_to_crop1(points: ArrayLike, roi: ArrayLike) -> FloatArray:
    """Inverse of :func:`crop1_to_x120` for (N, n, 2+) points and (N, 4) inclusive boxes."""
    out = np.array(points, dtype=np.float64)
    boxes = np.asarray(roi, dtype=np.float64)
    for axis in (0, 1):
        extent = (boxes[:, axis + 2] - boxes[:, axis])[:, None]
        offset = out[..., axis] * extent / INPUT_SIZE
        out[..., axis] = (offset + 0.5) * INPUT_SIZE / (extent + 1) + 0.5
    return out


def x120_to_photo1(points: ArrayLike, roi: ArrayLike) -> FloatArray:
    """The official back-projection: (N, n, 2+) x120 -> 1-based photo pixels, boxes (N, 4).

    No -1 and no half pixel, as published; z scales by the mean of both scales.
    """
    out = np.array(points, dtype=np.float64)
    boxes = np.asarray(roi, dtype=np.float64)
    scale = (boxes[:, 2:] - boxes[:, :2]) / INPUT_SIZE
    out[..., 0] = out[..., 0] * scale[:, None, 0] + boxes[:, None, 0]
    out[..., 1] = out[..., 1] * scale[:, None, 1] + boxes[:, None, 1]
    if out.shape[-1] == 3:
        out[..., 2] *= scale.mean(axis=1)[:, None]
    return out


def crop1_to_photo1(points: ArrayLike, roi: ArrayLike) -> FloatArray:
    """The exact back-projection: (N, n, 2+) crop1 -> 1-based photo pixels.

    ``roi`` (N, 4) holds the inclusive 1-based corners that the crops were really cut with.
    """
    out = np.array(points, dtype=np.float64)
    boxes = np.asarray(roi, dtype=np.float64)
    scale = (boxes[:, 2:] - boxes[:, :2] + 1) / INPUT_SIZE
    out[..., 0] = boxes[:, None, 0] + (out[..., 0] - 0.5) * scale[:, None, 0] - 0.5
    out[..., 1] = boxes[:, None, 1] + (out[..., 1] - 0.5) * scale[:, None, 1] - 0.5
    if out.shape[-1] == 3:
        out[..., 2] *= scale.mean(axis=1)[:, None]
    return out


def photo1_to_crop1(points: ArrayLike, roi: ArrayLike) -> FloatArray:
    """Inverse of :func:`crop1_to_photo1`."""
    out = np.array(points, dtype=np.float64)
    boxes = np.asarray(roi, dtype=np.float64)
    scale = INPUT_SIZE / (boxes[:, 2:] - boxes[:, :2] + 1)
    out[..., 0] = (out[..., 0] + 0.5 - boxes[:, None, 0]) * scale[:, None, 0] + 0.5
    out[..., 1] = (out[..., 1] + 0.5 - boxes[:, None, 1]) * scale[:, None, 1] + 0.5
    if out.shape[-1] == 3:
        out[..., 2] *= scale.mean(axis=1)[:, None]
    return out


def photo1_to_image(points: ArrayLike) -> FloatArray:
    """1-based photo pixels (MATLAB, AFLW2000-3D labels) -> the 0-based image frame."""
    out = np.array(points, dtype=np.float64)
    out[..., :2] -= 1
    return out


def image_to_photo1(points: ArrayLike) -> FloatArray:
    """The 0-based image frame -> 1-based photo pixels."""
    out = np.array(points, dtype=np.float64)
    out[..., :2] += 1
    return out
