"""Folders that hold a training list: crops, names, whitened labels, and how they were made."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.model import FaceModel
from ...face_model.sources import resolve_face_model
from ...files.partial import sweep_below
from ...files.whole_file import write_whole
from ...files.workers import run_chunks
from ...geometry.params import FloatArray, Whitening
from . import LabelModel
from .crop_list import (
    WHITENING_NAME,
    CropSet,
    dump_pickle,
    find_whitening,
    read_list,
    read_params,
    refuse_evaluation_data,
)
from .crop_store import unchecked_files

CROPS_NAME = "crops"
LABELS_NAME = "param_all_norm.pkl"
TRAIN_LIST = "train.list"
TEST_LIST = "test.list"
JPEG_QUALITY = 95
"""That of the benchmark's own crops."""

Task = TypeVar("Task")
Chunk = TypeVar("Chunk", bound=Sequence[object])
Result = TypeVar("Result")


def claim_folder(output: Path, record: str, settings: dict[str, object]) -> None:
    """Make ``output`` this run's: refuse another's, clear what a killed run left.

    Args:
        record: file in it that says what the folder was made from.
        settings: JSON values; a folder made from others is refused.

    Raises:
        SynergyNetError: it holds something else.
    """
    file = output / record
    sweep_below(output)  # first of all: a folder that holds nothing else is empty
    try:
        found = json.loads(file.read_bytes()) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        found = {}
    if found is None and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SynergyNetError(f"{output}: not an empty folder; give another one as output")
    if found not in (None, settings):
        raise SynergyNetError(
            f"{output}: made with other settings ({record}); "
            "give another output folder, or delete this one"
        )
    for name in (TRAIN_LIST, TEST_LIST):
        (output / name).unlink(missing_ok=True)
    write_whole(file, json.dumps(settings, indent=1).encode())


def open_folder(name: str, folder: Path, labels: LabelModel, skip: Path) -> CropSet:
    """Read a folder that holds a training list; crops are read when they are drawn.

    Raises:
        SynergyNetError: a file is missing or broken, or this is data for evaluation only.
    """
    file, params = folder / TRAIN_LIST, folder / LABELS_NAME
    refuse_evaluation_data(file)
    names = read_list(file)
    raw = read_params(params, find_whitening(params, labels.whitening), len(names))
    images = unchecked_files(folder / CROPS_NAME, names)
    model = labels.model
    return CropSet(str(file), names, images, raw, model.name, labels.hash, model)


def open_list(folder: Path, face_model: str) -> tuple[CropSet, FaceModel]:
    """:func:`open_folder`, with labels of the face model that ``--face-model`` names."""
    model, whitening = resolve_face_model(face_model)
    labels = LabelModel(model, whitening, model.hash)
    return open_folder("list", folder, labels, skip=folder), model


def in_order(
    function: Callable[[Task, Chunk], Result],
    task: Task,
    chunks: Sequence[Chunk],
    workers: int,
    progress: Callable[[int, int], None],
    *,
    total: int,
) -> list[Result]:
    """Results of :func:`~synergynet.files.workers.run_chunks` in the order of ``chunks``.

    Args:
        progress: called with the rows done and ``total``; what no chunk holds is done already.
    """
    results: dict[int, Result] = {}
    done = total - sum(map(len, chunks))
    for index, result in run_chunks(function, task, chunks, workers):
        results[index] = result
        done += len(chunks[index])
        progress(done, total)
    return [results[index] for index in range(len(chunks))]


def chunks_of(count: int, size: int) -> list[range]:
    """Rows 0 to ``count`` - 1 in ranges of at most ``size``."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


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
