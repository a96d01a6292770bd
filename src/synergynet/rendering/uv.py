"""Texture coordinates: the seam of a head's layout opened, so that no triangle spans it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray

_STRETCHED = 8.0
"""An edge whose texture is this many times as long as is usual for its length spans the seam."""
_NEIGHBOURS = 16
_ON_PLANE = 1e-3
"""Of the head's width: vertices so near to the sagittal plane lie on it."""


@dataclass(frozen=True, eq=False)
class UvLayout:
    """A mesh for texturing: vertices on the seam come twice.

    Attributes:
        uv: (W, 2) float64 in [0, 1], v up.
        source: (W,) the mesh's vertex of each; the first V are the mesh's own.
        triangles: (T, 3) into the W.
        sound: (T,) False for triangles whose texture is useless (they span a seam still).
    """

    uv: FloatArray
    source: NDArray[np.intp]
    triangles: NDArray[np.int32]
    sound: NDArray[np.bool_]

    def texels(self, size: int) -> FloatArray:
        """(W, 3) the vertices in the texture's pixels, x right, y down, z 0."""
        u, v = self.uv.T
        return np.stack([u * size - 0.5, (1 - v) * size - 0.5, np.zeros(len(u))], axis=1)

    @cached_property
    def n_added(self) -> int:
        """Vertices that were doubled."""
        return len(self.source) - int(self.source.max()) - 1


def open_seam(mean: ArrayLike, uv: ArrayLike, triangles: NDArray[np.integer]) -> UvLayout:
    """Texture coordinates (V, 2) of a head (V, 3) with its seam on the sagittal plane opened.

    Layouts with one coordinate per vertex stretch the triangles at the seam over the whole
    texture, and subdivision blurs the coordinates beside it. Such vertices get new ones by
    affine extrapolation from their own side of the head; those on the plane get two.
    """
    points, flat = np.asarray(mean, dtype=np.float64), np.asarray(uv, dtype=np.float64)
    index = np.asarray(triangles, dtype=np.int32)
    source = np.arange(len(points))
    broken = np.zeros(len(points), dtype=bool)
    broken[index[_stretched(points, flat, index)]] = True
    if not broken.any():
        return UvLayout(flat, source, index, np.ones(len(index), dtype=bool))
    for _ in range(2):
        broken[index[broken[index].any(axis=1)]] = True
    x = points[:, 0]
    plane = np.abs(x) < _ON_PLANE * np.ptp(x)
    if broken.mean() > 0.2 or (~broken).sum() < _NEIGHBOURS:
        return UvLayout(flat, source, index, ~_stretched(points, flat, index))
    # Triangles on the subject's left get copies of the vertices on the plane.
    copied = np.flatnonzero(broken & plane)
    copies = np.full(len(points), -1)
    copies[copied] = len(points) + np.arange(len(copied))
    left = points[index].mean(axis=1)[:, 0] > 0
    out = index.copy()
    swap = left[:, None] & (copies[index] >= 0)
    out[swap] = copies[index][swap]
    source = np.concatenate([source, copied])
    new = np.concatenate([flat, flat[copied]])
    side = np.sign(x)
    side[plane] = -1.0
    side = np.concatenate([side, np.ones(len(copied))])
    for i in np.flatnonzero(broken[source]):
        known = np.flatnonzero(~broken & ((np.sign(x) == side[i]) | plane))
        new[i] = _extrapolate(points[known], flat[known], points[source[i]])
    new = np.clip(new, 0.001, 0.999)
    return UvLayout(new, source, out, ~_stretched(points[source], new, out))


def _stretched(points: FloatArray, uv: FloatArray, index: NDArray[np.int32]) -> NDArray[np.bool_]:
    worst = np.zeros(len(index))
    ratios = []
    for k in range(3):
        a, b = index[:, k], index[:, (k + 1) % 3]
        length = np.maximum(np.linalg.norm(points[a] - points[b], axis=1), 1e-9)
        ratios.append(np.linalg.norm(uv[a] - uv[b], axis=1) / length)
        worst = np.maximum(worst, ratios[-1])
    return np.asarray(worst > _STRETCHED * max(float(np.median(ratios)), 1e-12))


def _extrapolate(points: FloatArray, uv: FloatArray, at: FloatArray) -> FloatArray:
    """The affine map that fits the nearest of ``points``, at ``at``."""
    distance = np.linalg.norm(points - at, axis=1)
    near = np.argpartition(distance, _NEIGHBOURS - 1)[:_NEIGHBOURS]
    reach = distance[near].min() + distance[near].mean()
    weight = np.exp(-((distance[near] / reach) ** 2))[:, None]
    # On the surface: the thickness of the neighbourhood carries no information.
    centre = (weight * points[near]).sum(axis=0) / weight.sum()
    axes = np.linalg.svd(weight * (points[near] - centre), full_matrices=False)[2][:2]
    local = np.column_stack([(points[near] - centre) @ axes.T, np.ones(len(near))])
    fit = np.linalg.lstsq(weight * local, weight * uv[near], rcond=None)[0]
    return np.append(axes @ (at - centre), 1.0) @ fit
