"""Fit a face model to 3D landmarks: similarity pose and coefficients with a unit prior."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..geometry import frames, params, pose
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import N_COEFFICIENTS, N_SHAPE, FloatArray
from .model import FaceModel

NOISE_MM = 0.5
"""Standard deviation of a landmark coordinate that weighs the data against the unit prior."""


@dataclass(frozen=True, eq=False)
class LandmarkFit:
    """Result of :func:`fit_landmarks` for N faces.

    Attributes:
        params: (N, 62) raw parameters whose camera is a similarity ``[sR | t]``.
        landmarks: (N, 68, 3) fitted landmarks, crop1 frame.
        nme: (N,) mean 2D distance to the data over sqrt(w h) of the data's bounding box.
    """

    params: FloatArray
    landmarks: FloatArray
    nme: FloatArray


def similarity(
    source: FloatArray, target: FloatArray, rotation: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least-squares scale, rotation, translation with ``target ~ s R source + t`` (Umeyama).

    Args:
        source, target: (N, n, 3).
        rotation: (N, 3, 3) to keep fixed, or None to solve for it.

    Returns:
        scale (N,), rotation (N, 3, 3), translation (N, 3).
    """
    a0, b0 = source.mean(axis=1), target.mean(axis=1)
    a, b = source - a0[:, None], target - b0[:, None]
    covariance = np.swapaxes(b, 1, 2) @ a
    if rotation is None:
        u, _, vt = np.linalg.svd(covariance)
        u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
        rotation = u @ vt
    scale = (rotation * covariance).sum(axis=(1, 2)) / np.maximum((a * a).sum(axis=(1, 2)), 1e-12)
    translation = b0 - scale[:, None] * np.einsum("nij,nj->ni", rotation, a0)
    return scale, rotation, translation


def fit_landmarks(
    model: FaceModel,
    landmarks: ArrayLike,
    *,
    rotation: FloatArray | None = None,
    iterations: int = 40,
    noise_mm: float = NOISE_MM,
) -> LandmarkFit:
    """Fit pose and the 50 coefficients to 3D landmarks, all faces at once.

    Alternates the closed-form similarity and a ridge regression of the coefficients in the
    head frame. The prior is standard normal in the model's coefficients.

    Args:
        landmarks: (N, 68, 3) in the crop1 frame; z may have any offset per face.
        rotation: (N, 3, 3) known head rotations to keep, or None to estimate them.
        noise_mm: expected landmark noise in millimetres; larger trusts the prior more.
    """
    data = frames.crop1_to_camera(np.asarray(landmarks, dtype=np.float64))
    if data.ndim != 3 or data.shape[1:] != (N_LANDMARKS, 3):
        raise ValueError(f"landmarks have shape {data.shape}, expected (N, 68, 3)")
    noise = noise_mm / model.millimetres_per_unit
    basis = np.concatenate([model.landmark_identity, model.landmark_expression])
    design = basis.reshape(N_COEFFICIENTS, -1).T.astype(np.float64)
    gram = design.T @ design + noise**2 * np.eye(N_COEFFICIENTS)
    solver = np.linalg.solve(gram, design.T)
    coefficients = np.zeros((len(data), N_COEFFICIENTS))
    mean = model.landmark_mean.astype(np.float64)
    for _ in range(iterations):
        shape = mean + (coefficients @ design.T).reshape(-1, N_LANDMARKS, 3)
        scale, turn, shift = similarity(shape, data, rotation)
        head = np.einsum("nji,nlj->nli", turn, data - shift[:, None]) / scale[:, None, None]
        coefficients = (head - mean).reshape(len(data), -1) @ solver.T
    shape = mean + (coefficients @ design.T).reshape(-1, N_LANDMARKS, 3)
    scale, turn, shift = similarity(shape, data, rotation)
    camera = pose.camera_from_pose(scale, turn, shift)
    raw = params.join(camera, coefficients[:, :N_SHAPE], coefficients[:, N_SHAPE:])
    fitted = frames.camera_to_crop1(
        scale[:, None, None] * np.einsum("nij,nlj->nli", turn, shape) + shift[:, None]
    )
    truth = np.asarray(landmarks, dtype=np.float64)[..., :2]
    size = np.sqrt((truth.max(axis=1) - truth.min(axis=1)).prod(axis=1))
    nme = np.linalg.norm(fitted[..., :2] - truth, axis=-1).mean(axis=1) / size
    return LandmarkFit(raw, fitted, nme)
