"""What all pictures and meshes of one photo share, computed once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..geometry.params import FloatArray
from ..pipeline.face import Face, meshes_of
from ..rendering import MeshView, Texture, depth_map, sample_texture, view_meshes
from ..rendering.draw import face_size
from ..rendering.texture import DEFAULT_SIZE
from .kinds import DRAWINGS, Space, resolve
from .meshes import MeshData, build_mesh, place, uv_layout

MAX_FOCAL = 1e7
MIN_TEXTURE, MAX_TEXTURE = 16, 8192

Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Style:
    """How pictures are drawn and textures sampled.

    Attributes:
        opacity: of drawings over the photo, 0 to 1; by default 0.72 for ``mesh`` and 1 for
            the others. ``solid``, ``pncc`` and ``normals`` lie on nothing unless it is given.
        view: yaw and pitch in degrees from which ``solid`` shows every head; by default as
            the photo does.
        focal: of the camera in pixels, for the distance between faces; by default the
            photo's longer side.
        texture_size: side of the textures in texels, 16 to 8192.

    Raises:
        SynergyNetError: a value that is none of these.
    """

    opacity: float | None = None
    view: tuple[float, float] | None = None
    focal: float | None = None
    texture_size: int = DEFAULT_SIZE

    def __post_init__(self) -> None:
        if self.opacity is not None and not _within(self.opacity, 0, 1):
            _refuse("opacity", self.opacity, "a number from 0 to 1")
        if self.view is not None and not (
            np.shape(self.view) == (2,) and all(_within(angle, -360, 360) for angle in self.view)
        ):
            _refuse("view", self.view, "yaw and pitch in degrees, as (30, -10)")
        if self.focal is not None and not _within(self.focal, 1, MAX_FOCAL):
            _refuse("focal", self.focal, f"pixels, 1 to {MAX_FOCAL:g}")
        whole = isinstance(self.texture_size, int | np.integer)
        if not whole or not _within(self.texture_size, MIN_TEXTURE, MAX_TEXTURE):
            _refuse("texture_size", self.texture_size, f"texels, {MIN_TEXTURE} to {MAX_TEXTURE}")

    def opacity_or(self, default: float) -> float:
        """The opacity asked for, or a drawing's own."""
        return default if self.opacity is None else self.opacity


def _within(value: Any, least: float, most: float) -> bool:
    """Whether it is a number of that range; NaN is in none."""
    return isinstance(value, int | float | np.number) and bool(least <= value <= most)


def _refuse(name: str, value: object, expected: str) -> NoReturn:
    raise SynergyNetError(f"{name} is {value!r}, expected {expected}")


DEFAULT_STYLE = Style()


class Pictures:
    """Pictures of the faces of one photo; what they share is computed once.

    Nearer faces hide farther ones in all of them: the face drawn larger is nearer (see
    ``synergynet.rendering.scene``).

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        faces: of the photo.
        style: how to draw.
    """

    def __init__(
        self, image: NDArray[np.uint8], faces: Sequence[Face], style: Style = DEFAULT_STYLE
    ) -> None:
        self.image, self.faces, self.style = image, list(faces), style
        self._textures: dict[int, Texture] = {}

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the photo."""
        return self.image.shape[0], self.image.shape[1]

    @cached_property
    def scales(self) -> list[float]:
        """Pixels per millimetre of each face."""
        return [f.pose.scale / f.face_model.millimetres_per_unit for f in self.faces]

    @cached_property
    def views(self) -> list[MeshView]:
        """What the photo shows of each mesh, nearest first."""
        check_triangles(self.faces)
        if not self.faces:
            return []
        meshes = meshes_of(self.faces)
        return view_meshes(
            meshes, self.faces[0].triangles, *self.size, scales=self.scales, focal=self.style.focal
        )

    @cached_property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) float32 millimetres toward the viewer, 0 at the centre of the nearest face,
        -inf where there is none."""
        return depth_map(self.views, *self.size)

    def draw(self, kind: str, number: int | None = None, *, video: bool = False) -> Picture:
        """One picture, (H, W, 3) uint8 BGR, or for ``depth`` (H, W) uint16 (``encode_depth``).

        Args:
            kind: a key of ``DRAWINGS``.
            number: of the face, for kinds that are per face.
            video: as frames show it: ``depth`` is grey, (H, W, 3) uint8.

        Raises:
            SynergyNetError: an unknown kind, ``number`` missing, or a surface of a face model
                without triangles.
        """
        known = DRAWINGS.get(kind)
        if known is None or (known.per_face and number is None):
            raise SynergyNetError(f"unknown drawing '{kind}'; choose from {', '.join(DRAWINGS)}")
        home = known.in_video if video and known.in_video else known.home
        which = (number,) if known.per_face else ()
        picture: Picture = resolve(home)(self, *which)
        return picture

    def texture(self, number: int) -> Texture:
        """The texture of one face, sampled from the photo.

        Raises:
            SynergyNetError: the face model has no texture coordinates.
        """
        if number not in self._textures:
            face = self.faces[number]
            check_texture([face])
            self._textures[number] = sample_texture(
                self.image,
                face.vertices,
                face.triangles,
                uv_layout(face.face_model),
                face.face_model.mean,
                size=self.style.texture_size,
                hidden=self.hidden(number),
            )
        return self._textures[number]

    def mesh(self, number: int, space: Space = "image") -> MeshData:
        """One face's mesh with colours and units, for a file."""
        face = self.faces[number]
        check_triangles([face])
        placement = place(face, space, self.size, self.style.focal)
        texture = None if face.face_model.uv is None else self.texture(number).image
        return build_mesh(face, self.image, placement, texture, hidden=self.hidden(number))

    def hidden(self, number: int) -> NDArray[np.bool_] | None:
        """(H, W) where nearer faces stand before this one; None where none does."""
        if not len(self.faces[number].triangles) or not self._may_be_hidden(number):
            return None
        mask = np.zeros(self.size, dtype=bool)
        for view in self.views:
            if view.number == number:
                break
            mask[view.slices] |= view.visible
        return mask if mask.any() else None

    def _may_be_hidden(self, number: int) -> bool:
        """Whether a nearer head could reach this one: then only the z-buffer knows."""
        low, high = np.array([_reach(face) for face in self.faces]).transpose(1, 0, 2)
        touching = ((low <= high[number]) & (low[number] <= high)).all(axis=1)
        return bool((touching & (np.array(self.scales) > self.scales[number])).any())


def check_texture(faces: Iterable[Face]) -> None:
    """Raise SynergyNetError if a face's model has no texture coordinates."""
    for face in faces:
        if face.face_model.uv is None or not len(face.triangles):
            raise SynergyNetError(
                f"the face model '{face.face_model.name}' has no texture coordinates; "
                "leave uv out of --draw"
            )


def check_size(image: NDArray[np.uint8], faces: Iterable[Face]) -> None:
    """Raise SynergyNetError for a face that was found in an image of another size."""
    height, width = image.shape[:2]
    for face in faces:
        if face.image_size != (height, width):
            raise SynergyNetError(
                f"the image is {width} x {height}, but the face was found in "
                f"{face.image_size[1]} x {face.image_size[0]} pixels; give that image"
            )


def check_triangles(faces: Iterable[Face]) -> None:
    """Raise SynergyNetError if a face's model has no triangles, hence no surface."""
    for face in faces:
        if not len(face.triangles):
            raise SynergyNetError(
                f"the face model '{face.face_model.name}' has no triangles to draw a mesh with; "
                "give --face-model with a tri.mat, or --draw landmarks,pose,box --mesh none"
            )


def _reach(face: Face) -> tuple[FloatArray, FloatArray]:
    """Corners of a square about the landmarks that holds the whole head."""
    xy = face.landmarks[:, :2]
    margin = face_size(xy)
    return xy.min(axis=0) - margin, xy.max(axis=0) + margin
