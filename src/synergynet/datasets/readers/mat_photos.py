"""Labels of 300W-LP and AFLW2000-3D: one ``.mat`` beside each 450x450 photo.

============  =========================  ==============================================
field         shape                      meaning
============  =========================  ==============================================
Pose_Para     (1, 7)                     pitch, yaw, roll in radians; tx, ty, tz in photo
                                         pixels; f in photo pixels per micrometre
Shape_Para    (199, 1)                   coefficients of the Basel Face Model 2009
Exp_Para      (29, 1)                    coefficients of FaceWarehouse's expressions
Tex_Para      (199, 1)                   texture coefficients of the Basel Face Model
Color_Para    (1, 7)                     gain r, g, b; offset r, g, b; contrast
Illum_Para    (1, 10)                    ambient r, g, b; directional r, g, b; its two angles
                                         in radians; specular strength; shininess
roi           (1, 4)                     x0, y0, x1, y1: the square of the collection's own
                                         picture that became the photo; may reach outside it
pt2d          (2, 68) or (2, 21)         300W-LP: the 68 landmarks of the photo *before* it was
                                         rotated in 3D, so no label of the rotated ones;
                                         AFLW2000-3D: AFLW's 21 landmarks, -1 where hidden
pt3d_68       (3, 68)                    AFLW2000-3D alone: the 68 landmarks of all 199 + 29
                                         modes, the benchmark's 'ori' truth
============  =========================  ==============================================

Landmarks are in photo1: 1-based photo pixels, y down, z in pixels toward the viewer. The face
model's vertices v (micrometres) appear at ``f R v + t`` in the camera frame of the photo, whose
y counts up from the bottom: ``y_photo1 = 450 + 1 - y``. ``R = Rx(pitch) Ry(yaw) Rz(roll)``.

Taking the first 40 + 10 of the 199 + 29 modes moves a landmark by 1.7 photo pixels on average
(300 photos of AFLW2000-3D).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...files.mat import read_arrays
from ...geometry import frames, params, pose
from ...geometry.crops import CropBox, aflw2000_roi
from ...geometry.landmarks import N_LANDMARKS
from ...geometry.params import INPUT_SIZE, N_EXPRESSION, N_SHAPE, FloatArray
from .crop_store import read_small

PHOTO_SIZE = 450
"""Both collections cut every picture to 450x450 pixels; the labels count those."""

Source = Literal["300w-lp", "aflw2000"]

_MAX_BYTES = 1 << 20  # real files have 4 KiB
_VECTORS = {
    "Pose_Para": 7,
    "Shape_Para": 199,
    "Exp_Para": 29,
    "Tex_Para": 199,
    "Color_Para": 7,
    "Illum_Para": 10,
    "roi": 4,
}
_POINTS = {"pt2d": ((2, 68), (2, 21)), "pt3d_68": ((3, N_LANDMARKS),)}
_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    **{name: ((1, n), (n, 1)) for name, n in _VECTORS.items()},
    **_POINTS,
}
_REQUIRED = ("Pose_Para", "Shape_Para", "Exp_Para", "pt2d")
_FIELDS = {
    "pose": "Pose_Para", "shape": "Shape_Para", "expression": "Exp_Para", "points2d": "pt2d",
    "points3d": "pt3d_68", "texture": "Tex_Para", "color": "Color_Para",
    "illumination": "Illum_Para", "roi": "roi",
}  # fmt: skip
"""Attribute of :class:`MatLabels` -> field."""


@dataclass(frozen=True, eq=False)
class MatLabels:
    """One ``.mat``, field by field; units and frames in the text of this module.

    Vectors are flat. ``points3d`` is missing in 300W-LP, the rest with None may be anywhere.
    """

    pose: FloatArray
    shape: FloatArray
    expression: FloatArray
    points2d: FloatArray
    points3d: FloatArray | None = None
    texture: FloatArray | None = None
    color: FloatArray | None = None
    illumination: FloatArray | None = None
    roi: FloatArray | None = None

    @property
    def source(self) -> Source:
        """Which collection the file is of: only AFLW2000-3D has 21 points or ``pt3d_68``."""
        of_aflw = self.points3d is not None or self.points2d.shape[1] != N_LANDMARKS
        return "aflw2000" if of_aflw else "300w-lp"

    @property
    def euler(self) -> FloatArray:
        """(3,) pitch, yaw, roll in degrees, as they stand in the file (may pass +-180)."""
        return np.rad2deg(self.pose[:3])

    @cached_property
    def rotation(self) -> FloatArray:
        """(3, 3) model frame -> camera frame."""
        return pose.rotation_from_euler(*self.euler)

    @cached_property
    def photo_camera(self) -> FloatArray:
        """(3, 4) ``[f R | t]``: micrometres -> camera frame of the 450-pixel photo (y up)."""
        return pose.camera_from_pose(self.pose[6], self.rotation, self.pose[3:6])

    def landmarks(self, bfm: FaceModel | None = None) -> FloatArray:
        """(68, 3) landmarks in photo1: ``pt3d_68``, or else decoded with 40 + 10 modes of ``bfm``.

        Raises:
            SynergyNetError: the file has no ``pt3d_68`` and no model was given.
        """
        if self.points3d is not None:
            return self.points3d.T
        if bfm is None:
            raise SynergyNetError(
                "no pt3d_68, and no Basel Face Model to compute the landmarks with"
            )
        return self.decode(bfm)

    def decode(self, bfm: FaceModel) -> FloatArray:
        """(68, 3) landmarks of the first 40 + 10 coefficients, photo1."""
        points = bfm.landmarks(self.shape[:N_SHAPE], self.expression[:N_EXPRESSION])
        out = points @ self.photo_camera[:, :3].T + self.photo_camera[:, 3]
        out[:, 1] = PHOTO_SIZE + 1 - out[:, 1]
        return out

    def params(self, box: CropBox) -> FloatArray:
        """(62,) raw parameters of the Basel Face Model for the 120x120 crop of ``box``."""
        return params.join(
            camera_of_crop(self.photo_camera, box),
            self.shape[:N_SHAPE],
            self.expression[:N_EXPRESSION],
        )


def benchmark_box(landmarks: ArrayLike) -> CropBox:
    """The box that the benchmark's crops were cut with, here unclipped.

    Args:
        landmarks: (68, 2+) photo1.
    """
    points = np.asarray(landmarks, dtype=np.float64)[:, :2].T
    return CropBox.from_inclusive_photo1(aflw2000_roi(points[None], clip=None)[0])


def photo1_to_crop1(points: ArrayLike, box: CropBox) -> FloatArray:
    """(n, 2 or 3) 1-based photo pixels -> 1-based pixels of the crop of ``box``."""
    return frames.image_to_crop1(frames.photo1_to_image(points), box)


def camera_of_crop(photo_camera: FloatArray, box: CropBox) -> FloatArray:
    """``P`` (3, 4) of the photo (y up from its bottom) -> ``P`` of the 120x120 crop of ``box``.

    Decoded landmarks move from photo1 to crop1; z, tz included, scales like x.
    """
    scale = INPUT_SIZE / box.side
    origin = photo1_to_crop1(np.zeros((1, 2)), box)[0]
    flipped = np.array(photo_camera)
    flipped[1, 3] += frames.CROP_FLIP - (PHOTO_SIZE + 1)  # now y_photo1 = 121 - y, as in a crop
    return pose.transform_camera(flipped, np.column_stack([scale * np.eye(2), origin]))


def read_mat(path: str | Path) -> MatLabels:
    """Read and check one file.

    Only the fields of this module's table are read; ``Pose_Para, Shape_Para, Exp_Para`` and
    ``pt2d`` must be there.

    Raises:
        SynergyNetError: the file is missing, too large or broken, or a field is missing,
            misshapen, not of real numbers or not finite.
    """
    file = Path(path)
    try:
        fields = read_arrays(read_small(file, _MAX_BYTES, ".mat of labels"), _SHAPES.keys())
    except ValueError as error:
        raise SynergyNetError(f"{file}: not a readable .mat file ({error})") from error
    for name in _REQUIRED:
        if name not in fields:
            raise SynergyNetError(f"{file}: no field {name}; is it of 300W-LP or AFLW2000-3D?")
    for name, value in fields.items():
        if value.shape not in _SHAPES[name]:
            expected = " or ".join(str(shape) for shape in _SHAPES[name])
            raise SynergyNetError(f"{file}: {name}: shape {value.shape}, expected {expected}")
        if not np.isfinite(value).all():
            raise SynergyNetError(f"{file}: {name}: holds numbers that are not finite")
        if name not in _POINTS:
            fields[name] = value.reshape(-1)
    if not fields["Pose_Para"][6] > 0:
        raise SynergyNetError(f"{file}: Pose_Para: the scale f is {fields['Pose_Para'][6]:g}")
    return MatLabels(**{name: fields[field] for name, field in _FIELDS.items() if field in fields})
