"""Camera matrix, rotation and Euler angles.

The camera frame has x right, y up and z toward the viewer. A weak-perspective camera is
``P = [sR | t]`` (3x4). Rotations follow 300W-LP and 3DDFA: ``R = Rx(pitch) Ry(yaw) Rz(roll)``
with ``Rx = [1 0 0; 0 c s; 0 -s c]``, ``Ry = [c 0 -s; 0 1 0; s 0 c]``,
``Rz = [c s 0; -s c 0; 0 0 1]``. Seen in the picture: positive pitch looks up, positive yaw
turns the face to the left edge of the picture, positive roll tilts the head clockwise.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .frames import CROP_FLIP
from .params import FloatArray

_ROOT_2 = float(np.sqrt(2))

_NEARLY_ONE_LINE = 1e-3
"""Length of the sum or difference of two unit rows below which they lie on one line."""

GIMBAL_COSINE = 1e-6
"""Below this |cos(yaw)|, pitch and roll turn about one axis: roll is set to 0."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Head pose of one face.

    Attributes:
        rotation: (3, 3) model frame -> camera frame (x right, y up, z to the viewer).
        scale: pixels per model unit.
        translation: (3,) where the model's origin lies, image pixels (0-based pixel centres,
            y down; z in pixels toward the viewer, arbitrary origin).
        yaw, pitch, roll: degrees, signs as in this module's text. Beyond 90 degrees of yaw the
            same rotation is written as pitch and roll half a turn on: use the rotation there.
    """

    rotation: FloatArray
    scale: float
    translation: FloatArray
    yaw: float
    pitch: float
    roll: float

    @property
    def quaternion(self) -> FloatArray:
        """(4,) x, y, z, w of ``rotation``, w not negative: the order of glTF and SciPy."""
        return quaternion_from_rotation(self.rotation)


def quaternion_from_rotation(rotation: ArrayLike) -> FloatArray:
    """A rotation (3, 3) -> the unit quaternion (4,) x, y, z, w with w >= 0."""
    r = np.asarray(rotation, dtype=np.float64)
    xx, yy, zz = r[0, 0], r[1, 1], r[2, 2]
    # Four times the square of each part on the diagonal; the row of the largest is exact.
    x, y, z = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    a, b, c = r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1]
    rows = np.array(
        [
            [1 + xx - yy - zz, a, b, x],
            [a, 1 - xx + yy - zz, c, y],
            [b, c, 1 - xx - yy + zz, z],
            [x, y, z, 1 + xx + yy + zz],
        ]
    )
    best = rows[int(np.argmax(rows.diagonal()))]
    unit: FloatArray = best / np.linalg.norm(best)
    return -unit if unit[3] < 0 else unit


def rotation_from_euler(pitch: ArrayLike, yaw: ArrayLike, roll: ArrayLike) -> FloatArray:
    """Angles in degrees (broadcast, any shape (...)) -> rotations (..., 3, 3)."""
    p, y, r = (np.deg2rad(np.asarray(a, dtype=np.float64)) for a in (pitch, yaw, roll))
    p, y, r = np.broadcast_arrays(p, y, r)
    cp, sp, cy, sy, cr, sr = np.cos(p), np.sin(p), np.cos(y), np.sin(y), np.cos(r), np.sin(r)
    rows = [
        [cy * cr, cy * sr, -sy],
        [-cp * sr + sp * sy * cr, cp * cr + sp * sy * sr, sp * cy],
        [sp * sr + cp * sy * cr, -sp * cr + cp * sy * sr, cp * cy],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def euler_exact(rotation: ArrayLike) -> FloatArray:
    """Rotations (..., 3, 3) -> (..., 3) [pitch, yaw, roll] in degrees, the exact inverse.

    At yaw = +-90 degrees (gimbal lock) roll is 0 and pitch carries the whole turn.
    """
    r = np.asarray(rotation, dtype=np.float64)
    yaw = np.arcsin(np.clip(-r[..., 0, 2], -1.0, 1.0))
    locked = np.hypot(r[..., 0, 0], r[..., 0, 1]) < GIMBAL_COSINE
    pitch = np.arctan2(r[..., 1, 2], r[..., 2, 2])
    roll = np.arctan2(r[..., 0, 1], r[..., 0, 0])
    # With roll = 0: R[2,1] = -sin(pitch), R[1,1] = cos(pitch).
    pitch = np.where(locked, np.arctan2(-r[..., 2, 1], r[..., 1, 1]), pitch)
    roll = np.where(locked, 0.0, roll)
    return np.rad2deg(np.stack([pitch, yaw, roll], axis=-1))


def euler_official(rotation: ArrayLike) -> FloatArray:
    """The official decode, (..., 3, 3) -> (..., 3) [pitch, yaw, roll] in degrees.

    Its yaw, asin(R[2,0]), is not the inverse of the data set's convention (about 2 degrees
    of mean error on true rotations); kept for comparison with published tables.
    |R[2,0]| > 1, where the official code raises, is clipped.
    """
    r = np.asarray(rotation, dtype=np.float64)
    yaw = np.arcsin(np.clip(r[..., 2, 0], -1.0, 1.0))
    cosine = np.cos(yaw)
    safe = np.where(np.abs(cosine) < GIMBAL_COSINE, 1.0, cosine)
    pitch = np.arctan2(r[..., 1, 2] / safe, r[..., 2, 2] / safe)
    roll = np.arctan2(r[..., 0, 1] / safe, r[..., 0, 0] / safe)
    locked = np.abs(r[..., 2, 0]) == 1.0
    pitch = np.where(locked, np.arctan2(r[..., 0, 1], r[..., 0, 2]), pitch)
    roll = np.where(locked, 0.0, roll)
    return np.rad2deg(np.stack([pitch, yaw, roll], axis=-1))


def camera_from_pose(scale: ArrayLike, rotation: ArrayLike, translation: ArrayLike) -> FloatArray:
    """scale (...), rotation (..., 3, 3), translation (..., 3) -> ``P`` (..., 3, 4)."""
    s = np.asarray(scale)[..., None, None]
    t = np.asarray(translation)[..., None]
    return np.concatenate([s * np.asarray(rotation), t], axis=-1)


def nearest_rotation(matrix: ArrayLike) -> FloatArray:
    """(..., 3, 3) -> the rotation nearest in the Frobenius norm (polar decomposition)."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64))
    flip = np.ones((*u.shape[:-2], 3))
    flip[..., 2] = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    return (u * flip[..., None, :]) @ vt


def decompose_official(camera: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``P`` (..., 3, 4) -> scale (...), R (..., 3, 3), t (..., 3) as the official code does.

    Scale is the mean length of the first two rows, which are normalised but not made
    orthogonal; the third row of R is their cross product. A zero row stays zero.
    """
    p = np.asarray(camera, dtype=np.float64)
    n1 = np.linalg.norm(p[..., 0, :3], axis=-1)
    n2 = np.linalg.norm(p[..., 1, :3], axis=-1)
    tiny = np.finfo(np.float64).tiny
    r1 = p[..., 0, :3] / np.maximum(n1, tiny)[..., None]
    r2 = p[..., 1, :3] / np.maximum(n2, tiny)[..., None]
    return (n1 + n2) / 2, np.stack([r1, r2, _cross(r1, r2)], axis=-2), p[..., :, 3]


def decompose_exact(camera: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``P`` (..., 3, 4) -> scale (...), rotation (..., 3, 3), t (..., 3).

    The rotation nearest to the official one (:func:`nearest_rotation`): it uses what the picture
    shows, the first two rows, and not the regressed depth row. A zero matrix gives scale 0 and
    some rotation.

    In closed form, for a tenth of the time: the third row stands upright on the first two, which
    are of unit length, so the nearest pair at right angles lies as far to both sides of the
    bisector as they do.
    """
    scale, rows, shift = decompose_official(camera)
    between, across = rows[..., 0, :] + rows[..., 1, :], rows[..., 0, :] - rows[..., 1, :]
    first, second = np.linalg.norm(between, axis=-1), np.linalg.norm(across, axis=-1)
    regular = (first > _NEARLY_ONE_LINE) & (second > _NEARLY_ONE_LINE)
    if not (regular & (np.abs(first**2 + second**2 - 4) < 1)).all():  # 4 for two unit rows
        return scale, nearest_rotation(rows), shift
    u = between / (first[..., None] * _ROOT_2)
    v = across / (second[..., None] * _ROOT_2)
    right, up = u + v, u - v
    return scale, np.stack([right, up, _cross(right, up)], axis=-2), shift


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product (..., 3); NumPy's own takes five times as long for a single one."""
    (x, y, z), (i, j, k) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([y * k - z * j, z * i - x * k, x * j - y * i], axis=-1)


def euler_from_camera(camera: ArrayLike, euler: Literal["official", "exact"]) -> FloatArray:
    """``P`` (..., 3, 4) -> (..., 3) [pitch, yaw, roll] in degrees under either convention."""
    if euler == "official":
        return euler_official(decompose_official(camera)[1])
    return euler_exact(decompose_exact(camera)[1])


def transform_camera(camera: ArrayLike, affine: ArrayLike) -> FloatArray:
    """Camera after a similarity of the crop's image plane.

    Args:
        camera: (..., 3, 4), camera frame of a 120-pixel crop (1-based, y up).
        affine: (..., 2, 3) maps old to new 1-based crop coordinates in the image frame (y down).

    Returns:
        (..., 3, 4) such that decoded landmarks move by ``affine``; z scales by sqrt|det|.
    """
    p, a = np.asarray(camera, dtype=np.float64), np.asarray(affine, dtype=np.float64)
    # (x, F - y) -> A -> (x', F - y'); written as one linear map of camera coordinates.
    m, t = a[..., :, :2], a[..., :, 2]
    lin = np.stack(
        [
            np.stack([m[..., 0, 0], -m[..., 0, 1]], axis=-1),
            np.stack([-m[..., 1, 0], m[..., 1, 1]], axis=-1),
        ],
        axis=-2,
    )
    shift = np.stack(
        [
            t[..., 0] + m[..., 0, 1] * CROP_FLIP,
            CROP_FLIP - t[..., 1] - m[..., 1, 1] * CROP_FLIP,
        ],
        axis=-1,
    )
    xy = lin @ p[..., :2, :]
    xy[..., 3] += shift
    depth = np.sqrt(np.abs(np.linalg.det(m)))[..., None, None]
    return np.concatenate([xy, p[..., 2:, :] * depth], axis=-2)


def mirror_camera(camera: ArrayLike) -> FloatArray:
    """Camera of the left-right mirrored crop (x -> 121 - x, model x -> -x), (..., 3, 4).

    Only the camera: mirrored coefficients belong to the face model.
    """
    p = np.array(camera, dtype=np.float64)
    p[..., 0, :] *= -1
    p[..., 0, 3] += CROP_FLIP
    p[..., :, 0] *= -1
    return p
