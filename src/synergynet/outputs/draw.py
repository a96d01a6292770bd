"""Pictures of faces as arrays: the public door on :class:`~.pictures.Pictures`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import SynergyNetError
from ..files.pixels import ChannelOrder, as_bgr
from ..pipeline.face import Face
from .kinds import DRAWINGS
from .pictures import Picture, Pictures, Style, check_size


def draw(
    image: NDArray[np.uint8],
    faces: Face | Sequence[Face],
    kind: str = "mesh",
    *,
    channel_order: ChannelOrder = "BGR",
    opacity: float | None = None,
    view: tuple[float, float] | None = None,
    focal: float | None = None,
    texture_size: int = 1024,
) -> Picture:
    """One picture of all faces of a photo. Nearer faces hide farther ones.

    Kinds over the photo, ``landmarks``, ``pose``, ``box`` and ``mesh``, may be drawn one over the
    other:

    >>> from synergynet import FaceAnalyzer, draw, read_image
    >>> photo = read_image("examples/astronaut.jpg")
    >>> faces = FaceAnalyzer()(photo)
    >>> both = draw(draw(photo, faces, "mesh"), faces, "pose")
    >>> draw(photo, faces, "depth").dtype
    dtype('uint16')

    Args:
        image: (H, W, 3) uint8, the photo; not changed.
        faces: found in it, or one of them.
        kind: ``landmarks``, ``pose``, ``box``, ``mesh``, ``solid``, ``depth``, ``pncc``,
            ``normals`` or, for one face, ``uv``, its texture.
        channel_order: of the photo and of the answer, **BGR by default**. What is coded in
            red, green, blue (``pncc``, ``normals``) is too.
        opacity: of what is drawn over the photo, 0 to 1; by default 0.72 for ``mesh`` and 1
            for lines. Given, it also lays ``solid``, ``pncc`` and ``normals`` over the photo.
        view: yaw and pitch in degrees from which ``solid`` shows every head.
        focal: of the camera in pixels, by default the longer side: orders the faces by
            distance.
        texture_size: side of ``uv`` in pixels.

    Returns:
        (H, W, 3) uint8; for ``depth`` (H, W) uint16 in steps of 0.005 mm, larger is nearer, 0
        no face; for ``uv`` (texture_size, texture_size, 3) uint8.

    Raises:
        SynergyNetError: not such an image, or of another size, an unknown kind or value, a
            surface of a face model without triangles, or ``uv`` of several faces.
    """
    found = [faces] if isinstance(faces, Face) else list(faces)
    per_face = kind in DRAWINGS and DRAWINGS[kind].per_face
    if per_face and len(found) != 1:
        raise SynergyNetError(f"{kind} is of one face, but {len(found)} were given")
    style = Style(opacity, view, focal, texture_size)
    photo = as_bgr(image, channel_order)
    check_size(photo, found)
    pictures = Pictures(photo, found, style)
    picture = pictures.draw(kind, 0 if per_face else None)
    if channel_order == "RGB" and picture.ndim == 3:
        return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)
    return picture
