"""Normals and per-pixel values of a mesh, quickly: with numba as ``rendering`` has it, else NumPy.

A picture needs two or three of each; the general functions of ``rendering`` would take half of
the time there is for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...geometry.params import FloatArray
from ...rendering import Raster, vertex_normals
from ...rendering.rasterizer import Backend


def normals_of(
    points: FloatArray, triangles: NDArray[np.int64], backend: Backend | None = None
) -> FloatArray:
    """As :func:`synergynet.rendering.vertex_normals`."""
    if not _has_numba(backend):
        return vertex_normals(points, triangles)
    from .mesh_numba import fill_normals

    out = np.zeros((len(points), 3))
    fill_normals(np.ascontiguousarray(points, dtype=np.float64), triangles, out)
    return out


def interpolate(
    raster: Raster,
    chosen: NDArray[np.intp],
    values: FloatArray,
    triangles: NDArray[np.int64],
    backend: Backend | None = None,
) -> NDArray[np.float32]:
    """Per-vertex ``values`` (V, C) at the pixels of flat index ``chosen`` (K,) -> (K, C).

    As ``Raster.interpolate``, for some of the covered pixels.
    """
    table = np.ascontiguousarray(values, dtype=np.float32)
    index, weights = raster.triangle.ravel(), raster.barycentric.reshape(-1, 3)
    if _has_numba(backend):
        from .mesh_numba import fill_interpolated

        out = np.empty((len(chosen), table.shape[1]), dtype=np.float32)
        fill_interpolated(chosen, index, weights, triangles, table, out)
        return out
    corners, weights = triangles[index[chosen]], weights[chosen]
    out = table[corners[:, 0]] * weights[:, :1]
    for k in (1, 2):
        out += table[corners[:, k]] * weights[:, k : k + 1]
    return out


def _has_numba(backend: Backend | None) -> bool:
    if backend == "numpy":
        return False
    try:
        from . import mesh_numba  # noqa: F401
    except ImportError:
        return False
    return True
