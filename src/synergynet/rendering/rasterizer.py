"""Z-buffer rasteriser: which triangle covers each pixel, where in it, and how near.

Frame: the image frame (0-based pixel centres, x right, y down), larger z is nearer. A pixel
belongs to a triangle when its centre lies inside or on the edge; two triangles at exactly the
same depth leave the pixel to the one that comes first. The numba and the NumPy backend do the
same float64 arithmetic in the same order and give the same pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from .attributes import compiled_loops, interpolate_at
from .raster_numpy import Backend, fill_numpy


@dataclass(frozen=True, eq=False)
class Raster:
    """What the z-buffer saw.

    Attributes:
        triangle: (H, W) int32 index of the nearest triangle, -1 where there is none.
        barycentric: (H, W, 3) float32 weights of its three corners, 0 where there is none.
        depth: (H, W) float32 z of the surface, -inf where there is none.
    """

    triangle: NDArray[np.int32]
    barycentric: NDArray[np.float32]
    depth: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) where anything was drawn."""
        return self.triangle >= 0

    def interpolate(self, values: FloatArray, triangles: NDArray[np.integer]) -> FloatArray:
        """Per-vertex ``values`` (V, C) -> (K, C) at the K covered pixels, in mask order."""
        chosen = np.flatnonzero(self.mask)
        return interpolate_at(chosen, self.triangle, self.barycentric, values, triangles)


def rasterize(
    vertices: ArrayLike,
    triangles: ArrayLike,
    height: int,
    width: int,
    *,
    cull_backfaces: bool = False,
    backend: Backend | None = None,
) -> Raster:
    """Rasterise a mesh.

    Args:
        vertices: (V, 3), image frame, z toward the viewer. Triangles with a corner that is
            not finite, and triangles without area, are left out.
        triangles: (T, 3) int, 0-based.
        height, width: size of the picture in pixels.
        cull_backfaces: leave out triangles that show their inside. The outside is where the
            corners run counter-clockwise in the camera frame (y up), as in ``FaceModel``.
        backend: ``numba`` or ``numpy``; by default numba where it is installed.

    Raises:
        ValueError: wrong shapes, an index out of range, or an unknown backend.
        ImportError: ``numba`` was asked for and is not installed.
    """
    points = np.ascontiguousarray(vertices, dtype=np.float64)
    index = np.ascontiguousarray(triangles, dtype=np.int64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"vertices have shape {points.shape}, expected (V, 3)")
    if index.ndim != 2 or index.shape[1] != 3:
        raise ValueError(f"triangles have shape {index.shape}, expected (T, 3)")
    if index.size and (index.min() < 0 or index.max() >= len(points)):
        raise ValueError(f"triangles point outside the {len(points)} vertices")
    if height < 1 or width < 1:
        raise ValueError(f"cannot draw a picture of {width} x {height} pixels")
    triangle = np.full((height, width), -1, dtype=np.int32)
    barycentric = np.zeros((height, width, 3), dtype=np.float32)
    depth = np.full((height, width), -np.inf)
    loops = compiled_loops(backend)
    fill = fill_numpy if loops is None else loops.fill_raster
    fill(points, index, triangle, barycentric, depth, cull_backfaces)
    return Raster(triangle, barycentric, depth.astype(np.float32))
