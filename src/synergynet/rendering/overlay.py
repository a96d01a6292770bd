"""Grey shaded faces over a photo, or alone and from any side."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from .attributes import compiled_loops, interpolate_at, vertex_normals
from .rasterizer import Backend, Raster, rasterize
from .scene import Box, covered_box, mesh_scales, nearest_first

_SUPERSAMPLED_PIXELS = 1 << 20
"""Faces with a smaller picture are rasterised at twice the resolution, for smooth outlines."""

# Image frame: y down, z to the viewer. A key light above the viewer's left, a weak fill light
# from the right, so that a face is modelled by its shadows and no side is black.
_KEY = np.array([-0.45, -0.55, 1.0]) / np.linalg.norm([-0.45, -0.55, 1.0])
_FILL = np.array([0.9, 0.1, 0.6]) / np.linalg.norm([0.9, 0.1, 0.6])
_AMBIENT, _KEY_POWER, _FILL_POWER = 0.26, 0.60, 0.14
_SPECULAR, _SHININESS = 0.16, 24  # the compiled loop multiplies 24 times
_BETWEEN = _KEY + np.array([0.0, 0.0, 1.0])  # key light and viewer
_LIGHTS = np.stack([_KEY, _FILL, _BETWEEN / np.linalg.norm(_BETWEEN)]).astype(np.float32)
_POWERS = np.array([_AMBIENT, _KEY_POWER, _FILL_POWER, _SPECULAR], dtype=np.float32)


def draw_mesh(
    image: NDArray[np.uint8],
    meshes: Sequence[ArrayLike],
    triangles: ArrayLike,
    *,
    opacity: float = 0.72,
    scales: Sequence[float] | None = None,
    backend: Backend | None = None,
) -> NDArray[np.uint8]:
    """Lay grey shaded faces over a photo; nearer parts and nearer faces hide farther ones.

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        meshes: per face (V, 3) vertices in the image frame.
        triangles: (T, 3) of the face model that all meshes share.
        opacity: of the mesh over the photo, 0 to 1.
        scales: per mesh, pixels per millimetre: the mesh with the larger one is nearer (see
            ``scene``). By default from its size in the picture.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    index = np.asarray(triangles)
    out = image.copy()
    faces = [np.asarray(mesh, dtype=np.float64) for mesh in meshes]
    sizes = mesh_scales(faces) if scales is None else np.asarray(scales, dtype=np.float64)
    # Painted from far to near. Each face replaces what lies under it by photo + face, so that
    # a hidden face does not shine through a near one.
    for number in reversed(nearest_first(faces, sizes)):
        vertices = faces[number]
        box = covered_box(vertices, *image.shape[:2])
        if box is None or not index.size:
            continue
        left, top, right, bottom = box
        light, cover = _render(vertices, index, box, backend)
        photo = image[top:bottom, left:right].astype(np.float32)
        photo *= ((1 - opacity) * cover)[..., None]
        photo += ((255 * opacity) * light)[..., None]
        photo += out[top:bottom, left:right] * (1 - cover)[..., None]
        out[top:bottom, left:right] = np.rint(np.clip(photo, 0, 255, out=photo), out=photo)
    return out


def _render(
    vertices: FloatArray,
    triangles: NDArray[np.integer],
    box: Box,
    backend: Backend | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Light times coverage and coverage, each (h, w) float32 in [0, 1], of one face."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    zoom = 2 if width * height < _SUPERSAMPLED_PIXELS else 1
    local = vertices.copy()
    # Pixel centres at whole numbers: zooming is about pixel edges.
    local[:, :2] = (local[:, :2] - (left, top) + 0.5) * zoom - 0.5
    raster = rasterize(
        local, triangles, height * zoom, width * zoom, cull_backfaces=True, backend=backend
    )
    normals = vertex_normals(vertices, triangles, backend=backend)
    layers = shade(raster, normals, triangles, backend=backend)
    if zoom > 1:
        small = cv2.resize(layers, (width, height), interpolation=cv2.INTER_AREA)
        layers = np.asarray(small, dtype=np.float32)
    return layers[..., 0], layers[..., 1]


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
