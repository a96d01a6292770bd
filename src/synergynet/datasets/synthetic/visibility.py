"""Which landmarks a picture shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...face_model.model import FaceModel
from ...geometry.params import FloatArray

HIDDEN, OCCLUDED, VISIBLE = 0, 1, 2
"""By the head itself; by something else, or outside the crop; visible. As in MERL-RAV."""

_TURNED_AWAY = -0.15
"""Cosine between normal and viewer below which a point is on the far side. A little under 0:
on the outline of a profile the normals of visible landmarks are at right angles to the view."""

_ON_EDGES = slice(36, 68)
"""Eyes and lips: their landmarks lie on edges that turn inward, so only the z-buffer decides."""

_EDGE_TOLERANCE = 2.5
"""Lids and lips fold over their landmarks by up to 7 mm in faces seen from the front."""


def landmark_visibility(
    model: FaceModel,
    points: FloatArray,
    normals: FloatArray,
    depth: NDArray[np.float32],
    blocked: NDArray[np.float32],
    tolerance: float,
) -> NDArray[np.uint8]:
    """(68,) of ``HIDDEN``, ``OCCLUDED``, ``VISIBLE``.

    Args:
        points: (68, 3) landmarks in pixels of the picture.
        normals: (V, 3) of the vertices, image frame; the model's come first.
        depth: (S, S) z-buffer of the head, -inf where it is not.
        blocked: (S, S) how much of each pixel something else covers, in [0, 1].
        tolerance: how far a landmark may lie behind the z-buffer, same unit as z.
    """
    toward = model.at_landmarks(normals[: model.n_vertices])[:, 2]
    facing: NDArray[np.bool_] = np.greater(toward, _TURNED_AWAY)
    side = len(depth)
    at = np.rint(points[:, :2]).astype(np.intp)
    inside = ((at >= 1) & (at < side - 1)).all(axis=1)
    x, y = np.clip(at, 1, side - 2).T
    dy, dx = (d.ravel() for d in np.mgrid[-1:2, -1:2])
    around = depth[y[:, None] + dy, x[:, None] + dx]
    # The farthest of what is seen around: a landmark on the outline has a nearer surface beside it.
    farthest = np.where(np.isfinite(around), around, np.inf).min(axis=1)
    on_outline = ~np.isfinite(farthest)
    edges = np.zeros(len(points), dtype=bool)
    edges[_ON_EDGES] = True
    free = farthest - points[:, 2] < tolerance * np.where(edges, _EDGE_TOLERANCE, 1.0)
    facing = facing | (edges & inside & ~on_outline)
    out = np.full(len(points), HIDDEN, dtype=np.uint8)
    out[facing & (free | on_outline | ~inside)] = VISIBLE
    covered = blocked[y[:, None] + dy, x[:, None] + dx].mean(axis=1) > 0.5
    outside = (points[:, :2] < -0.5).any(axis=1) | (points[:, :2] > side - 0.5).any(axis=1)
    out[(out == VISIBLE) & (covered | outside)] = OCCLUDED
    return out
