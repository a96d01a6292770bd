"""Several meshes in one picture: which is nearer, and what the picture shows of each.

Weak perspective gives every face a depth of its own, without a common origin. Here they meet in
one camera: a mesh drawn at s pixels per millimetre is at the distance focal / s, so that what is
drawn larger is nearer. Nearer parts and nearer faces hide farther ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from .rasterizer import Backend, Raster, rasterize

Box = tuple[int, int, int, int]
"""Pixels [left, right) x [top, bottom)."""

HEAD_RADIUS = 74.7
"""Millimetres from a head's vertices to their centre, on average (Open Head's mean). Gives the
scale of meshes that come without one: heads are about equally large."""


@dataclass(frozen=True, eq=False)
class MeshView:
    """What a picture shows of one mesh.

    Attributes:
        number: of the mesh in the list it came from.
        box: the pixels that it may cover.
        raster: within the box, depth as the mesh has it.
        depth: (h, w) float32 millimetres toward the viewer in the scene, -inf where it is not.
        visible: (h, w) where it is seen, not hidden by another mesh.
    """

    number: int
    box: Box
    raster: Raster
    depth: NDArray[np.float32]
    visible: NDArray[np.bool_]

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box, to index a picture with."""
        left, top, right, bottom = self.box
        return slice(top, bottom), slice(left, right)


def view_meshes(
    meshes: Sequence[ArrayLike],
    triangles: ArrayLike,
    height: int,
    width: int,
    *,
    scales: Sequence[float] | None = None,
    focal: float | None = None,
    backend: Backend | None = None,
) -> list[MeshView]:
    """Rasterise the outside of meshes into one scene, by one z-buffer at a common scale.

    Its depth is 0 at the centre of the nearest mesh. Meshes that are not finite or lie outside
    the picture are left out.

    Args:
        meshes: per face (V, 3) vertices in the image frame.
        triangles: (T, 3) of the face model that all meshes share.
        height, width: of the picture in pixels.
        scales: per mesh, pixels per millimetre; by default from its size in the picture.
        focal: of the camera, pixels; by default the longer side of the picture.

    Returns:
        The views, nearest mesh first.
    """
    faces = [np.asarray(mesh, dtype=np.float64) for mesh in meshes]
    sizes = mesh_scales(faces) if scales is None else np.asarray(scales, dtype=np.float64)
    if len(sizes) != len(faces):
        raise ValueError(f"{len(sizes)} scales for {len(faces)} meshes")
    order = nearest_first(faces, sizes)
    reach = float(focal or max(height, width))
    buffer = np.full((height, width), -np.inf, dtype=np.float32)
    owner = np.full((height, width), -1, dtype=np.int32)
    views = []
    for number in order:
        vertices, box = faces[number], covered_box(faces[number], height, width)
        if box is None:
            continue
        left, top, right, bottom = box
        local = vertices - [left, top, 0.0]
        raster = rasterize(
            local, triangles, bottom - top, right - left, cull_backfaces=True, backend=backend
        )
        behind = reach / sizes[order[0]] - reach / sizes[number]
        depth = (raster.depth - vertices[:, 2].mean()) / sizes[number] + behind
        depth = depth.astype(np.float32)
        view = MeshView(number, box, raster, depth, raster.mask)
        nearer = depth > buffer[view.slices]
        buffer[view.slices][nearer] = depth[nearer]
        owner[view.slices][nearer] = number
        views.append(view)
    for view in views:
        view.visible[:] = owner[view.slices] == view.number
    return views


def nearest_first(meshes: Sequence[FloatArray], scales: FloatArray) -> list[int]:
    """Numbers of the meshes that are finite and have a size, from near to far."""
    usable = [i for i, m in enumerate(meshes) if np.isfinite(m).all() and 0 < scales[i] < np.inf]
    return sorted(usable, key=lambda i: -float(scales[i]))


def mesh_scales(meshes: Sequence[FloatArray]) -> FloatArray:
    """(N,) pixels per millimetre of heads of average size.

    From the mean distance to the centre: the same for every pose, unlike the outline's height.
    """
    with np.errstate(invalid="ignore"):
        spans = [np.linalg.norm(m - m.mean(axis=0), axis=1).mean() for m in meshes]
    return np.array(spans) / HEAD_RADIUS


def covered_box(vertices: FloatArray, height: int, width: int) -> Box | None:
    """The pixels of a picture that the mesh may touch, or None."""
    low = np.maximum(np.floor(vertices[:, :2].min(axis=0)), 0)
    high = np.minimum(np.ceil(vertices[:, :2].max(axis=0)) + 1, [width, height])
    if (low >= high).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
