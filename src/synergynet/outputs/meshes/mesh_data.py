"""Everything a mesh file may hold, gathered once per face."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...face_model.model import FaceModel
from ...geometry.params import FloatArray
from ...pipeline.face import Face
from ...rendering.attributes import vertex_normals
from ...rendering.texture import look_up, vertex_colors
from ...rendering.uv import UvLayout, open_seam
from .placement import Placement, place


@dataclass(frozen=True, eq=False)
class MeshData:
    """One face's mesh in the frame of a file (y up).

    Attributes:
        name: of the face model.
        vertices: (V, 3) float64, the predicted face.
        neutral: (V, 3) the same person without expression.
        triangles: (T, 3) int32, counter-clockwise seen from outside.
        colors: (V, 3) uint8 BGR.
        layout: texture coordinates; None where the face model has none.
        texture: (S, S, 3) uint8 BGR for them.
        unit_names: U expression units, ``unit_weights`` (U,) their predicted weights.
        unit_shapes: (U, V, 3) float32 displacements at weight 1.
        placement: the frame.
    """

    name: str
    vertices: FloatArray
    neutral: FloatArray
    triangles: NDArray[np.int32]
    colors: NDArray[np.uint8]
    layout: UvLayout | None
    texture: NDArray[np.uint8] | None
    unit_names: tuple[str, ...]
    unit_weights: FloatArray
    unit_shapes: FloatArray
    placement: Placement

    @property
    def residual(self) -> FloatArray:
        """(V, 3) what the weighted units leave of the predicted expression."""
        by_units = np.tensordot(self.unit_weights, self.unit_shapes.astype(np.float64), axes=1)
        return self.vertices - self.neutral - by_units

    def normals(self, vertices: FloatArray) -> FloatArray:
        """(V, 3) outward unit normals of ``vertices``, y up; zero where there is no surface."""
        upright = np.array([1.0, -1.0, 1.0])
        return vertex_normals(vertices * upright, self.triangles) * upright


def build_mesh(
    face: Face,
    image: NDArray[np.uint8],
    placement: Placement,
    texture: NDArray[np.uint8] | None = None,
    *,
    hidden: NDArray[np.bool_] | None = None,
) -> MeshData:
    """Gather a face's mesh, its colours from the photo and its expression units.

    Args:
        image: (H, W, 3) uint8 BGR photo of the face.
        placement: the file's frame.
        texture: (S, S, 3) uint8 BGR for ``uv_layout``, whose colours the vertices take;
            without one they are looked up in the photo.
        hidden: (H, W) where another face stands before this one.
    """
    model = face.face_model
    layout = None
    if texture is None:
        colors = vertex_colors(image, face.vertices, face.triangles, hidden=hidden)
    else:
        layout = uv_layout(model)
        at = layout.texels(len(texture))[: model.n_vertices, :2].astype(np.float32)
        colors = look_up(texture, at[None])[0]
    identity = np.asarray(face.identity, dtype=np.float64)
    expression = np.asarray(face.expression, dtype=np.float64)
    shapes = model.unit_shapes
    if shapes is None:
        shapes = np.tensordot(model.unit_coefficients, model.expression_basis, axes=1)
    return MeshData(
        name=model.name,
        vertices=placement(model.vertices(identity, expression)),
        neutral=placement(model.vertices(identity, np.zeros_like(expression))),
        triangles=model.triangles,
        colors=colors,
        layout=layout,
        texture=texture,
        unit_names=model.unit_names,
        unit_weights=np.array([face.arkit[name] for name in model.unit_names]),
        unit_shapes=shapes @ placement.linear.T.astype(np.float32),
        placement=placement,
    )


def plain_mesh(face: Face) -> MeshData:
    """A face's mesh in pixels of the photo, without colours, texture and units."""
    height, none = face.image_size[0], np.zeros(0)
    vertices = face.vertices * (1, -1, 1) + (0, height - 1, 0)
    return MeshData(
        name=face.face_model.name,
        vertices=vertices,
        neutral=vertices,
        triangles=face.triangles,
        colors=np.zeros((0, 3), dtype=np.uint8),
        layout=None,
        texture=None,
        unit_names=(),
        unit_weights=none,
        unit_shapes=none,
        placement=place(face, "image", face.image_size),
    )


@lru_cache(maxsize=2)
def uv_layout(model: FaceModel) -> UvLayout:
    """The face model's texture coordinates with the seam opened."""
    if model.uv is None:
        raise ValueError(f"the face model '{model.name}' has no texture coordinates")
    return open_seam(model.mean, model.uv, model.triangles)
