"""Measure raw parameters, or a network, on AFLW2000-3D."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..datasets.readers.aflw2000_crops import Aflw2000
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..files.whole_file import read_npy
from ..geometry import frames, params, pose
from ..geometry.crops import zero_border
from ..geometry.landmarks import MIRROR
from ..geometry.params import INPUT_SIZE, N_PARAMS, FloatArray
from ..regression import MirrorAveraged, ParamsRegressor, can_mirror
from .breakdown import Group, break_down
from .metrics import (
    BIN_NAMES,
    AnswerFrame,
    binned_nme,
    euler_mae,
    exact_photo_points,
    nme,
    official_photo_points,
    yaw_bins,
)
from .result import EvaluationResult, MeasuredFaces

_MAX_PARAMS_BYTES = 256 << 20


def load_params(path: str | Path) -> FloatArray:
    """Raw parameters (N, 62) from an ``.npy`` file.

    Raises:
        SynergyNetError: missing, broken, or of another shape.
    """
    file = Path(path)
    cure = f"--params wants raw parameters, floating-point (N, {N_PARAMS})"
    data = read_npy(file, max_bytes=_MAX_PARAMS_BYTES, cure=cure)
    if data.dtype.kind != "f":
        raise SynergyNetError(f"{file}: not an .npy array of floating-point numbers")
    if data.ndim != 2 or data.shape[1] != N_PARAMS:
        raise SynergyNetError(
            f"{file}: shape {data.shape}, expected (N, {N_PARAMS}) raw (not whitened) parameters"
        )
    return np.array(data)


def evaluate_params(
    dataset: Aflw2000,
    raw: ArrayLike,
    face_model: FaceModel,
    frame: AnswerFrame,
    *,
    weights: str = "parameters",
) -> EvaluationResult:
    """Measure parameters that some network has already predicted.

    Args:
        raw: (N, 62) raw parameters in the order of the benchmark's list; not modified.
        face_model: decodes the parameters.
        frame: which frame their decoded landmarks are in.
        weights: what to call the network in the result.

    Raises:
        SynergyNetError: the wrong number of rows, or numbers that are not finite.
    """
    start = time.perf_counter()
    answers = _checked(raw, len(dataset), weights)
    with np.errstate(over="ignore", invalid="ignore"):
        landmarks = face_model.decode_landmarks(answers)
    return _measure(
        dataset, landmarks, params.split(answers)[0], face_model, frame, weights, start=start
    )


def evaluate_regressor(
    dataset: Aflw2000,
    regressor: ParamsRegressor,
    face_model: FaceModel,
    *,
    mirror: bool = False,
    batch_size: int = 128,
    weights: str = "network",
) -> EvaluationResult:
    """Run a network on the crops and measure its answers.

    The border that the checkpoint declares is zeroed before the network sees a crop.

    Args:
        mirror: average each answer with that of the mirrored crop, which doubles the time:
            parameters as ``synergynet infer`` does, or, where face model or frame forbid that,
            landmarks as points and cameras as matrices.

    Raises:
        SynergyNetError: the network belongs to another face model, a crop cannot be read,
            or an answer is not finite.
    """
    start, info = time.perf_counter(), regressor.info
    info.check_face_model(face_model, weights)
    flip = frames.CROP_FLIP if info.frame == "pixel" else INPUT_SIZE
    points_too = mirror
    if mirror and can_mirror(regressor, face_model):
        regressor, points_too = MirrorAveraged(regressor, face_model), False
    landmarks, cameras = [], []
    for crops in dataset.crops(batch_size):
        batch = zero_border(crops, info.border)
        raw = _checked(regressor.predict(batch), len(batch), weights)
        points, camera = face_model.decode_landmarks(raw), params.split(raw)[0]
        if points_too:
            turned = np.ascontiguousarray(batch[:, :, ::-1])
            raw = _checked(regressor.predict(turned), len(batch), weights)
            points = (points + mirror_landmarks(face_model.decode_landmarks(raw), flip)) / 2
            camera = (camera + pose.mirror_camera(params.split(raw)[0])) / 2
        landmarks.append(points)
        cameras.append(camera)
    return _measure(
        dataset,
        np.concatenate(landmarks),
        np.concatenate(cameras),
        face_model,
        info.frame,
        weights,
        start=start,
        border=info.border,
        mirror=mirror,
    )


def mirror_landmarks(points: ArrayLike, flip: float) -> FloatArray:
    """(N, 68, 3) of a mirrored crop -> of the crop itself.

    Args:
        flip: x + mirrored x: 121 in crop1; 120 in x120, whose ends 0 and 120 are the first
            and the last pixel centre of the box.
    """
    out = np.asarray(points, dtype=np.float64)[:, MIRROR]
    out[..., 0] = flip - out[..., 0]
    return out


def _checked(raw: ArrayLike, rows: int, weights: str) -> FloatArray:
    answers = np.asarray(raw, dtype=np.float64)
    if answers.shape != (rows, N_PARAMS):
        raise SynergyNetError(
            f"{weights}: answers of shape {answers.shape}, expected {(rows, N_PARAMS)}, "
            "one row for each image of the list"
        )
    if not np.isfinite(answers).all():
        raise SynergyNetError(f"{weights}: answers contain numbers that are not finite")
    return answers


def _measure(
    dataset: Aflw2000,
    landmarks: FloatArray,
    cameras: FloatArray,
    face_model: FaceModel,
    frame: AnswerFrame,
    weights: str,
    *,
    start: float,
    border: int = 0,
    mirror: bool = False,
) -> EvaluationResult:
    official = official_photo_points(landmarks, frame, dataset.roi)
    exact = exact_photo_points(landmarks, frame, dataset.roi_unclipped)
    usable = np.isfinite(official).all() and np.isfinite(exact).all()
    if not usable or not np.linalg.norm(cameras[:, :2, :3], axis=-1).all():
        raise SynergyNetError(f"{weights}: answers decode to no face; are they raw parameters?")
    truths = {"ori": dataset.points_ori, "re": dataset.points_re}
    cameras = cameras[dataset.euler_index]
    angles = pose.euler_from_camera(cameras, "exact")
    errors = nme(exact, dataset.points_ori)
    a, b, c = np.bincount(yaw_bins(dataset.yaw), minlength=len(BIN_NAMES)).tolist()
    return EvaluationResult(
        weights=weights,
        face_model=face_model.name,
        face_model_hash=face_model.hash,
        frame=frame,
        border=border,
        mirror=mirror,
        images=len(dataset),
        bin_images=(a, b, c),
        nme_official={k: binned_nme(nme(official, t), dataset.yaw) for k, t in truths.items()},
        nme_exact={k: binned_nme(nme(exact, t), dataset.yaw) for k, t in truths.items()},
        euler_official=euler_mae(pose.euler_from_camera(cameras, "official"), dataset.euler),
        euler_exact=euler_mae(angles, dataset.euler),
        groups=_groups(dataset, 100 * errors, np.abs(angles - dataset.euler)),
        faces=MeasuredFaces(
            100 * errors,
            frames.photo1_to_crop1(exact, dataset.roi_unclipped),
            frames.photo1_to_crop1(np.swapaxes(dataset.points_ori, 1, 2), dataset.roi_unclipped),
        ),
        seconds=time.perf_counter() - start,
    )


def _groups(dataset: Aflw2000, errors: FloatArray, angle_errors: FloatArray) -> tuple[Group, ...]:
    truth = np.full((len(dataset), 3), np.nan)
    truth[dataset.euler_index] = dataset.euler
    by_face = np.full_like(truth, np.nan)
    by_face[dataset.euler_index] = angle_errors
    side = dataset.roi_unclipped[:, 2] - dataset.roi_unclipped[:, 0] + 1
    values = {
        "yaw": dataset.yaw,
        "pitch": truth[:, 0],
        "roll": truth[:, 2],
        "face size": side / np.sqrt(2),
    }
    return break_down(values, errors, by_face)
