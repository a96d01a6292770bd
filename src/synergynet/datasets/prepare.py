"""Turn a data set, as downloaded, into the official 3DDFA training list.

::

    OUT/crops/AFW/AFW_134212_1_0.jpg ...   120x120 crops, in the folders of the source
    OUT/train.list                         their names, one a line (benchmarks: test.list)
    OUT/param_all_norm.pkl                 (N, 62) float32, whitened
    OUT/param_whitening.pkl                param_mean, param_std (62,) float32
    OUT/bad.txt                            what was left out, and why
    OUT/prepare.json                       from what it was made

Finished crops are kept on a second run; every file appears whole or not at all, and the list
comes last: where it is, everything it names is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress
from pathlib import Path

import numpy as np

from ..errors import SynergyNetError
from ..face_model.fitting import fit_landmarks
from ..face_model.model import NO_TRIANGLES, FaceModel
from ..files.whole_file import CannotWriteError, write_whole
from ..geometry.landmarks import N_LANDMARKS
from ..geometry.params import FloatArray, Whitening
from .readers import LabelModel, Reader, Sample, open_reader
from .readers.crop_list import EVALUATION_ONLY_NAME, label_whitening
from .readers.list_folder import (
    CROPS_NAME,
    TEST_LIST,
    TRAIN_LIST,
    chunks_of,
    claim_folder,
    in_order,
    write_crop,
    write_list,
)

RECORD = "prepare.json"
BAD_NAME = "bad.txt"
WORST_FIT = 0.1
"""Largest residual of a fit to 68 landmarks, over the face's size; real ones stay below 0.02."""

_CHUNK = 32
_EVALUATION_ONLY = """\
{name} is a benchmark. These crops and labels are for evaluation only: never train, tune,
stop early or choose a checkpoint on them. `synergynet train` refuses this folder.
"""


@dataclass(frozen=True)
class Prepared:
    """What :func:`prepare` did: crops in the list, and one sentence per file left out."""

    list_file: Path
    count: int
    bad: tuple[str, ...]


@dataclass(frozen=True)
class _Task:
    """What a worker needs to know; the models hold nothing but their 68 landmarks."""

    source: str
    folder: Path
    output: Path
    count: int
    labels: LabelModel = field(compare=False)
    target: FaceModel | None = field(compare=False)  # None: the parameters as they stand


_Done = tuple[list[str], FloatArray, list[str]]
"""Names, (n, 62) raw parameters, and sentences of what is left out."""


def prepare(
    source: str,
    folder: Path,
    output: Path,
    target: FaceModel,
    labels: tuple[FaceModel, Whitening | None] | None,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Cut the crops and write the list with labels of ``target``.

    Parameters of the target itself are taken as they stand, and whitened with the numbers that
    lie beside the face model; other models are fitted to the 68 landmarks at the head's
    rotation, with z centred, and whitened with their mean and standard deviation.

    Args:
        source: a name of :data:`.readers.READERS`.
        labels: the face model of the source's labels and its whitening; None for ``target``.
            300W-LP needs the Basel Face Model: its files hold no 3D landmarks. AFLW2000-3D
            needs it for the Basel Face Model's own labels only.
        workers: processes; 1 works in this one. With more, a script must guard its main part
            by ``if __name__ == "__main__"``.
        progress: called with the faces done and all faces.

    Raises:
        SynergyNetError: nothing to do, everything is bad, or ``output`` holds something else.
    """
    model, whitening = labels or (target, None)
    reader = open_reader(source, folder, LabelModel(model, whitening, model.hash), output)
    straight = reader.face_model_hash == target.hash
    settings: dict[str, object] = {
        "source": source,
        "folder": str(folder.resolve()),
        "face_model": [target.name, target.hash],
        "landmarks": None if whitening is None else [model.name, model.hash],
    }
    claim_folder(output, RECORD, settings)
    if reader.evaluation_only:
        text = _EVALUATION_ONLY.format(name=reader.name)
        write_whole(output / EVALUATION_ONLY_NAME, text.encode())
    task = _Task(
        source,
        folder,
        output,
        len(reader),
        LabelModel(_landmarks_alone(model), whitening, model.hash),
        target=None if straight else _landmarks_alone(target),
    )
    _reader.cache_clear()
    chunks = chunks_of(len(reader), _CHUNK)
    results = in_order(_prepare_chunk, task, chunks, workers, progress, total=len(reader))
    bad = sorted([*reader.unusable, *(sentence for _, _, left in results for sentence in left)])
    write_whole(output / BAD_NAME, "".join(f"{sentence}\n" for sentence in bad).encode())
    names = [name for some, _, _ in results for name in some]
    if not names:
        raise SynergyNetError(f"{folder}: none of {len(reader)} photos can be used; {bad[0]}")
    raw = np.concatenate([params for _, params, _ in results])
    if not straight or whitening is None:
        whitening = label_whitening(raw)
    list_name = TEST_LIST if reader.evaluation_only else TRAIN_LIST
    list_file = write_list(output, names, raw, whitening, list_name)
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


@lru_cache(maxsize=1)
def _reader(task: _Task) -> Reader:
    """Opened once by each process."""
    reader = open_reader(task.source, task.folder, task.labels, task.output)
    if len(reader) != task.count:
        raise SynergyNetError(f"{task.folder}: changed while it was read; run the command again")
    return reader


def _prepare_chunk(task: _Task, rows: range) -> _Done:
    """Cut some crops and compute their labels."""
    reader = _reader(task)
    good: list[Sample] = []
    bad: list[str] = []
    for row in rows:
        try:
            sample = reader[row]
            if not _is_newer(task.output / CROPS_NAME / sample.name, sample.files):
                write_crop(task.output, sample.name, sample.crop())
            good.append(sample)
        except CannotWriteError:
            raise
        except SynergyNetError as error:
            bad.append(str(error))
    names = [sample.name for sample in good]
    if not good:
        return [], np.zeros((0, 62)), bad
    if task.target is None:
        return names, np.stack([_known(sample.params, sample) for sample in good]), bad
    points = np.stack([_known(sample.landmarks, sample) for sample in good])
    points[..., 2] -= points[..., 2].mean(axis=1, keepdims=True)
    rotation = np.stack([_known(sample.rotation, sample) for sample in good])
    fit = fit_landmarks(task.target, points, rotation=rotation)
    keep = fit.nme < WORST_FIT
    for name, nme in zip(names, fit.nme, strict=True):
        if not nme < WORST_FIT:
            bad.append(f"{name}: its landmarks are no face (fitted to {nme:.0%} of its size)")
    return list(compress(names, keep)), fit.params[keep], bad


def _known(value: FloatArray | None, sample: Sample) -> FloatArray:
    if value is None:
        raise SynergyNetError(f"{sample.name}: its data set has no labels to train on")
    return value


def _is_newer(crop: Path, files: tuple[Path, ...]) -> bool:
    try:
        made = crop.stat().st_mtime
        return all(made >= file.stat().st_mtime for file in files)
    except OSError:
        return False
