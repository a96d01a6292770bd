"""Pictures whose numbers count: depth, PNCC, normals, textures."""

import numpy as np
from numpy.typing import NDArray

from ..geometry.params import FloatArray
from ..pipeline.face import meshes_of
from ..rendering import as_colors, encode_depth, lay_over, normal_map, pncc_codes, pncc_map
from ..rendering.maps import DEPTH_MIDDLE
from .pictures import Pictures

_DEPTH_RANGE = 150.0
"""Millimetres before and behind the centre of the nearest face that a depth video can show."""


def depth(pictures: Pictures) -> NDArray[np.uint16]:
    """(H, W) uint16, see ``encode_depth``."""
    return encode_depth(pictures.depth)[0]


def depth_code(pictures: Pictures) -> dict[str, float]:
    """What the values of the ``depth`` picture mean, for the JSON.

    ``millimetres = (value - zero_at) * millimetres_per_step``; the value 0 is no face.
    """
    return {
        "zero_at": DEPTH_MIDDLE,
        "millimetres_per_step": encode_depth(pictures.depth)[1],
        "focal": float(pictures.style.focal or max(pictures.size)),
    }


def depth_in_grey(pictures: Pictures) -> NDArray[np.uint8]:
    """(H, W, 3): 128 at the centre of the nearest face, 1 and 255 at 150 mm behind and before it,
    0 without a face."""
    seen = np.isfinite(pictures.depth)
    grey = 128 + np.where(seen, pictures.depth, 0) * (127 / _DEPTH_RANGE)
    values = np.where(seen, np.clip(np.rint(grey), 1, 255), 0).astype(np.uint8)
    return np.repeat(values[..., None], 3, axis=2)


def pncc(pictures: Pictures) -> NDArray[np.uint8]:
    """Every pixel's place on the mean face, as a colour."""
    if not pictures.faces:
        return np.zeros_like(pictures.image)
    first = pictures.faces[0]
    codes = pncc_codes(first.face_model.mean)
    return _over(pictures, pncc_map(pictures.views, first.triangles, codes, *pictures.size))


def normals(pictures: Pictures) -> NDArray[np.uint8]:
    """The surface's direction, as a colour."""
    if not pictures.faces:
        return np.zeros_like(pictures.image)
    meshes = meshes_of(pictures.faces)
    found = normal_map(pictures.views, pictures.faces[0].triangles, meshes, *pictures.size)
    return _over(pictures, found / 2 + 0.5)


def uv(pictures: Pictures, number: int) -> NDArray[np.uint8]:
    """The texture of one face, (S, S, 3)."""
    return pictures.texture(number).image


def _over(pictures: Pictures, colors: FloatArray) -> NDArray[np.uint8]:
    seen = np.isfinite(pictures.depth)
    below = np.zeros_like(pictures.image) if pictures.style.opacity is None else pictures.image
    return lay_over(below, as_colors(colors), seen, pictures.style.opacity_or(1.0))
