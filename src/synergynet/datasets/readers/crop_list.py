"""The official 3DDFA training list: crops, a list of their names, whitened parameters."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.fitting import fit_landmarks
from ...face_model.model import FaceModel
from ...face_model.official import load_whitening
from ...files.npz import read_npz
from ...files.restricted_pickle import load_pickle
from ...geometry import frames, params, pose
from ...geometry.landmarks import MIRROR
from ...geometry.params import N_PARAMS, FloatArray, Whitening
from . import Reader, Sample
from .crop_store import CropImages, crop_files, read_small

WHITENING_NAME = "param_whitening.pkl"
"""Lies beside the labels, or in the 3dmm_data folder of their face model."""

EVALUATION_ONLY_NAME = "EVALUATION-ONLY.txt"
"""Lies beside the list of a data set that must not be trained on."""

MAX_DISAGREEMENT_PX = 5.0
"""A labeller that differs from itself on the mirrored crop by more is not trusted."""

_MAX_LABEL_BYTES = 2 << 30
_MAX_QUALITY_BYTES = 64 << 20
_FIT_CHUNK = 4096
_DISAGREEMENT = "mirror_disagreement_px"


@dataclass(frozen=True, eq=False)
class LabelledCrops:
    """Crops with labels of one face model.

    Attributes:
        names: (N,) file names, relative to the crop folder.
        images: (N, 120, 120, 3) uint8 BGR, an array or decoded when they are drawn.
        params: (N, 62) float32 raw parameters of the face model, pixel frame; the camera is a
            similarity, and z is centred: the 68 landmarks have mean z 0.
        landmarks: (N, 68, 3) float32, crop1 frame, z centred per face.
        weights: (N,) how often each crop is drawn against the others; None for all alike.
    """

    names: Sequence[str]
    images: CropImages
    params: FloatArray
    landmarks: FloatArray
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, keep: NDArray[np.bool_]) -> LabelledCrops:
        return LabelledCrops(
            list(compress(self.names, keep)),
            self.images[keep],
            self.params[keep],
            self.landmarks[keep],
            None if self.weights is None else self.weights[keep],
        )


@dataclass(frozen=True, eq=False)
class CropSet(Reader):
    """Crops with labels as a list or shards hold them.

    Attributes:
        name: the list's path, or the shards' folder.
        names: (N,) of the crops, relative to their folder.
        images: (N, 120, 120, 3), decoded when they are drawn.
        params: (N, 62) float64 raw parameters.
        face_model, face_model_hash: the face model of ``params``.
        model: the same, or its 68 landmarks alone; None where nobody asked for it.
    """

    name: str
    names: list[str]
    images: CropImages
    params: FloatArray
    face_model: str
    face_model_hash: str
    model: FaceModel | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        raw, model = self.params[index], self.model
        return Sample(
            self.names[index],
            partial(self.images.__getitem__, index),
            landmarks=None if model is None else model.decode_landmarks(raw),
            rotation=pose.nearest_rotation(params.split(raw)[0][:, :3]),
            params=raw,
        )


def check_name(name: str, source: Path) -> None:
    """Raise SynergyNetError if a crop's name leads out of the crop folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise SynergyNetError(f"{source}: '{name}' leads out of the crop folder")


def read_list(path: Path, check: Callable[[str, Path], None] = check_name) -> list[str]:
    """Names of a list file, one relative file name a line; ``check`` refuses bad ones."""
    try:
        text = read_small(path, _MAX_LABEL_BYTES, "list of file names").decode()
    except UnicodeDecodeError as error:
        raise SynergyNetError(f"{path}: not a readable text file ({error})") from error
    lines = text.replace("\r", "\n").split("\n")
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise SynergyNetError(f"{path}: the list is empty; it has a file name a line")
    for name in names:
        check(name, path)
    return names


def read_params(path: Path, whitening: Whitening, count: int) -> FloatArray:
    """``param_all_norm*.pkl``, 62 or 102 wide, whitened -> (N, 62) raw float64."""
    labels = load_pickle(path, max_bytes=_MAX_LABEL_BYTES)
    if not isinstance(labels, np.ndarray):
        raise SynergyNetError(f"{path}: holds no array of labels but a {type(labels).__name__}")
    if labels.ndim != 2 or labels.shape[1] < N_PARAMS or labels.shape[0] != count:
        raise SynergyNetError(
            f"{path}: labels have shape {labels.shape}, expected ({count}, 62) or ({count}, 102) "
            "to match the list"
        )
    if labels.dtype.kind not in "fiu" or not np.isfinite(labels[:, :N_PARAMS]).all():
        raise SynergyNetError(f"{path}: labels must be finite numbers")
    return whitening.dewhiten(labels[:, :N_PARAMS].astype(np.float64))


def trusted(
    quality: Path, limit_px: float = MAX_DISAGREEMENT_PX, count: int | None = None
) -> NDArray[np.bool_]:
    """(N,) which labels of a list the labeller confirmed on the mirrored crop.

    Args:
        quality: ``.npz`` with ``mirror_disagreement_px`` (N,).
        limit_px: below this it agrees with itself.
        count: N, if it is known.

    Raises:
        SynergyNetError: missing, broken, or of another list.
    """
    if not quality.is_file():
        raise SynergyNetError(f"{quality}: no such file; name the labels.npz in data.quality")
    try:
        pixels = read_npz(quality, {_DISAGREEMENT: "fiu"}, max_bytes=_MAX_QUALITY_BYTES)[
            _DISAGREEMENT
        ]
    except Exception as error:  # zipfile and zlib raise many kinds on broken files
        raise SynergyNetError(f"{quality}: no {_DISAGREEMENT} in it") from error
    if pixels.ndim != 1 or (count is not None and len(pixels) != count):
        raise SynergyNetError(
            f"{quality}: {_DISAGREEMENT} has shape {pixels.shape}, expected one number for each "
            "line of the list"
        )
    return np.asarray(pixels < limit_px)


def find_whitening(labels: Path, of_model: Whitening | None) -> Whitening:
    """The whitening of a label file: ``param_whitening.pkl`` beside it, else the model's own.

    Raises:
        SynergyNetError: there is neither, or the file is broken.
    """
    beside = labels.with_name(WHITENING_NAME)
    if beside.is_file():
        return load_whitening(beside)
    if of_model is None:
        raise SynergyNetError(f"{beside}: missing; the labels beside it cannot be read without it")
    return of_model


def refuse_evaluation_data(list_file: Path) -> None:
    """Raise SynergyNetError if the list's folder is marked as not to be trained on."""
    marker = list_file.with_name(EVALUATION_ONLY_NAME)
    if marker.exists():
        raise SynergyNetError(f"{marker}: this data is for evaluation and must not be trained on")


def dump_pickle(value: Any) -> bytes:
    """Arrays in plain containers as a pickle that the official loader reads with any NumPy.

    Protocol 3, and the module name that arrays had before NumPy 2 (which knows it still).
    """
    data = pickle.dumps(value, protocol=3)
    return data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n", 1)


def read_crops(folder: Path, names: Sequence[str]) -> NDArray[np.uint8]:
    """Crops (N, 120, 120, 3) uint8 BGR."""
    return crop_files(folder, names).load()


def relabel(target: FaceModel, source: FaceModel, raw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Labels of one face model as labels of another.

    The head rotation is kept (the nearest one to the source's camera), scale, translation and
    coefficients are fitted to the source's 68 landmarks.

    Args:
        raw: (N, 62) raw parameters of ``source``.

    Returns:
        (N, 62) raw parameters of ``target`` and (N, 68, 3) the source's landmarks, crop1 frame,
        both with z centred.
    """
    landmarks = source.decode_landmarks(raw)
    landmarks[..., 2] -= landmarks[..., 2].mean(axis=1, keepdims=True)
    rotation = pose.nearest_rotation(params.split(raw)[0][..., :3])
    fitted = [
        fit_landmarks(
            target, landmarks[i : i + _FIT_CHUNK], rotation=rotation[i : i + _FIT_CHUNK]
        ).params
        for i in range(0, len(raw), _FIT_CHUNK)
    ]
    return np.concatenate(fitted).astype(np.float32), landmarks.astype(np.float32)


def centre_depth(model: FaceModel, raw: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Labels moved in z so that each face's 68 landmarks have mean z 0.

    Args:
        raw: (N, 62) raw parameters of ``model``.

    Returns:
        (N, 62) float32 parameters and (N, 68, 3) float32 landmarks, crop1 frame.
    """
    points = model.decode_landmarks(raw)
    depth = points[..., 2].mean(axis=1)
    points[..., 2] -= depth[:, None]
    moved = np.array(raw, dtype=np.float64)
    moved[:, 11] -= depth  # t_z, the last number of P
    return moved.astype(np.float32), points.astype(np.float32)


def mirrored_landmarks(points: FloatArray, flip: float = frames.CROP_FLIP) -> FloatArray:
    """(..., 68, 3) landmarks of the mirrored crop, in 68 order.

    Args:
        flip: x + mirrored x: 121 in crop1; 120 in x120, whose ends 0 and 120 are the first
            and the last pixel centre of the box.
    """
    out = np.array(points)[..., MIRROR, :]
    out[..., 0] = flip - out[..., 0]
    return out


def label_whitening(raw: FloatArray) -> Whitening:
    """Mean and standard deviation of training labels, with their mirrors' symmetry left to them.

    A coefficient that hardly varies keeps a standard deviation of at least 1e-3 of the
    largest one in its group, so that whitening cannot explode.
    """
    mean, std = raw.mean(axis=0), raw.std(axis=0)
    for part in (params.SHAPE, params.EXPRESSION):
        std[part] = np.maximum(std[part], 1e-3 * std[part].max())
    return Whitening(mean.astype(np.float32), np.maximum(std, 1e-12).astype(np.float32))
