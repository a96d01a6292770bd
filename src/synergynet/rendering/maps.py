"""Maps of what a photo shows: depth, PNCC and normals, one value per pixel and several faces."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from .attributes import interpolate_at, vertex_normals
from .scene import MeshView

DEPTH_MIDDLE = 32768
"""16-bit value of depth 0; 0 itself means that there is no face."""

DEPTH_STEP = 0.005
"""Millimetres per step of a 16-bit depth picture; doubled until all depths fit."""


def depth_map(views: Sequence[MeshView], height: int, width: int) -> NDArray[np.float32]:
    """Depth of the faces that ``view_meshes`` saw.

    Returns:
        (H, W) float32 millimetres toward the viewer, larger is nearer, 0 at the centre of the
        nearest mesh; -inf where there is no face.
    """
    out = np.full((height, width), -np.inf, dtype=np.float32)
    for view in views:
        out[view.slices][view.visible] = view.depth[view.visible]
    return out


def encode_depth(depth: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float]:
    """Depth in millimetres, -inf where nothing is, as 16-bit grey.

    ``millimetres = (value - DEPTH_MIDDLE) * step`` where value > 0. The step is ``DEPTH_STEP``
    times the smallest power of two at which everything fits, so that one face is always coded
    the same way.

    Returns:
        (H, W) uint16, and the step.
    """
    seen = np.isfinite(depth)
    reach = float(np.abs(depth[seen]).max()) if seen.any() else 0.0
    step = DEPTH_STEP
    while round(reach / step) > DEPTH_MIDDLE - 1:
        step *= 2
    values = np.rint(np.where(seen, depth, 0).astype(np.float64) / step) + DEPTH_MIDDLE
    return np.where(seen, values, 0).astype(np.uint16), step


def pncc_codes(mean: ArrayLike) -> FloatArray:
    """(V, 3) normalised coordinate code (NCC) of a mean shape (V, 3): each axis over [0, 1].

    Zhu et al., "Face Alignment Across Large Poses", CVPR 2016, eq. 3: x is shown as red, y as
    green, z as blue.
    """
    points = np.asarray(mean, dtype=np.float64)
    low = points.min(axis=0)
    span = points.max(axis=0) - low
    return (points - low) / np.where(span > 0, span, 1.0)


def pncc_map(
    views: Sequence[MeshView],
    triangles: NDArray[np.integer],
    codes: FloatArray,
    height: int,
    width: int,
) -> NDArray[np.float32]:
    """Projected normalised coordinate code: (H, W, 3) float32 in [0, 1], x y z, 0 without a face.

    Args:
        codes: (V, 3) of the face model, from :func:`pncc_codes`.
    """
    out = np.zeros((height, width, 3), dtype=np.float32)
    for view in views:
        out[view.slices][view.visible] = _at_visible(view, codes, triangles)
    return out


def normal_map(
    views: Sequence[MeshView],
    triangles: NDArray[np.integer],
    meshes: Sequence[ArrayLike],
    height: int,
    width: int,
) -> NDArray[np.float32]:
    """(H, W, 3) float32 unit normals in the camera frame (x right, y up, z to the viewer).

    Zero where there is no face.

    Args:
        meshes: the list that ``view_meshes`` was given.
    """
    out = np.zeros((height, width, 3), dtype=np.float32)
    for view in views:
        normals = vertex_normals(meshes[view.number], triangles) * (1, -1, 1)
        seen = _at_visible(view, normals, triangles)
        length = np.linalg.norm(seen, axis=1, keepdims=True)
        out[view.slices][view.visible] = seen / np.maximum(length, 1e-9)
    return out


def as_colors(values: FloatArray) -> NDArray[np.uint8]:
    """(..., 3) in [0, 1] as red, green, blue -> (..., 3) uint8 BGR."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)[..., ::-1].copy()


def lay_over(
    image: NDArray[np.uint8], layer: NDArray[np.uint8], mask: NDArray[np.bool_], opacity: float
) -> NDArray[np.uint8]:
    """``layer`` over ``image``, both (H, W, 3), where ``mask`` (H, W) is."""
    out = image.copy()
    mixed = image[mask] * (1 - opacity) + layer[mask].astype(np.float64) * opacity
    out[mask] = np.rint(mixed).astype(np.uint8)
    return out


def _at_visible(
    view: MeshView, values: FloatArray, triangles: NDArray[np.integer]
) -> NDArray[np.float32]:
    raster = view.raster
    chosen = np.flatnonzero(view.visible)
    table = np.asarray(values, dtype=np.float32)
    seen = interpolate_at(chosen, raster.triangle, raster.barycentric, table, triangles)
    return np.asarray(seen, dtype=np.float32)
