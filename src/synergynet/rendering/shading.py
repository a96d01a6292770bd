"""Smooth normals and the light on a grey face."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray

# Image frame: y down, z to the viewer. A key light above the viewer's left, a weak fill light
# from the right, so that a face is modelled by its shadows and no side is black.
_KEY = np.array([-0.45, -0.55, 1.0]) / np.linalg.norm([-0.45, -0.55, 1.0])
_FILL = np.array([0.9, 0.1, 0.6]) / np.linalg.norm([0.9, 0.1, 0.6])
_AMBIENT, _KEY_POWER, _FILL_POWER = 0.26, 0.60, 0.14
_SPECULAR, _SHININESS = 0.16, 24


def vertex_normals(vertices: ArrayLike, triangles: NDArray[np.integer]) -> FloatArray:
    """Outward unit normals, area-weighted over the triangles at each vertex.

    Args:
        vertices: (V, 3) in the image frame (y down, z toward the viewer).
        triangles: (T, 3), counter-clockwise seen from outside when y is up (``FaceModel``).

    Returns:
        (V, 3) float64 in the image frame; zero at vertices without triangles.
    """
    points = np.asarray(vertices, dtype=np.float64)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    # The flip to y down turns the winding round, hence c before b.
    faces = np.cross(c - a, b - a)
    normals = np.empty_like(points)
    for axis in range(3):
        normals[:, axis] = np.bincount(
            triangles.ravel(), weights=np.repeat(faces[:, axis], 3), minlength=len(points)
        )
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


def phong_grey(normals: FloatArray) -> NDArray[np.float32]:
    """Brightness in [0, 1] of a matt grey surface: ambient, key and fill light, a soft gloss.

    Args:
        normals: (K, 3) in the image frame, any length > 0; the viewer looks along -z.
    """
    n = np.asarray(normals, dtype=np.float32)
    n = n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), np.float32(1e-9))
    key = np.clip(n @ _KEY.astype(np.float32), 0, None)
    fill = np.clip(n @ _FILL.astype(np.float32), 0, None)
    halfway = _KEY + np.array([0.0, 0.0, 1.0])
    gloss = np.clip(n @ (halfway / np.linalg.norm(halfway)).astype(np.float32), 0, None)
    light = _AMBIENT + _KEY_POWER * key + _FILL_POWER * fill + _SPECULAR * gloss**_SHININESS
    return np.clip(light, 0, 1).astype(np.float32)
