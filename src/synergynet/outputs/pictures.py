"""Files from faces. Every file appears whole or not at all."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SynergyNetError
from ..files.whole_file import write_whole
from ..geometry.params import FloatArray
from ..geometry.pose import rotation_from_euler
from ..pipeline.face import Face
from ..rendering import (
    MeshView,
    Texture,
    as_colors,
    depth_map,
    draw_axes,
    draw_box,
    draw_landmarks,
    draw_mesh,
    encode_depth,
    lay_over,
    normal_map,
    pncc_codes,
    pncc_map,
    sample_texture,
    view_meshes,
)
from ..rendering.draw import face_size
from ..rendering.maps import DEPTH_MIDDLE
from ..rendering.texture import DEFAULT_SIZE
from .meshes import (
    MeshData,
    Space,
    build_mesh,
    glb_bytes,
    obj_files,
    place,
    ply_bytes,
    uv_layout,
)

DRAWINGS = ("landmarks", "pose", "mesh")
"""Kinds of pictures made by default, each written as ``<stem>_<kind>``."""

ALL_DRAWINGS = ("landmarks", "pose", "box", "mesh", "solid", "depth", "pncc", "normals", "uv")
"""Every kind; ``uv`` is written as ``<stem>_face<number>_uv``."""

_LINES = ("landmarks", "pose", "box")
_EXACT = ("depth", "pncc", "normals", "uv")
_MESH_OPACITY = 0.72
GROUND = 245  # grey behind solid meshes

NO_FACE = "no face was found"

_FACE_ENDINGS = (".obj", ".mtl", ".ply", ".glb", "_uv.png")

_JPEG_QUALITY = 95
_JPEG_MAX_SIDE = 65_500  # pixels; the format's limit is 65,535
_NUMBER_LIST = re.compile(r"\[\s+([^\[\]{}\"]*?)\s+\]")


class Pictures:
    """Pictures of the faces of one photo; what they share is computed once.

    Nearer faces hide farther ones in all of them: the face drawn larger is nearer (see
    ``synergynet.rendering.scene``).

    Args:
        image: (H, W, 3) uint8 BGR; not changed.
        faces: of the photo.
        opacity: of drawings over the photo, 0 to 1; by default 0.72 for ``mesh`` and 1 for
            the others. ``solid``, ``pncc`` and ``normals`` lie on nothing unless it is given.
        view: yaw and pitch in degrees from which ``solid`` shows every head; by default as
            the photo does.
        focal: of the camera in pixels, for the distance between faces; by default the
            photo's longer side.
        texture_size: side of the textures in texels.
    """

    def __init__(
        self,
        image: NDArray[np.uint8],
        faces: Sequence[Face],
        *,
        opacity: float | None = None,
        view: tuple[float, float] | None = None,
        focal: float | None = None,
        texture_size: int = DEFAULT_SIZE,
    ) -> None:
        self.image, self.faces = image, list(faces)
        self.opacity, self.view, self.focal = opacity, view, focal
        self.texture_size = texture_size
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
        meshes = [face.vertices for face in self.faces]
        return view_meshes(
            meshes, self.faces[0].triangles, *self.size, scales=self.scales, focal=self.focal
        )

    @cached_property
    def depth(self) -> NDArray[np.float32]:
        """(H, W) float32 millimetres toward the viewer, 0 at the centre of the nearest face,
        -inf where there is none."""
        return depth_map(self.views, *self.size)

    def depth_code(self) -> dict[str, float]:
        """What the values of the ``depth`` picture mean, for the JSON.

        ``millimetres = (value - zero_at) * millimetres_per_step``; the value 0 is no face.
        """
        return {
            "zero_at": DEPTH_MIDDLE,
            "millimetres_per_step": encode_depth(self.depth)[1],
            "focal": float(self.focal or max(self.size)),
        }

    def draw(self, kind: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """One picture, (H, W, 3) uint8 BGR, or for ``depth`` (H, W) uint16 (``encode_depth``).

        Args:
            kind: one of ``ALL_DRAWINGS`` but ``uv``, which is per face: see :meth:`texture`.

        Raises:
            SynergyNetError: an unknown kind, or a surface of a face model without triangles.
        """
        if kind not in ALL_DRAWINGS or kind == "uv":
            raise SynergyNetError(
                f"unknown drawing '{kind}'; choose from {', '.join(ALL_DRAWINGS)}"
            )
        if kind == "depth":
            return encode_depth(self.depth)[0]
        if kind in _LINES:
            return self._draw_lines(kind)
        if not self.faces:
            return self.image.copy() if kind == "mesh" else np.zeros_like(self.image)
        if kind in ("mesh", "solid"):
            return self._draw_surface(kind)
        triangles = self.faces[0].triangles
        if kind == "pncc":
            codes = pncc_codes(self.faces[0].face_model.mean)
            layer = as_colors(pncc_map(self.views, triangles, codes, *self.size))
        else:
            meshes = [face.vertices for face in self.faces]
            normals = normal_map(self.views, triangles, meshes, *self.size)
            layer = as_colors(normals / 2 + 0.5)
        seen = np.isfinite(self.depth)
        below = np.zeros_like(self.image) if self.opacity is None else self.image
        return lay_over(below, layer, seen, 1.0 if self.opacity is None else self.opacity)

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
                size=self.texture_size,
                hidden=self.hidden(number),
            )
        return self._textures[number]

    def mesh(self, number: int, space: Space = "image") -> MeshData:
        """One face's mesh with colours and units, for a file."""
        face = self.faces[number]
        check_triangles([face])
        placement = place(face, space, self.size, self.focal)
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

    def _draw_lines(self, kind: str) -> NDArray[np.uint8]:
        out = self.image.copy()
        opacity = 1.0 if self.opacity is None else self.opacity
        # From far to near: a face's lines end where a nearer face begins.
        for number in reversed(np.argsort(self.scales, kind="stable")[::-1].tolist()):
            face = self.faces[number]
            if kind == "landmarks":
                drawn = draw_landmarks(out, face.landmarks, opacity=opacity)
            elif kind == "pose":
                drawn = draw_axes(out, face.landmarks, face.pose.rotation, opacity=opacity)
            else:
                drawn = draw_box(out, face.landmarks, face.pose.rotation, opacity=opacity)
            hidden = self.hidden(number)
            if hidden is not None:
                drawn[hidden] = out[hidden]
            out = drawn
        return out

    def _draw_surface(self, kind: str) -> NDArray[np.uint8]:
        check_triangles(self.faces)
        triangles = self.faces[0].triangles
        meshes = [face.vertices for face in self.faces]
        if kind == "mesh":
            opacity = _MESH_OPACITY if self.opacity is None else self.opacity
            return draw_mesh(self.image, meshes, triangles, opacity=opacity, scales=self.scales)
        if self.view is not None:
            yaw, pitch = self.view
            aim = rotation_from_euler(pitch, yaw, 0.0)
            meshes = [turned(face, aim) for face in self.faces]
        opacity = 1.0 if self.opacity is None else self.opacity
        ground = np.full_like(self.image, GROUND) if self.opacity is None else self.image
        return draw_mesh(ground, meshes, triangles, opacity=opacity, scales=self.scales)


def _reach(face: Face) -> tuple[FloatArray, FloatArray]:
    """Corners of a square about the landmarks that holds the whole head."""
    xy = face.landmarks[:, :2]
    margin = face_size(xy)
    return xy.min(axis=0) - margin, xy.max(axis=0) + margin


def turned(face: Face, rotation: ArrayLike) -> FloatArray:
    """(V, 3) the face's mesh where it is in the photo, but with this rotation (3, 3)."""
    upright = np.array([1.0, -1.0, 1.0])  # image frame <-> camera frame
    change = np.asarray(rotation, dtype=np.float64) @ face.pose.rotation.T
    centre = face.vertices.mean(axis=0)
    return ((face.vertices - centre) * upright) @ change.T * upright + centre


def check_texture(faces: Iterable[Face]) -> None:
    """Raise SynergyNetError if a face's model has no texture coordinates."""
    for face in faces:
        if face.face_model.uv is None or not len(face.triangles):
            raise SynergyNetError(
                f"the face model '{face.face_model.name}' has no texture coordinates; "
                "leave uv out of --draw"
            )


def check_triangles(faces: Iterable[Face]) -> None:
    """Raise SynergyNetError if a face's model has no triangles, hence no surface."""
    for face in faces:
        if not len(face.triangles):
            raise SynergyNetError(
                f"the face model '{face.face_model.name}' has no triangles to draw a mesh with; "
                "give --face-model with a tri.mat, or --draw landmarks,pose,box --mesh none"
            )


def remove_results(base: Path) -> None:
    """Remove what an earlier run wrote for the photo whose results are ``base`` + ending."""
    old = [base.with_name(base.name + ending) for ending in (".json", *picture_endings())]
    # Faces are numbered without gaps. The last goes first: what is cut short can be repeated.
    faces: list[Path] = []
    for number in itertools.count():
        ends = [f"_face{number}{ending}" for ending in _FACE_ENDINGS]
        there = [path for e in ends if (path := base.with_name(base.name + e)).exists()]
        if not there:
            break
        faces = there + faces
    old += faces
    for path in old:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise SynergyNetError(f"{path}: cannot be written ({error.strerror})") from error


def picture_endings() -> list[str]:
    """What the names of pictures may end with after the photo's stem."""
    kinds = [kind for kind in ALL_DRAWINGS if kind != "uv"]
    return [f"_{kind}{suffix}" for kind in kinds for suffix in (".jpg", ".png")]


def picture_suffix(kind: str, photo: Path) -> str:
    """``.png`` for pictures whose numbers count and for PNG photos, else ``.jpg``."""
    return ".png" if kind in _EXACT or photo.suffix.lower() == ".png" else ".jpg"


def write_picture(path: str | Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Write (H, W, 3) uint8 BGR as JPEG or PNG, by the path's suffix; (H, W) uint16 as PNG.

    Pictures too large for JPEG become PNG.

    Returns:
        The path written to.
    """
    target = Path(path)
    if max(image.shape[:2]) > _JPEG_MAX_SIDE:
        target = target.with_suffix(".png")
    options = [] if target.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(target.suffix, image, options)
    if not done:
        raise SynergyNetError(f"{target}: the picture could not be encoded")
    return write_whole(target, data.tobytes())


def write_json(
    path: str | Path,
    name: str,
    image: NDArray[np.uint8],
    faces: Sequence[Face],
    more: Mapping[str, object] | None = None,
) -> Path:
    """Write what is known about the faces of one photo.

    ``{"image", "width", "height", "faces": [Face.to_dict(), ...]}``, and a ``"message"`` that
    says so where no face was found. ``more`` goes before the faces.
    """
    height, width = image.shape[:2]
    content: dict[str, object] = {"image": name, "width": width, "height": height}
    if not faces:
        content["message"] = NO_FACE
    content |= more or {}
    head = json.dumps(content, indent=1, ensure_ascii=False)
    body = json.dumps([face.to_dict() for face in faces], indent=1, allow_nan=False)
    # One line per list of numbers: landmarks stay readable.
    body = _NUMBER_LIST.sub(lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", body)
    text = head.removesuffix("\n}") + ',\n "faces": ' + body + "\n}"
    return write_whole(Path(path), text.encode("utf-8", "backslashreplace") + b"\n")


def write_obj(path: str | Path, face: Face, image_height: int) -> Path:
    """Write a face's mesh as Wavefront OBJ in the photo's pixels.

    x is the image frame's x, y is ``image_height - 1 - y`` (up, so that viewers show the face
    upright), z is toward the viewer; triangles are counter-clockwise seen from outside.
    """
    vertices = face.vertices * (1, -1, 1) + (0, image_height - 1, 0)
    lines = [f"# {face.face_model.name}: pixels of the photo, y up, z toward the viewer"]
    lines += ["v {:.4f} {:.4f} {:.4f}".format(*v) for v in vertices.tolist()]
    lines += ["f {} {} {}".format(*t) for t in (face.triangles + 1).tolist()]
    return write_whole(Path(path), ("\n".join(lines) + "\n").encode())


def write_mesh(path: str | Path, mesh: MeshData) -> list[Path]:
    """Write a mesh in the format that the suffix names, ``.obj``, ``.ply`` or ``.glb``.

    An ``.obj`` brings ``.mtl`` and ``_uv.png`` of the same stem if the face model has texture
    coordinates; it is written last.

    Returns:
        What was written.

    Raises:
        SynergyNetError: another suffix, or the system refuses.
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind == "obj":
        files = obj_files(mesh, target.stem, f"{target.stem}_uv.png")
        return [write_whole(target.with_name(name), data) for name, data in files.items()]
    if kind == "ply":
        return [write_whole(target, ply_bytes(mesh))]
    if kind == "glb":
        return [write_whole(target, glb_bytes(mesh))]
    raise SynergyNetError(f"{target}: meshes are written as .obj, .ply or .glb")
