"""Folders that hold a training list: crops, names, whitened labels, and how they were made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...face_model.sources import resolve_face_model
from ...files.whole_file import write_whole
from ...geometry.params import FloatArray, Whitening
from .crop_list import (
    WHITENING_NAME,
    dump_pickle,
    find_whitening,
    read_list,
    read_params,
    refuse_evaluation_data,
)

CROPS_NAME = "crops"
LABELS_NAME = "param_all_norm.pkl"
TRAIN_LIST = "train.list"
TEST_LIST = "test.list"
JPEG_QUALITY = 95
"""That of the benchmark's own crops."""


def claim_folder(output: Path, record: str, settings: dict[str, object]) -> None:
    """Make ``output`` this run's: refuse another's, clear what a killed run left.

    Args:
        record: file in it that says what the folder was made from.
        settings: JSON values; a folder made from others is refused.

    Raises:
        SynergyNetError: it holds something else.
    """
    file = output / record
    try:
        found = json.loads(file.read_bytes()) if file.is_file() else None
    except (OSError, ValueError):
        found = {}
    if found is None and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SynergyNetError(f"{output}: not an empty folder; give another one as output")
    if found not in (None, settings):
        raise SynergyNetError(
            f"{output}: made with other settings ({record}); "
            "give another output folder, or delete this one"
        )
    for leftover in list(output.rglob(".partial-*")):
        shutil.rmtree(leftover, ignore_errors=True)
    for name in (TRAIN_LIST, TEST_LIST):
        (output / name).unlink(missing_ok=True)
    write_whole(file, json.dumps(settings, indent=1).encode())


@dataclass(frozen=True, eq=False)
class LabelledList:
    """What a folder's ``train.list`` holds.

    Attributes:
        file: the list.
        names: (N,) of the crops.
        params: (N, 62) raw parameters.
        model: the face model that they belong to.
    """

    file: Path
    names: list[str]
    params: FloatArray
    model: FaceModel


def open_list(folder: Path, face_model: str) -> LabelledList:
    """Read a folder that holds a training list.

    Args:
        face_model: of the labels: 'open-head', a 3dmm_data folder, or an .npz.

    Raises:
        SynergyNetError: a file is missing or broken, or this is data for evaluation only.
    """
    file, labels = folder / TRAIN_LIST, folder / LABELS_NAME
    refuse_evaluation_data(file)
    names = read_list(file)
    model, whitening = resolve_face_model(face_model)
    raw = read_params(labels, find_whitening(labels, whitening), len(names))
    return LabelledList(file, names, raw, model)


def write_crop(output: Path, name: str, crop: NDArray[np.uint8]) -> None:
    """(120, 120, 3) uint8 BGR -> ``output/crops/name``, a JPEG."""
    _, jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_whole(output / CROPS_NAME / name, jpeg.tobytes())


def write_list(
    output: Path,
    names: Sequence[str],
    raw: FloatArray,
    whitening: Whitening,
    list_name: str = TRAIN_LIST,
) -> Path:
    """Write labels, their whitening and, last of all, the list: where it is, all of it is.

    Args:
        raw: (N, 62) raw parameters.

    Returns:
        The list's path.
    """
    vectors = {"param_mean": whitening.mean, "param_std": whitening.std}
    write_whole(output / WHITENING_NAME, dump_pickle(vectors))
    write_whole(output / LABELS_NAME, dump_pickle(whitening.whiten(raw).astype(np.float32)))
    return write_whole(output / list_name, ("\n".join(names) + "\n").encode())
