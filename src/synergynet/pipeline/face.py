"""``Face``: everything known about one face of a photo, in the photo's pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..face_model.model import FaceModel
from ..face_model.units import unit_weights
from ..geometry import frames
from ..geometry.conventions import Conventions
from ..geometry.crops import CropBox
from ..geometry.params import EXPRESSION, INPUT_SIZE, SHAPE, FloatArray, split
from ..geometry.pose import (
    Pose,
    decompose_exact,
    decompose_official,
    euler_exact,
    euler_official,
)
from ..regression.trust import confidence
from ..weights.info import Frame

_MESHES_AT_ONCE = 16
"""Faces: bounds the memory for the decoded points, in step with the processor's caches."""

_SIGNIFICANT = 7  # float32 holds no more digits


@dataclass(frozen=True, eq=False)
class Face:
    """One face: what detector and network said, and, made on first use, what follows from it.

    ``dataclasses.replace(face, params=...)`` is the same face with other parameters. Pickled, a
    face takes 3 kB: its face model is read again where it is unpickled, its mesh made again.

    Attributes:
        box: (x0, y0, x1, y1) of the detector, image frame (0-based pixel centres, y down); of
            the landmarks where no detector was asked.
        score: of the detector, 0 to 1; 0 where no detector was asked.
        params: (62,) raw parameters, valid in ``crop``.
        crop: whole-pixel square of the photo that the network saw last.
        frame: of the decoded parameters in that crop: ``pixel`` or ``protocol``.
        face_model: that the parameters drive.
        image_size: (H, W) of the photo.
        conventions: of the pose's angles and translation.
        expected_nme: how far off the network expects its landmarks to be: their mean distance
            in percent of the face's size; None if the weights were not calibrated for it.
    """

    box: tuple[float, float, float, float]
    score: float
    params: FloatArray = field(repr=False)
    crop: CropBox
    frame: Frame
    face_model: FaceModel = field(repr=False)
    image_size: tuple[int, int]
    conventions: Conventions = field(default_factory=Conventions.exact, repr=False)
    expected_nme: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "vertices"}

    @property
    def confidence(self) -> float | None:
        """In [0, 1], from ``expected_nme``; below ``LOST_BELOW`` there is probably no face."""
        return None if self.expected_nme is None else float(confidence(self.expected_nme))

    @property
    def identity(self) -> FloatArray:
        """(40,) identity coefficients."""
        return self.params[SHAPE]

    @property
    def expression(self) -> FloatArray:
        """(10,) expression coefficients."""
        return self.params[EXPRESSION]

    @cached_property
    def landmarks(self) -> FloatArray:
        """(68, 3) image frame, in the order of iBUG 68; z in pixels toward the viewer, arbitrary
        origin."""
        return crop_to_image(self.face_model.decode_landmarks(self.params), self.crop, self.frame)

    @cached_property
    def vertices(self) -> FloatArray:
        """(V, 3) float64 mesh in the image frame."""
        return crop_to_image(self.face_model.decode_vertices(self.params), self.crop, self.frame)

    @cached_property
    def pose(self) -> Pose:
        """Rotation, scale, translation and angles; the translation in the image frame."""
        crops = [self.crop]
        return poses_in_images(self.params[None], crops, self.frame, self.conventions)[0]

    @cached_property
    def arkit(self) -> Mapping[str, float]:
        """Expression unit -> weight in [0, 1]; empty if the face model has no units."""
        weights = unit_weights(self.expression, self.face_model)[0]
        return dict(zip(self.face_model.unit_names, weights.tolist(), strict=True))

    @property
    def triangles(self) -> NDArray[np.int32]:
        """(T, 3) of the face model, 0-based."""
        return self.face_model.triangles

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON, rounded to what they are worth."""
        pose = self.pose
        return {
            "box": _rounded(self.box, 2),
            "score": round(float(self.score), 4),
            "confidence": _optional(self.confidence, 4),
            "expected_nme_percent": _optional(self.expected_nme, 3),
            "landmarks": _rounded(self.landmarks, 3),
            "pose": {
                "yaw": _rounded(pose.yaw, 3),
                "pitch": _rounded(pose.pitch, 3),
                "roll": _rounded(pose.roll, 3),
                "rotation": _rounded(pose.rotation, 6),
                "quaternion": _rounded(pose.quaternion, 6),
                "translation": _rounded(pose.translation, 3),
                "scale": _significant(pose.scale),
            },
            "coefficients": {
                "identity": [_significant(v) for v in self.identity],
                "expression": [_significant(v) for v in self.expression],
            },
            "arkit": {name: round(float(w), 4) for name, w in self.arkit.items()},
        }


def crop_to_image(points: ArrayLike, crop: CropBox, frame: Frame) -> FloatArray:
    """Decoded points (n, 3) of a crop -> image frame, by the frame that the network answers in."""
    if frame == "pixel":
        return frames.crop1_to_image(points, crop)
    first = np.array([crop.left, crop.top]) + 1.5  # 1-based inclusive corners
    roi = np.concatenate([first, first + crop.side - 1])[None]
    return frames.photo1_to_image(frames.x120_to_photo1(np.asarray(points)[None], roi))[0]


def landmarks_in_images(
    model: FaceModel, params: FloatArray, crops: Sequence[CropBox], frame: Frame
) -> FloatArray:
    """Raw parameters (N, 62) of N crops -> landmarks (N, 68, 3), each in the frame of its image."""
    points = model.decode_landmarks(params)
    out = np.empty(points.shape)
    for row, crop in enumerate(crops):
        out[row] = crop_to_image(points[row], crop, frame)
    return out


def meshes_of(faces: Sequence[Face]) -> list[FloatArray]:
    """The ``vertices`` of all faces, made at once: one product of matrices per face model.

    Several times faster than one face after the other, whose bases pass through memory each time.
    """
    waiting = [face for face in faces if "vertices" not in face.__dict__]
    for model in {face.face_model for face in waiting}:
        own = [face for face in waiting if face.face_model is model]
        for start in range(0, len(own), _MESHES_AT_ONCE):
            some = own[start : start + _MESHES_AT_ONCE]
            decoded = model.decode_vertices(np.stack([face.params for face in some]))
            for face, points in zip(some, decoded, strict=True):
                face.__dict__["vertices"] = crop_to_image(points, face.crop, face.frame)
    return [face.vertices for face in faces]


def poses_in_images(
    params: FloatArray, crops: Sequence[CropBox], frame: Frame, conventions: Conventions
) -> list[Pose]:
    """Raw parameters (N, 62) of N crops -> poses in their images."""
    cameras = split(np.asarray(params, dtype=np.float64))[0]
    official = conventions.euler == "official"
    decompose, euler = (
        (decompose_official, euler_official) if official else (decompose_exact, euler_exact)
    )
    scales, rotations, translations = decompose(cameras)
    angles = euler(rotations).tolist()
    if conventions.translation_y_flip:
        translations = frames.camera_to_crop1(translations)
    poses = []
    for row, crop in enumerate(crops):
        extent = crop.side if frame == "pixel" else crop.side - 1
        pitch, yaw, roll = angles[row]
        poses.append(
            Pose(
                rotation=rotations[row],
                scale=float(scales[row]) * extent / INPUT_SIZE,
                translation=crop_to_image(translations[row : row + 1], crop, frame)[0],
                yaw=yaw,
                pitch=pitch,
                roll=roll,
            )
        )
    return poses


def _rounded(values: ArrayLike, digits: int) -> Any:
    # + 0.0 turns -0.0 into 0.0.
    return (np.round(np.asarray(values, dtype=np.float64), digits) + 0.0).tolist()


def _optional(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _significant(value: float) -> float:
    return float(f"{float(value):.{_SIGNIFICANT}g}")
