"""One face as a file."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.pixels import ChannelOrder, as_bgr
from ..files.whole_file import write_whole
from ..pipeline.face import Face
from .formats import mesh_suffixes, write_mesh
from .kinds import MESHES, SPACES, Space
from .meshes import build_mesh, place
from .pictures import Pictures, Style, check_size, check_triangles

_GREY = 200  # of a mesh without a photo


def save(
    face: Face,
    path: str | Path,
    image: NDArray[np.uint8] | None = None,
    *,
    space: Space = "image",
    focal: float | None = None,
    texture_size: int = 1024,
    channel_order: ChannelOrder = "BGR",
) -> list[Path]:
    """Write a face as its path's ending says; the folder is made.

    ``.json``: ``face.to_dict()``. ``.obj``, ``.ply``, ``.glb``: the mesh, textured if the photo
    is given and grey if not; an ``.obj`` then brings ``.mtl`` and ``_uv.png``. Every file
    appears whole or not at all.

    Args:
        image: (H, W, 3) uint8, the photo in which the face was found.
        space: of the mesh, y up: ``image`` (pixels), ``head`` (millimetres, no pose) or
            ``camera`` (millimetres).
        focal: of the camera in pixels for ``camera``; by default the photo's longer side.
        texture_size: side of the texture in pixels.
        channel_order: of ``image``, **BGR by default**.

    Returns:
        The files written.

    >>> from synergynet import FaceAnalyzer, read_image, save
    >>> photo = read_image("examples/astronaut.jpg")
    >>> (face,) = FaceAnalyzer()(photo)
    >>> [path.name for path in save(face, "output/face.glb", photo)]  # doctest: +SKIP
    ['face.glb']

    Raises:
        SynergyNetError: another ending, another photo's size, a face model without
            triangles, or the system refuses.
    """
    style = Style(focal=focal, texture_size=texture_size)
    if space not in SPACES:
        raise SynergyNetError(f"unknown space '{space}'; choose from {', '.join(SPACES)}")
    target = Path(path)
    kind = target.suffix.lower()
    if kind == ".json":
        # One line per entry: the whole is read by eye.
        entries = [f' "{name}": {json.dumps(v)}' for name, v in face.to_dict().items()]
        return [write_whole(target, ("{\n" + ",\n".join(entries) + "\n}\n").encode())]
    if kind.removeprefix(".") not in MESHES:
        raise SynergyNetError(f"{target}: a face is saved as .json, {mesh_suffixes()}")
    check_triangles([face])
    if image is None:
        grey = np.full((*face.image_size, 3), _GREY, dtype=np.uint8)
        return write_mesh(
            target, build_mesh(face, grey, place(face, space, face.image_size, focal))
        )
    photo = as_bgr(image, channel_order)
    check_size(photo, [face])
    pictures = Pictures(photo, [face], style)
    return write_mesh(target, pictures.mesh(0, space))
