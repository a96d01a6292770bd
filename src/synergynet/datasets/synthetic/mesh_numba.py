"""Loops over triangles and pixels compiled by numba (extra ``fast``); see ``mesh``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


def _normals(points: Any, triangles: Any, out: Any) -> None:
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            points[c, 0] - points[a, 0],
            points[c, 1] - points[a, 1],
            points[c, 2] - points[a, 2],
        )
        vx, vy, vz = (
            points[b, 0] - points[a, 0],
            points[b, 1] - points[a, 1],
            points[b, 2] - points[a, 2],
        )
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            out[corner, 0] += x
            out[corner, 1] += y
            out[corner, 2] += z
    for v in range(out.shape[0]):
        length = np.sqrt(out[v, 0] ** 2 + out[v, 1] ** 2 + out[v, 2] ** 2)
        if length > 0.0:
            for k in range(3):
                out[v, k] /= length


def _interpolate(
    chosen: Any, triangle: Any, weights: Any, triangles: Any, values: Any, out: Any
) -> None:
    for i in range(chosen.shape[0]):
        at = chosen[i]
        t = triangle[at]
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        wa, wb, wc = weights[at, 0], weights[at, 1], weights[at, 2]
        for k in range(values.shape[1]):
            out[i, k] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]


def _compile(function: Any) -> Any:
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep the compiled code: a read-only installation
        return njit(nogil=True)(function)


fill_normals, fill_interpolated = _compile(_normals), _compile(_interpolate)
