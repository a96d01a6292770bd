"""Face meshes over a photo."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from .rasterizer import Backend, rasterize
from .shading import phong_grey, vertex_normals

_SUPERSAMPLED_PIXELS = 1 << 20
"""Faces with a smaller picture are rasterised at twice the resolution, for smooth outlines."""


def draw_mesh(
    image: NDArray[np.uint8],
    meshes: Sequence[ArrayLike],
    triangles: ArrayLike,
    *,
    opacity: float = 0.72,
    backend: Backend | None = None,
) -> NDArray[np.uint8]:
    """Lay grey shaded faces over a photo; nearer parts and nearer faces hide farther ones.

    Weak perspective knows no distance between faces. Heads are about equally large, so the
    mesh that is larger in the picture counts as nearer.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        meshes: per face (V, 3) vertices in the image frame.
        triangles: (T, 3) of the face model that all meshes share.
        opacity: of the mesh over the photo, 0 to 1.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    index = np.asarray(triangles)
    out = image.copy()
    faces = [np.asarray(mesh, dtype=np.float64) for mesh in meshes]
    # Painted from far to near. Each face replaces what lies under it by photo + face, so that
    # a hidden face does not shine through a near one.
    for vertices in sorted((f for f in faces if np.isfinite(f).all()), key=_size):
        box = _region(vertices, image.shape)
        if box is None or not index.size:
            continue
        left, top, right, bottom = box
        light, cover = _render(vertices, index, box, backend)
        photo = image[top:bottom, left:right].astype(np.float32)
        blended = photo * ((1 - opacity) * cover) + (255 * opacity) * light
        below = out[top:bottom, left:right] * (1 - cover)
        out[top:bottom, left:right] = np.rint(np.clip(below + blended, 0, 255)).astype(np.uint8)
    return out


def _size(vertices: FloatArray) -> float:
    # Mean distance from the centre: the same for every pose, unlike the height of the outline.
    return float(np.linalg.norm(vertices - vertices.mean(axis=0), axis=1).mean())


def _region(vertices: FloatArray, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Pixels [left, right) x [top, bottom) that the mesh may touch, or None."""
    low = np.maximum(np.floor(vertices[:, :2].min(axis=0)), 0)
    high = np.minimum(np.ceil(vertices[:, :2].max(axis=0)) + 1, [shape[1], shape[0]])
    if (low >= high).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _render(
    vertices: FloatArray,
    triangles: NDArray[np.integer],
    box: tuple[int, int, int, int],
    backend: Backend | None,
) -> tuple[FloatArray, FloatArray]:
    """Light times coverage and coverage, each (h, w, 1) float32 in [0, 1], of one face."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    zoom = 2 if width * height < _SUPERSAMPLED_PIXELS else 1
    local = vertices.copy()
    # Pixel centres at whole numbers: zooming is about pixel edges.
    local[:, :2] = (local[:, :2] - (left, top) + 0.5) * zoom - 0.5
    raster = rasterize(
        local, triangles, height * zoom, width * zoom, cull_backfaces=True, backend=backend
    )
    layers = np.zeros((height * zoom, width * zoom, 2), dtype=np.float32)
    normals = raster.interpolate(vertex_normals(vertices, triangles).astype(np.float32), triangles)
    layers[raster.mask, 0] = phong_grey(normals)
    layers[raster.mask, 1] = 1
    if zoom > 1:
        small = cv2.resize(layers, (width, height), interpolation=cv2.INTER_AREA)
        layers = np.asarray(small, dtype=np.float32)
    return layers[..., :1], layers[..., 1:]
