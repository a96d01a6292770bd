"""Write synthetic faces as the official training list, so that ``synergynet train`` reads them.

::

    OUT/crops/0000/0_0000000.jpg ...   120x120 crops, named by seed and number
    OUT/depth/0000/0_0000000.png ...   16-bit depth, if asked for
    OUT/train.list                     their names, one a line
    OUT/param_all_norm.pkl             (N, 62) float32, whitened
    OUT/param_whitening.pkl            param_mean, param_std (62,) float32
    OUT/labels.npz                     everything exact; see :func:`write_faces`
    OUT/synth.json                     seed, number, version, face model

A killed run goes on where it stopped: the labels of a finished batch lie in ``OUT/parts`` until
the list is written, which comes last.
"""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import SynergyNetError
from ...face_model.open_head import load_open_head
from ...files.npz import read_npz
from ...files.partial import sweep_below
from ...files.whole_file import CannotWriteError, write_whole
from ...geometry.landmarks import N_LANDMARKS
from ..readers.crop_list import label_whitening
from ..readers.list_folder import (
    CROPS_NAME,
    JPEG_QUALITY,
    TRAIN_LIST,
    chunks_of,
    claim_folder,
    in_order,
    write_list,
)
from .face import VERSION, SyntheticFace, SyntheticFaces

RECORD, EXACT_NAME, DEPTH_NAME, PARTS_NAME = "synth.json", "labels.npz", "depth", "parts"
LARGEST = 10_000_000
DEPTH_STEP, DEPTH_OFFSET = 0.01, -300.0
"""Depth PNG: z = value * 0.01 - 300 crop pixels, in the frame of ``landmarks68``; 0: no face."""

_CHUNK = 64
_PER_FOLDER = 1000
_IN_PARTS = {"params62", "landmarks68", "visibility", "unit_weights"}


@dataclass(frozen=True)
class _Task:
    output: Path
    seed: int
    depth: bool


def write_faces(
    output: Path,
    count: int,
    *,
    seed: int = 0,
    depth: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Render faces 0 to ``count`` - 1 of ``seed`` into ``output``; the same for any ``workers``.

    ``labels.npz`` holds per face: ``params62`` (N, 62) raw parameters of Open Head;
    ``landmarks68`` (N, 3, 68), crop1 pixels (1-based, y down, mean z 0); ``visibility`` (N, 68):
    0 hidden by the head, 1 by something else or outside the crop, 2 visible; ``unit_weights``
    (N, 52) of the ARKit units ``unit_names``; ``mirror_disagreement_px``, zeros, which say that
    no label is in doubt; and the strings ``seed``, ``version``, ``face_model``.

    Args:
        progress: called with the faces done and all faces.

    Returns:
        The list file.

    Raises:
        SynergyNetError: a bad count or seed, or ``output`` holds something else.
    """
    if not 0 < count <= LARGEST:
        raise SynergyNetError(f"cannot make {count} faces; give a number from 1 to {LARGEST}")
    if seed < 0:
        raise SynergyNetError(f"the seed is {seed}; give 0 or more")
    model = load_open_head()
    settings = {
        "count": count, "seed": seed, "depth": depth, "version": VERSION,
        "face_model": [model.name, model.hash],
    }  # fmt: skip
    chunks = chunks_of(count, _CHUNK)
    if _is_finished(output, settings):
        sweep_below(output)
        progress(count, count)
        return output / TRAIN_LIST
    claim_folder(output, RECORD, settings)
    task = _Task(output, seed, depth)
    left = [chunk for chunk in chunks if not _is_done(task, chunk)]
    progress(count - sum(map(len, left)), count)
    in_order(_write_chunk, task, left, workers, progress, total=count)
    parts = [_read_part(_part(output, chunk)) for chunk in chunks]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays |= {
        "mirror_disagreement_px": np.zeros(count, dtype=np.float32),
        "unit_names": np.array(model.unit_names),
        "seed": np.array(str(seed)),
        "version": np.array(VERSION),
        "face_model": np.array(model.name),
    }
    write_whole(output / EXACT_NAME, _as_npz(arrays))
    raw = arrays["params62"].astype(np.float64)
    names = [f"{_name(seed, index)}.jpg" for index in range(count)]
    written = write_list(output, names, raw, label_whitening(raw))
    shutil.rmtree(output / PARTS_NAME, ignore_errors=True)
    return written


def encode_depth(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth in crop pixels, NaN where there is no face -> the numbers of the depth PNG."""
    value = np.rint((depth - DEPTH_OFFSET) / DEPTH_STEP)
    return np.where(np.isfinite(depth), np.clip(value, 1, 65535), 0).astype(np.uint16)


def decode_depth(value: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Inverse of :func:`encode_depth`, to half a step."""
    depth = value.astype(np.float64) * DEPTH_STEP + DEPTH_OFFSET
    return np.where(value > 0, depth, np.nan).astype(np.float32)


def _is_finished(output: Path, settings: dict[str, object]) -> bool:
    try:
        found = json.loads((output / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return bool(found == settings) and (output / TRAIN_LIST).is_file()


def _name(seed: int, index: int) -> str:
    return f"{index // _PER_FOLDER:04d}/{seed}_{index:07d}"


def _part(output: Path, chunk: range) -> Path:
    return output / PARTS_NAME / f"{chunk.start:07d}.npz"


def _is_done(task: _Task, chunk: range) -> bool:
    """Whether a batch's labels and all of its pictures are there."""
    try:
        labels = _read_part(_part(task.output, chunk))
    except SynergyNetError:
        return False
    files = [file for index in chunk for file in _files(task, index)]
    try:
        return len(labels["params62"]) == len(chunk) and all(f.stat().st_size for f in files)
    except OSError:
        return False


def _files(task: _Task, index: int) -> list[Path]:
    name = _name(task.seed, index)
    files = [task.output / CROPS_NAME / f"{name}.jpg"]
    return [*files, task.output / DEPTH_NAME / f"{name}.png"] if task.depth else files


@lru_cache(maxsize=1)
def _faces(seed: int) -> SyntheticFaces:
    return SyntheticFaces(seed)


def _write_chunk(task: _Task, chunk: range) -> None:
    """Render and write one batch; its labels come last."""
    faces = _faces(task.seed)
    made = []
    for index in chunk:
        face = faces[index]
        _write_pictures(task, index, face)
        made.append(face)
    arrays = {
        "params62": np.stack([face.params for face in made]),
        "landmarks68": np.stack([face.landmarks.T for face in made]),
        "visibility": np.stack([face.visibility for face in made]),
        "unit_weights": np.stack([face.unit_weights for face in made]),
    }
    write_whole(_part(task.output, chunk), _as_npz(arrays))


def _write_pictures(task: _Task, index: int, face: SyntheticFace) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    coded = [cv2.imencode(".jpg", face.image, quality)[1]]
    if task.depth:
        coded.append(cv2.imencode(".png", encode_depth(face.depth))[1])
    # Not write_crop: its fsync would take longer than the rendering. A batch counts as done
    # only if all of its files are there and not empty.
    for file, data in zip(_files(task, index), coded, strict=True):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.tobytes())
        except OSError as error:
            raise CannotWriteError(
                f"{file}: cannot be written ({error.strerror or error})"
            ) from error


def _read_part(file: Path) -> dict[str, NDArray[Any]]:
    try:
        part = read_npz(file)
        whole = part.keys() >= _IN_PARTS and part["landmarks68"].shape[1:] == (3, N_LANDMARKS)
    except Exception:  # zipfile and zlib raise many kinds on broken files
        whole = False
    if not whole:
        raise SynergyNetError(f"{file}: missing or broken; run the same command again")
    return part


def _as_npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()
