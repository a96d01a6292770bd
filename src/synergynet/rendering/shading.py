"""The light on a grey face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry.params import FloatArray
from .attributes import compiled_loops, interpolate_at
from .raster_numpy import Backend
from .rasterizer import Raster

# Image frame: y down, z to the viewer. A key light above the viewer's left, a weak fill light
# from the right, so that a face is modelled by its shadows and no side is black.
_KEY = np.array([-0.45, -0.55, 1.0]) / np.linalg.norm([-0.45, -0.55, 1.0])
_FILL = np.array([0.9, 0.1, 0.6]) / np.linalg.norm([0.9, 0.1, 0.6])
_AMBIENT, _KEY_POWER, _FILL_POWER = 0.26, 0.60, 0.14
_SPECULAR, _SHININESS = 0.16, 24  # the compiled loop multiplies 24 times
_BETWEEN = _KEY + np.array([0.0, 0.0, 1.0])  # key light and viewer
_LIGHTS = np.stack([_KEY, _FILL, _BETWEEN / np.linalg.norm(_BETWEEN)]).astype(np.float32)
_POWERS = np.array([_AMBIENT, _KEY_POWER, _FILL_POWER, _SPECULAR], dtype=np.float32)


def shade(
    raster: Raster,
    normals: FloatArray,
    triangles: NDArray[np.integer],
    *,
    backend: Backend | None = None,
) -> NDArray[np.float32]:
    """Phong shading of a rasterised mesh with per-vertex ``normals`` (V, 3).

    Returns:
        (H, W, 2) float32: light in [0, 1] and cover (1 where the mesh is, else both 0).
    """
    out = np.zeros((*raster.triangle.shape, 2), dtype=np.float32)
    table = np.ascontiguousarray(normals, dtype=np.float32)
    loops = compiled_loops(backend)
    if loops is not None:
        corners = np.ascontiguousarray(triangles)
        loops.fill_shaded(
            raster.triangle, raster.barycentric, corners, table, _LIGHTS, _POWERS, out
        )
        return out
    chosen = np.flatnonzero(raster.triangle >= 0)
    seen = interpolate_at(
        chosen, raster.triangle, raster.barycentric, table, triangles, backend=backend
    )
    flat = out.reshape(-1, 2)
    flat[chosen, 0] = phong_grey(seen)
    flat[chosen, 1] = 1
    return out


def phong_grey(normals: FloatArray) -> NDArray[np.float32]:
    """Brightness in [0, 1] of a matt grey surface: ambient, key and fill light, a soft gloss.

    Args:
        normals: (K, 3) in the image frame, any length > 0; the viewer looks along -z.
    """
    n = np.asarray(normals, dtype=np.float32)
    n = n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), np.float32(1e-9))
    key, fill, gloss = np.clip(n @ _LIGHTS.T, 0, None).T
    light = _AMBIENT + _KEY_POWER * key + _FILL_POWER * fill + _SPECULAR * gloss**_SHININESS
    return np.clip(light, 0, 1).astype(np.float32)
