"""The z-buffer in plain NumPy: the fallback where numba is not installed."""

import itertools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Backend = Literal["numba", "numpy"]
Buffers = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float64]]
"""Triangle (H, W), barycentric (H, W, 3) and depth (H, W), filled in place."""

_FRAGMENTS = 1 << 20
"""Candidate pixels handled at a time: bounds memory at about 200 MB."""


def fill_numpy(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    out_triangle: NDArray[np.int32],
    out_weights: NDArray[np.float32],
    out_depth: NDArray[np.float64],
    cull: bool,
) -> None:
    """Draw ``triangles`` into the buffers in place; see ``rasterizer.rasterize``."""
    buffers = out_triangle, out_weights, out_depth
    height, width = out_triangle.shape
    corners = points[triangles]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    with np.errstate(all="ignore"):
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
        visible = np.isfinite(area) & np.isfinite(a[:, 2] + b[:, 2] + c[:, 2]) & (area != 0)
        if cull:
            visible &= area < 0
        low = np.maximum(np.ceil(corners[..., :2].min(axis=1)), 0)
        high = np.minimum(np.floor(corners[..., :2].max(axis=1)), [width - 1, height - 1])
        visible &= (low <= high).all(axis=1)
    drawn = np.flatnonzero(visible)
    left, top = low[drawn].astype(np.int64).T
    right, bottom = high[drawn].astype(np.int64).T
    # One entry per row of pixels of every triangle's bounding box, in triangle order.
    owner, row = _expand(bottom - top + 1)
    y = top[owner] + row
    widths = (right - left + 1)[owner]
    ends = np.cumsum(widths)
    total = int(ends[-1]) if len(ends) else 0
    cuts = np.searchsorted(ends, np.arange(_FRAGMENTS, total, _FRAGMENTS), side="right")
    bounds = np.unique([0, *cuts.tolist(), len(ends)])
    for start, stop in itertools.pairwise(bounds.tolist()):
        entry, column = _expand(widths[start:stop])
        span = owner[start:stop][entry]
        x = left[span] + column
        _draw(corners, area, drawn[span], x, y[start:stop][entry], buffers)


def _expand(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts (n,) -> for each of sum(counts) items, its owner and its number within it."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _draw(
    corners: NDArray[np.float64],
    areas: NDArray[np.float64],
    triangle: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    buffers: Buffers,
) -> None:
    """Test K candidate pixels (x, y) against their triangles; keep the nearest of each pixel."""
    out_triangle, out_weights, out_depth = buffers
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[triangle].transpose(1, 2, 0)
    area = areas[triangle]
    with np.errstate(all="ignore"):
        wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
        wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
        wc = ((ax - x) * (by - y) - (bx - x) * (ay - y)) / area
        z = wa * az + wb * bz + wc * cz
        nearer = (wa >= 0) & (wb >= 0) & (wc >= 0) & (z > out_depth[y, x])
    kept = np.flatnonzero(nearer)
    pixel = y[kept] * out_depth.shape[1] + x[kept]
    order = np.lexsort((triangle[kept], -z[kept], pixel))
    first = np.ones(len(order), dtype=bool)
    first[1:] = pixel[order][1:] != pixel[order][:-1]
    best = kept[order[first]]
    rows, columns = y[best], x[best]
    out_depth[rows, columns] = z[best]
    out_triangle[rows, columns] = triangle[best]
    out_weights[rows, columns] = np.stack([wa[best], wb[best], wc[best]], axis=-1)
