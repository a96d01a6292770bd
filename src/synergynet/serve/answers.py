"""A photo's bytes in, what ``POST /v1/faces`` answers out."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.images import MIN_SIDE, decode_image
from ..outputs.formats import NO_FACE
from ..outputs.kinds import DRAWINGS, MESHES, SPACES, Space, resolve
from ..outputs.pictures import Pictures, Style
from ..pipeline.face import Face, meshes_of
from .problems import Problem

DRAWN = tuple(name for name, kind in DRAWINGS.items() if not kind.per_face)
MESHED = tuple(MESHES)
MOST_FACES = 16
"""Whose meshes one answer holds."""

_TYPES = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".glb": "model/gltf-binary",
    ".obj": "model/obj",
    ".mtl": "model/mtl",
    ".ply": "application/octet-stream",
}
_EMPTY = "send a photo: its bytes as the body, or a form with a file"


@dataclass(frozen=True)
class Wish:
    """What an answer should hold beside the numbers.

    Attributes:
        draw: kinds of pictures.
        mesh: formats of meshes.
        space: of the meshes.
    """

    draw: tuple[str, ...] = ()
    mesh: tuple[str, ...] = ()
    space: Space = "image"

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Wish":
        """From the parameters of a URL.

        Raises:
            Problem: a parameter or name that is not known.
        """
        unknown = sorted(set(query) - {"draw", "mesh", "space"})
        if unknown:
            name = unknown[0].encode("ascii", "backslashreplace").decode()
            raise Problem(422, f"unknown parameter '{name[:40]}'; known: draw, mesh, space")
        space = query.get("space", "image")
        if space not in SPACES:
            raise Problem(422, f"space must be one of {', '.join(SPACES)}")
        return cls(_names(query, "draw", DRAWN), _names(query, "mesh", MESHED), space)


def _names(query: Mapping[str, str], name: str, known: Sequence[str]) -> tuple[str, ...]:
    if name not in query:
        return ()
    names = tuple(dict.fromkeys(query[name].split(",")))
    if not set(names) <= set(known):
        raise Problem(422, f"{name} must be a list with commas of {', '.join(known)}")
    return names


def decode(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """The photo (H, W, 3) uint8 BGR.

    Raises:
        Problem: not a photo, too large, or none at all.
    """
    if not data:
        raise Problem(400, _EMPTY)
    try:
        image = decode_image(data, "the image", pixels=max_pixels)
    except SynergyNetError as error:
        raise Problem(413 if "megapixels" in str(error) else 415, str(error)) from None
    except MemoryError:
        raise Problem(413, "not enough memory for this photo; scale it down") from None
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise Problem(415, f"{width} x {height} pixels are too few to show a face")
    return image


def compose(image: NDArray[np.uint8], faces: Sequence[Face], wish: Wish) -> dict[str, Any]:
    """The answer: as the JSON of ``synergynet infer``, and the files that were wished for.

    ``files`` has, by name, ``{"type": ..., "base64": ...}``.
    """
    height, width = image.shape[:2]
    out: dict[str, Any] = {"width": width, "height": height}
    if not faces:
        out["message"] = NO_FACE
    out["faces"] = [face.to_dict() for face in faces]
    if wish.draw or wish.mesh:
        out["files"] = {
            name: {"type": _TYPES["." + name.rpartition(".")[2]], "base64": _text(data)}
            for name, data in _files(image, faces, wish).items()
        }
    return out


def _files(image: NDArray[np.uint8], faces: Sequence[Face], wish: Wish) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if not faces:
        return files
    chosen = faces[:MOST_FACES]
    meshes_of(chosen)
    pictures = Pictures(image, faces, Style(texture_size=512))
    for kind in wish.draw:
        ending = ".png" if DRAWINGS[kind].exact else ".jpg"
        files[kind + ending] = cv2.imencode(ending, pictures.draw(kind))[1].tobytes()
    if wish.mesh:
        for number in range(len(chosen)):
            mesh = pictures.mesh(number, wish.space)
            for kind in wish.mesh:
                files |= resolve(MESHES[kind].home)(mesh, f"face{number}")
    return files


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
