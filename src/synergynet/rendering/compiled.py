"""Loops over triangles and pixels compiled by numba (extra ``fast``).

The z-buffer does the same arithmetic as the NumPy one; see ``rasterizer`` and ``attributes``.
"""

import math
from typing import Any

import numpy as np
from numba import njit


def _compile(function: Any) -> Any:
    """The function compiled, without the GIL, kept on disk where there is a place for it."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep the compiled code: a read-only installation
        return njit(nogil=True)(function)


def _raster(
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


def _normals(points: Any, triangles: Any, out: Any) -> None:
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = points[a, 0], points[a, 1], points[a, 2]
        ux, uy, uz = points[c, 0] - ax, points[c, 1] - ay, points[c, 2] - az
        vx, vy, vz = points[b, 0] - ax, points[b, 1] - ay, points[b, 2] - az
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


def _shade(
    triangle: Any, weights: Any, triangles: Any, normals: Any, lights: Any, powers: Any, out: Any
) -> None:
    ambient, key, fill, specular = powers[0], powers[1], powers[2], powers[3]
    zero, one = np.float32(0.0), np.float32(1.0)
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            t = triangle[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wa, wb, wc = weights[y, x, 0], weights[y, x, 1], weights[y, x, 2]
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            length = max(np.sqrt(nx * nx + ny * ny + nz * nz), np.float32(1e-9))
            nx, ny, nz = nx / length, ny / length, nz / length
            at_key = max(nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2], zero)
            at_fill = max(nx * lights[1, 0] + ny * lights[1, 1] + nz * lights[1, 2], zero)
            g = max(nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2], zero)
            g2 = g * g
            g4 = g2 * g2
            g8 = g4 * g4
            light = ambient + key * at_key + fill * at_fill + specular * (g8 * g8 * g8)
            out[y, x, 0] = min(light, one)
            out[y, x, 1] = one


fill_raster, fill_normals = _compile(_raster), _compile(_normals)
fill_interpolated, fill_shaded = _compile(_interpolate), _compile(_shade)
