"""Where a face's mesh is put: in the photo, in a frame of the head, or before a camera."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SynergyNetError
from ...geometry import frames
from ...geometry.params import FloatArray, split
from ...pipeline.face import Face, crop_to_image
from ..kinds import SPACES, Space


@dataclass(frozen=True, eq=False)
class Placement:
    """An affine map from the model frame to the frame of the file. y is up in all of them.

    Attributes:
        linear: (3, 3), per model unit.
        offset: (3,).
        metric: whether the file's unit is the millimetre, else the photo's pixel.
        text: the frame in words, for the file's header.
    """

    linear: FloatArray
    offset: FloatArray
    metric: bool
    text: str

    def __call__(self, points: ArrayLike) -> FloatArray:
        """(..., 3) points of the model frame -> file."""
        return np.asarray(points, dtype=np.float64) @ self.linear.T + self.offset


def place(
    face: Face, space: Space, shape: tuple[int, ...], focal: float | None = None
) -> Placement:
    """The placement of a face of a photo.

    * ``image``: pixels of the photo; x right, y up from the centre of the lowest row, z toward
      the viewer from an arbitrary origin.
    * ``head``: millimetres; x toward the subject's left, y up, looking along +z; no pose.
    * ``camera``: millimetres; the camera at the origin looks along -z, x right, y up.

    Args:
        shape: (H, W) of the photo.
        focal: of its camera in pixels, for ``camera``; by default the photo's longer side.

    Raises:
        SynergyNetError: an unknown space, or a focal length that is not positive.
    """
    unit = face.face_model.millimetres_per_unit
    if space == "head":
        text = "millimetres, x to the subject's left, y up, looking along +z"
        return Placement(np.eye(3) * unit, np.zeros(3), True, text)
    if space == "image":
        return _in_image(face, shape[0])
    if space != "camera":
        raise SynergyNetError(f"unknown space '{space}'; choose from {', '.join(SPACES)}")
    length = float(max(shape[:2]) if focal is None else focal)
    if not 0 < length < np.inf:
        raise SynergyNetError(f"the focal length is {length} pixels, but must be positive")
    centre = face.face_model.landmarks(face.identity, face.expression).mean(axis=0)
    linear, offset = place_in_camera(
        face.pose.rotation,
        face.pose.scale / unit,
        face.landmarks[:, :2].mean(axis=0),
        unit * centre,
        shape,
        length,
    )
    text = (
        f"millimetres before a camera of {length:.1f} pixels focal length, y up, looking along -z"
    )
    return Placement(linear * unit, offset, True, text)


def place_in_camera(
    rotation: ArrayLike,
    scale: float,
    centre: ArrayLike,
    head_centre: ArrayLike,
    shape: tuple[int, ...],
    focal: float,
) -> tuple[FloatArray, FloatArray]:
    """A pinhole camera's view that weak perspective approximates.

    The landmarks' centre is put on the ray of its image, at the distance along the axis at
    which one millimetre is ``scale`` pixels: ``focal / scale``. Weak perspective measures the
    rotation against that ray, not against the axis of the camera, so the head turns with it.

    Args:
        rotation: (3, 3) head frame -> camera frame.
        scale: pixels per millimetre.
        centre: (2,) of the landmarks in the image frame.
        head_centre: (3,) of the landmarks in the head frame, millimetres.
        shape: (H, W) of the photo, whose middle lies on the camera's axis.
        focal: pixels.

    Returns:
        (3, 3) and (3,): head frame, millimetres -> camera frame, millimetres.
    """
    if not scale > 0:
        raise SynergyNetError("a face without size has no place before the camera")
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    x, y = (np.asarray(centre, dtype=np.float64) - middle) / focal
    ray = np.array([x, -y, -1.0])
    turn = _turn_between(np.array([0.0, 0.0, -1.0]), ray / np.linalg.norm(ray))
    linear = turn @ np.asarray(rotation, dtype=np.float64)
    offset = ray * (focal / scale) - linear @ np.asarray(head_centre, dtype=np.float64)
    return linear, offset


def _in_image(face: Face, height: int) -> Placement:
    camera = split(np.asarray(face.params, dtype=np.float64))[0]
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]) @ camera[:, :3].T + camera[:, 3]
    at = crop_to_image(frames.camera_to_crop1(corners), face.crop, face.frame)
    at = at * (1, -1, 1) + (0, height - 1, 0)
    text = "pixels of the photo, y up, z toward the viewer"
    return Placement((at[1:] - at[0]).T, at[0], False, text)


def _turn_between(a: FloatArray, b: FloatArray) -> FloatArray:
    """The smallest rotation (3, 3) that takes one unit vector to another, not opposite, one."""
    v, c = np.cross(a, b), float(a @ b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + c)
