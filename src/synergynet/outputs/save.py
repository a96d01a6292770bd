"""One face as a file: the door behind ``Face.save``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.whole_file import write_whole
from ..pipeline.analyzer import ChannelOrder, as_bgr
from ..pipeline.face import Face
from .meshes import FORMATS, MeshData, Space, build_mesh, place
from .pictures import Pictures, check_triangles, write_mesh

_GREY = 200  # of a mesh without a photo


def save_face(
    face: Face,
    path: str | Path,
    image: NDArray[np.uint8] | None = None,
    *,
    space: Space = "image",
    focal: float | None = None,
    texture_size: int = 1024,
    channel_order: ChannelOrder = "BGR",
) -> list[Path]:
    """See :meth:`Face.save`."""
    target = Path(path)
    kind = target.suffix.lower()
    if kind == ".json":
        # One line per entry: the whole is read by eye.
        entries = [f' "{name}": {json.dumps(v)}' for name, v in face.to_dict().items()]
        return [write_whole(target, ("{\n" + ",\n".join(entries) + "\n}\n").encode())]
    if kind.removeprefix(".") not in FORMATS:
        raise SynergyNetError(f"{target}: a face is saved as .json, .obj, .ply or .glb")
    check_triangles([face])
    if image is None:
        mesh = _plain(face, space, focal)
    else:
        photo = as_bgr(image, channel_order)
        if photo.shape[:2] != face.image_size:
            raise SynergyNetError(
                f"the image is {photo.shape[1]} x {photo.shape[0]}, but the face was found in "
                f"{face.image_size[1]} x {face.image_size[0]} pixels; give that image"
            )
        mesh = Pictures(photo, [face], focal=focal, texture_size=texture_size).mesh(0, space)
    return write_mesh(target, mesh)


def _plain(face: Face, space: Space, focal: float | None) -> MeshData:
    grey = np.full((*face.image_size, 3), _GREY, dtype=np.uint8)
    return build_mesh(face, grey, place(face, space, face.image_size, focal))
