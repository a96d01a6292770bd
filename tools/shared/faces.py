"""Faces as pose and coefficients that can be averaged, moved and compared, and their landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synergynet.face_model.model import FaceModel
from synergynet.geometry import params, pose
from synergynet.geometry.params import FloatArray

CROP_PIXELS = 85.0
"""Unit of translation in a step: about the size of a face in its crop."""

N_UNKNOWN = 6 + params.N_COEFFICIENTS


@dataclass(frozen=True, eq=False)
class Faces:
    """Pose and coefficients of N faces, camera frame: scale (N,), rotation (N, 3, 3),
    translation (N, 3), coefficients (N, 50)."""

    scale: FloatArray
    rotation: FloatArray
    translation: FloatArray
    coefficients: FloatArray

    @classmethod
    def of(cls, raw: FloatArray) -> Faces:
        camera, identity, expression = params.split(np.asarray(raw, dtype=np.float64))
        return cls(*pose.decompose_exact(camera), np.concatenate([identity, expression], axis=1))

    @classmethod
    def mean(cls, faces: list[Faces], weights: list[float]) -> Faces:
        w = np.array(weights) / sum(weights)

        def average(parts: list[FloatArray]) -> FloatArray:
            return np.tensordot(w, np.array(parts), axes=1)

        return cls(
            np.exp(average([np.log(f.scale) for f in faces])),
            pose.nearest_rotation(average([f.rotation for f in faces])),
            average([f.translation for f in faces]),
            average([f.coefficients for f in faces]),
        )

    def part(self, rows: slice | NDArray[np.bool_]) -> Faces:
        return Faces(*(a[rows] for a in vars(self).values()))

    def moved(self, by: FloatArray) -> Faces:
        """After steps (N, 56): rotation vector, log scale, x and y, coefficients."""
        from scipy.spatial.transform import Rotation

        shift = np.column_stack([by[:, 4:6] * CROP_PIXELS, np.zeros(len(by))])
        return Faces(
            self.scale * np.exp(by[:, 3]),
            Rotation.from_rotvec(by[:, :3]).as_matrix() @ self.rotation,
            self.translation + shift,
            self.coefficients + by[:, 6:],
        )

    def steps_to(self, other: Faces) -> FloatArray:
        """(N, 56) steps that lead to ``other``."""
        from scipy.spatial.transform import Rotation

        turn = other.rotation @ np.swapaxes(self.rotation, 1, 2)
        return np.column_stack(
            [
                Rotation.from_matrix(turn).as_rotvec(),
                np.log(other.scale / self.scale),
                (other.translation - self.translation)[:, :2] / CROP_PIXELS,
                other.coefficients - self.coefficients,
            ]
        )

    def params(self) -> FloatArray:
        camera = pose.camera_from_pose(self.scale, self.rotation, self.translation)
        c = self.coefficients
        return params.join(camera, c[:, : params.N_SHAPE], c[:, params.N_SHAPE :])

    @property
    def yaw(self) -> FloatArray:
        return np.rad2deg(np.arcsin(np.clip(-self.rotation[:, 0, 2], -1, 1)))

    def axes(self) -> FloatArray:
        """(N, 2, 2) rows: the face's right-hand and upward direction in the picture."""
        up = self.rotation[:, :2, 1]
        up = up / np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
        return np.stack([np.stack([up[:, 1], -up[:, 0]], axis=1), up], axis=1)


class Landmarks:
    """The 68 landmarks of a face model as a function of :class:`Faces`."""

    def __init__(self, model: FaceModel) -> None:
        self.mean = model.landmark_mean.astype(np.float64)
        basis = [model.landmark_identity, model.landmark_expression]
        self.basis = np.concatenate(basis).astype(np.float64)

    def turned(self, f: Faces) -> FloatArray:
        """(N, 68, 3) about the translation, camera frame."""
        shape = self.mean + np.tensordot(f.coefficients, self.basis, 1)
        return f.scale[:, None, None] * np.einsum("nij,nlj->nli", f.rotation, shape)

    def __call__(self, f: Faces) -> FloatArray:
        """(N, 68, 2) camera frame."""
        return (self.turned(f) + f.translation[:, None])[..., :2]

    def jacobian(self, f: Faces) -> FloatArray:
        """(N, 68, 2, 56) of the picture's x and y by the steps of :meth:`Faces.moved`."""
        x = self.turned(f)
        out = np.zeros((*x.shape[:2], 2, N_UNKNOWN))
        out[..., 0, 1], out[..., 0, 2] = x[..., 2], -x[..., 1]
        out[..., 1, 0], out[..., 1, 2] = -x[..., 2], x[..., 0]
        out[..., 3] = x[..., :2]
        out[..., 0, 4] = out[..., 1, 5] = CROP_PIXELS
        linear = f.scale[:, None, None] * f.rotation[:, :2]
        out[..., 6:] = np.einsum("nij,klj->nlik", linear, self.basis)
        return out
