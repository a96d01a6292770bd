"""The faces' meshes: over the photo, and as solid heads."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry.params import FloatArray
from ..geometry.pose import rotation_from_euler
from ..pipeline.face import Face, meshes_of
from ..rendering import draw_mesh
from .pictures import Pictures, check_triangles

_MESH_OPACITY = 0.72
_GROUND = 245  # grey behind solid heads


def mesh(pictures: Pictures) -> NDArray[np.uint8]:
    """The shaded meshes over the photo."""
    if not pictures.faces:
        return pictures.image.copy()
    meshes = meshes_of(pictures.faces)
    return _draw(pictures, pictures.image, meshes, pictures.style.opacity_or(_MESH_OPACITY))


def solid(pictures: Pictures) -> NDArray[np.uint8]:
    """The heads alone, seen as the photo does or from ``pictures.view``."""
    ground = pictures.image
    if pictures.style.opacity is None:
        ground = np.full_like(pictures.image, _GROUND)
    if not pictures.faces:
        return ground.copy()
    meshes = meshes_of(pictures.faces)
    if pictures.style.view is not None:
        yaw, pitch = pictures.style.view
        aim = rotation_from_euler(pitch, yaw, 0.0)
        meshes = [turned(face, aim) for face in pictures.faces]
    return _draw(pictures, ground, meshes, pictures.style.opacity_or(1.0))


def turned(face: Face, rotation: ArrayLike) -> FloatArray:
    """(V, 3) the face's mesh where it is in the photo, but with this rotation (3, 3)."""
    upright = np.array([1.0, -1.0, 1.0])  # image frame <-> camera frame
    change = np.asarray(rotation, dtype=np.float64) @ face.pose.rotation.T
    centre = face.vertices.mean(axis=0)
    return ((face.vertices - centre) * upright) @ change.T * upright + centre


def _draw(
    pictures: Pictures, ground: NDArray[np.uint8], meshes: list[FloatArray], opacity: float
) -> NDArray[np.uint8]:
    check_triangles(pictures.faces)
    triangles = pictures.faces[0].triangles
    return draw_mesh(ground, meshes, triangles, opacity=opacity, scales=pictures.scales)
