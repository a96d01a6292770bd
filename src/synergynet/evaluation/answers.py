"""What a network answers to the crops of a benchmark, and how that is measured."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..datasets.readers import Reader
from ..datasets.readers.crop_list import mirrored_landmarks
from ..errors import SynergyNetError
from ..face_model.model import FaceModel
from ..files.whole_file import read_npy
from ..geometry import frames, params, pose
from ..geometry.crops import zero_border
from ..geometry.params import INPUT_SIZE, N_PARAMS, FloatArray
from ..regression import MirrorAveraged, ParamsRegressor, can_mirror
from .metrics import AnswerFrame
from .result import Result
from .sets import evaluation_set

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
    dataset: Reader,
    raw: ArrayLike,
    face_model: FaceModel,
    frame: AnswerFrame,
    *,
    weights: str = "parameters",
) -> Result:
    """Measure parameters that some network has already predicted.

    Args:
        dataset: a benchmark of ``EVALUATION_SETS``.
        raw: (N, 62) raw parameters in the order of the benchmark's list; not modified.
        face_model: decodes the parameters.
        frame: which frame their decoded landmarks are in.
        weights: what to call the network in the result.

    Raises:
        SynergyNetError: the wrong number of rows, or numbers that are not finite.
    """
    start = time.perf_counter()
    checked = _checked(raw, len(dataset), weights)
    with np.errstate(over="ignore", invalid="ignore"):
        landmarks = face_model.decode_landmarks(checked)
    facts = {"weights": weights, "frame": frame, "border": 0, "mirror": False}
    return _measure(dataset, landmarks, params.split(checked)[0], face_model, start, facts)


def evaluate_regressor(
    dataset: Reader,
    regressor: ParamsRegressor,
    face_model: FaceModel,
    *,
    mirror: bool = False,
    batch_size: int = 128,
    weights: str = "network",
) -> Result:
    """Run a network on the crops and measure its answers.

    The border that the checkpoint declares is zeroed before the network sees a crop.

    Args:
        dataset: a benchmark of ``EVALUATION_SETS``.
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
            points = (points + mirrored_landmarks(face_model.decode_landmarks(raw), flip)) / 2
            camera = (camera + pose.mirror_camera(params.split(raw)[0])) / 2
        landmarks.append(points)
        cameras.append(camera)
    facts = {
        "weights": weights, "frame": info.frame, "border": info.border, "mirror": mirror
    }  # fmt: skip
    decoded = np.concatenate(landmarks), np.concatenate(cameras)
    return _measure(dataset, *decoded, face_model, start, facts)


def _measure(
    dataset: Reader,
    landmarks: FloatArray,
    cameras: FloatArray,
    face_model: FaceModel,
    start: float,
    facts: dict[str, Any],
) -> Result:
    facts |= {
        "face_model": face_model.name,
        "face_model_hash": face_model.hash,
        "images": len(dataset),
    }
    result = evaluation_set(dataset.name).measure(dataset, landmarks, cameras, facts)
    return replace(result, seconds=time.perf_counter() - start)


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
