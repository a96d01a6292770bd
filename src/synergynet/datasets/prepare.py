"""Turn 300W-LP or AFLW2000-3D, as downloaded, into the official 3DDFA training list.

::

    OUT/crops/AFW/AFW_134212_1_0.jpg ...   120x120 crops, in the folders of the source
    OUT/train.list                         their names, one a line (AFLW2000-3D: test.list)
    OUT/param_all_norm.pkl                 (N, 62) float32, whitened
    OUT/param_whitening.pkl                param_mean, param_std (62,) float32
    OUT/bad.txt                            what was left out, and why
    OUT/prepare.json                       from what it was made

Finished crops are kept on a second run; every file appears whole or not at all, and the list
comes last: where it is, everything it names is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SynergyNetError
from ..face_model.fitting import fit_landmarks
from ..face_model.model import NO_TRIANGLES, FaceModel
from ..files.whole_file import CannotWriteError, write_whole
from ..files.workers import run_chunks
from ..geometry.boxes import largest_side
from ..geometry.crops import CropBox
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import FloatArray, Whitening
from ..regression.cropping import cut_crops
from .readers.crop_list import EVALUATION_ONLY_NAME, label_whitening
from .readers.list_folder import (
    CROPS_NAME,
    TEST_LIST,
    TRAIN_LIST,
    claim_folder,
    write_crop,
    write_list,
)
from .readers.mat_photos import (
    PHOTO_SIZE,
    MatLabels,
    Source,
    benchmark_box,
    photo1_to_crop1,
    read_mat,
)
from .readers.photo_folder import Photo, find_photos, read_photo

LIST_NAMES: dict[Source, str] = {"300w-lp": TRAIN_LIST, "aflw2000": TEST_LIST}
RECORD = "prepare.json"
BAD_NAME = "bad.txt"
WORST_FIT = 0.1
"""Largest residual of a fit to 68 landmarks, over the face's size; real ones stay below 0.02."""

_CHUNK = 32
_SMALLEST_BOX = 16  # photo pixels
_EVALUATION_ONLY = """\
AFLW2000-3D is a benchmark. These crops and labels are for evaluation only: never train, tune,
stop early or choose a checkpoint on them. `synergynet train` refuses this folder.
"""


@dataclass(frozen=True)
class Prepared:
    """What :func:`prepare` did: crops in the list, and one sentence per file left out."""

    list_file: Path
    count: int
    bad: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Task:
    """What a worker needs to know; both models hold nothing but their 68 landmarks."""

    source: Source
    output: Path
    bfm: FaceModel | None
    target: FaceModel | None  # None: the parameters of the Basel Face Model as they stand


@dataclass(frozen=True, eq=False)
class _Done:
    names: list[str]
    params: FloatArray  # (n, 62) raw
    bad: list[str]


def prepare(
    source: Source,
    folder: Path,
    output: Path,
    target: FaceModel,
    bfm: tuple[FaceModel, Whitening] | None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Cut the crops and write the list with labels of ``target``.

    Labels of the Basel Face Model itself come straight from the ``.mat`` and are whitened with
    its own numbers; other models are fitted to the 68 landmarks at the file's head rotation,
    with z centred, and whitened with their mean and standard deviation.

    Args:
        bfm: the Basel Face Model and its whitening. 300W-LP needs it: its files hold no 3D
            landmarks. AFLW2000-3D needs it for its own labels only.
        workers: processes; 1 works in this one. With more, a script must guard its main part
            by ``if __name__ == "__main__"``.
        progress: called with the photos done and all photos.

    Raises:
        SynergyNetError: nothing to do, everything is bad, or ``output`` holds something else.
    """
    if source == "300w-lp" and bfm is None:
        raise SynergyNetError(
            "300W-LP holds no 3D landmarks: give the 3dmm_data folder of the Basel Face Model "
            "(--bfm) to compute them with"
        )
    if not folder.is_dir():
        raise SynergyNetError(f"{folder}: no such folder")
    straight = bfm is not None and bfm[0].hash == target.hash
    photos, bad = find_photos(folder, output)
    if not photos:
        raise SynergyNetError(f"{folder}: no photo with a .mat beside it")
    settings: dict[str, object] = {
        "source": source,
        "folder": str(folder.resolve()),
        "face_model": [target.name, target.hash],
        "landmarks": None if bfm is None else [bfm[0].name, bfm[0].hash],
    }
    claim_folder(output, RECORD, settings)
    if source == "aflw2000":
        write_whole(output / EVALUATION_ONLY_NAME, _EVALUATION_ONLY.encode())
    task = _Task(
        source,
        output,
        bfm=None if bfm is None else _landmarks_alone(bfm[0]),
        target=None if straight else _landmarks_alone(target),
    )
    chunks = [photos[i : i + _CHUNK] for i in range(0, len(photos), _CHUNK)]
    results: list[_Done] = [_Done([], np.zeros((0, 62)), [])] * len(chunks)
    done = 0
    for index, result in run_chunks(_prepare_chunk, task, chunks, workers):
        results[index] = result
        done += len(chunks[index])
        progress(done, len(photos))
    bad = sorted([*bad, *(sentence for result in results for sentence in result.bad)])
    write_whole(output / BAD_NAME, "".join(f"{sentence}\n" for sentence in bad).encode())
    names = [name for result in results for name in result.names]
    if not names:
        raise SynergyNetError(f"{folder}: none of {len(photos)} photos can be used; {bad[0]}")
    raw = np.concatenate([result.params for result in results])
    whitening = bfm[1] if straight and bfm is not None else label_whitening(raw)
    list_file = write_list(output, names, raw, whitening, LIST_NAMES[source])
    return Prepared(list_file, len(names), tuple(bad))


def _landmarks_alone(model: FaceModel) -> FaceModel:
    """The same landmarks from a model of 68 vertices: quick to send to a worker."""
    return FaceModel(
        name=model.name,
        mean=model.landmark_mean,
        identity_basis=model.landmark_identity,
        expression_basis=model.landmark_expression,
        triangles=NO_TRIANGLES,
        landmark_vertices=np.repeat(np.arange(N_LANDMARKS, dtype=np.int32)[:, None], 3, axis=1),
        landmark_weights=np.tile(np.array([1, 0, 0], np.float32), (N_LANDMARKS, 1)),
        millimetres_per_unit=model.millimetres_per_unit,
    )


def _prepare_chunk(task: _Task, photos: Sequence[Photo]) -> _Done:
    """Cut the crops of some photos and compute their labels."""
    good: list[tuple[str, MatLabels, CropBox]] = []
    bad: list[str] = []
    for photo in photos:
        try:
            good.append((photo.name, *_prepare_photo(task, photo)))
        except CannotWriteError:
            raise
        except SynergyNetError as error:
            bad.append(str(error))
    if not good:
        return _Done([], np.zeros((0, 62)), bad)
    if task.target is None:
        return _Done([g[0] for g in good], np.stack([m.params(box) for _, m, box in good]), bad)
    points = np.stack([photo1_to_crop1(m.landmarks(task.bfm), box) for _, m, box in good])
    points[..., 2] -= points[..., 2].mean(axis=1, keepdims=True)
    rotation = np.stack([m.rotation for _, m, _ in good])
    fit = fit_landmarks(task.target, points, rotation=rotation)
    keep = fit.nme < WORST_FIT
    for (name, _, _), nme in zip(good, fit.nme, strict=True):
        if not nme < WORST_FIT:
            bad.append(f"{name}: its landmarks are no face (fitted to {nme:.0%} of its size)")
    return _Done([g[0] for g, k in zip(good, keep, strict=True) if k], fit.params[keep], bad)


def _prepare_photo(task: _Task, photo: Photo) -> tuple[MatLabels, CropBox]:
    labels = read_mat(photo.labels)
    if labels.source != task.source:
        raise SynergyNetError(f"{photo.labels}: of {labels.source}, not of {task.source}")
    with np.errstate(over="ignore", invalid="ignore"):
        box = benchmark_box(labels.landmarks(task.bfm))
        sane = np.isfinite(labels.params(box).astype(np.float32)).all()
    x, y = box.center
    if not (
        sane
        and _SMALLEST_BOX <= box.side <= largest_side((PHOTO_SIZE, PHOTO_SIZE))
        and max(abs(x - PHOTO_SIZE / 2), abs(y - PHOTO_SIZE / 2)) < (PHOTO_SIZE + box.side) / 2
    ):
        raise SynergyNetError(f"{photo.labels}: the face is not in the photo")
    if not _is_newer(task.output / CROPS_NAME / photo.name, photo):
        write_crop(task.output, photo.name, cut_crops(read_photo(photo.image), [box])[0])
    return labels, box


def _is_newer(crop: Path, photo: Photo) -> bool:
    try:
        made = crop.stat().st_mtime
        return all(made >= file.stat().st_mtime for file in (photo.image, photo.labels))
    except OSError:
        return False
