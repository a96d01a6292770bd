"""The z-buffer loop compiled by numba (extra ``fast``); same arithmetic as the NumPy one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .raster_numpy import Buffers


def _loop(
    points: Any, triangles: Any, out_triangle: Any, out_weights: Any, out_depth: Any, cull: bool
) -> None:
    height, width = out_triangle.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
        bx, by, bz = points[b, 0], points[b, 1], points[b, 2]
        cx, cy, cz = points[c, 0], points[c, 1], points[c, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0.0 or (cull and area > 0.0):
            continue
        if not math.isfinite(area) or not math.isfinite(az + bz + cz):
            continue
        # Clamped as floats on both sides: no integer holds every finite float.
        left = int(min(max(np.ceil(min(ax, bx, cx)), 0.0), width))
        right = int(max(min(np.floor(max(ax, bx, cx)), width - 1.0), -1.0))
        top = int(min(max(np.ceil(min(ay, by, cy)), 0.0), height))
        bottom = int(max(min(np.floor(max(ay, by, cy)), height - 1.0), -1.0))
        sign = 1.0 if area > 0.0 else -1.0
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                # Outside pixels, most of them, are found by sign and cost no division.
                wa = (bx - x) * (cy - y) - (cx - x) * (by - y)
                if not wa * sign >= 0.0:
                    continue
                wb = (cx - x) * (ay - y) - (ax - x) * (cy - y)
                if not wb * sign >= 0.0:
                    continue
                wc = (ax - x) * (by - y) - (bx - x) * (ay - y)
                if not wc * sign >= 0.0:
                    continue
                wa, wb, wc = wa / area, wb / area, wc / area
                z = wa * az + wb * bz + wc * cz
                if z > out_depth[y, x]:
                    out_depth[y, x] = z
                    out_triangle[y, x] = t
                    out_weights[y, x, 0] = wa
                    out_weights[y, x, 1] = wb
                    out_weights[y, x, 2] = wc


def compile_loop(function: Any) -> Any:
    """The function compiled, without the GIL, kept on disk where there is a place for it."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep the compiled code: a read-only installation
        return njit(nogil=True)(function)


_compiled = compile_loop(_loop)


def fill_numba(
    points: NDArray[np.float64], triangles: NDArray[np.int64], buffers: Buffers, cull: bool
) -> None:
    """Draw ``triangles`` into ``buffers`` in place; see ``rasterizer.rasterize``."""
    _compiled(points, triangles, *buffers, cull)
